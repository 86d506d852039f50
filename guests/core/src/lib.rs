//! Pure logic of the guests. Nothing here reads, writes or calls the zkVM, so all of it is tested
//! natively; a guest's `main.rs` only reads, calls this and commits.
//!
//! Digests are `[u32; 8]` in *memory order*: the bytes of the array, read as little-endian words,
//! are the bytes of the digest as FIPS 180-4 writes them. This is how the zkVM's SHA-256 circuit
//! takes and returns them, and it lets a guest hash what it read without converting a byte.
#![no_std]

pub mod claim;
pub mod fibonacci;
pub mod journal;
pub mod merkle;
pub mod sha;

/// A SHA-256 digest, or an image id, in memory order.
pub type Digest = [u32; 8];
