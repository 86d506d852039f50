//! Reads a byte string, and commits its SHA-256 digest, without an accelerator.
#![no_std]
#![no_main]

use guest_rt::{Env, entry};
use public_comparison::{Words, journal};
use sha2::{Digest, Sha256};

entry!(main);

fn main(env: &mut Env) -> ! {
    let data = Words::field(|| env.word());
    let digest = Sha256::digest(data.bytes());
    env.commit(&journal(&[&digest]))
}
