//! Reads a key, a message and a signature, and commits the key and the message if the signature
//! holds.

use std::io::Read;

use public_comparison::{Fields, signed};
use risc0_zkvm::guest::env;

fn main() {
    let mut input = Vec::new();
    env::stdin().read_to_end(&mut input).unwrap();
    let mut fields = Fields(&input);
    let (key, message, signature) = (fields.bytes(), fields.bytes(), fields.bytes());
    assert!(signed(key, message, signature), "the signature does not hold");
    env::commit_slice(key);
    env::commit_slice(message);
}
