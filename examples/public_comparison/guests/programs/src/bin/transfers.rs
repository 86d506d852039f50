//! Reads balances and transfers, and commits the old root, the new root and the number of transfers.

use std::io::Read;

use public_comparison::{Fields, transfers::settle};
use risc0_zkvm::{
    guest::env,
    sha::{Impl, Sha256},
};

fn main() {
    let mut input = Vec::new();
    env::stdin().read_to_end(&mut input).unwrap();
    let mut fields = Fields(&input);
    let hash = |bytes: &[u8]| (*Impl::hash_bytes(bytes)).into();
    let (old, new, count) = settle(fields.bytes(), fields.bytes(), hash);
    env::commit_slice(&old);
    env::commit_slice(&new);
    env::commit_slice(&count.to_le_bytes());
}
