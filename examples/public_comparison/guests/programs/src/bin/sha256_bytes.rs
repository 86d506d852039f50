//! Reads a byte string, and commits its SHA-256 digest, by the zkVM's accelerator.

use std::io::Read;

use public_comparison::Fields;
use risc0_zkvm::{
    guest::env,
    sha::{Impl, Sha256},
};

fn main() {
    let mut input = Vec::new();
    env::stdin().read_to_end(&mut input).unwrap();
    let digest = Impl::hash_bytes(Fields(&input).bytes());
    env::commit_slice(digest.as_bytes());
}
