//! A small runtime for RISC Zero guests: words in, claims verified, one journal out.
//!
//! It takes the place of `risc0_zkvm::guest` for the guests in this folder. What the two do is the
//! same, by the same system calls (`risc0-zkvm-platform`): 128 bits of entropy go into memory before
//! the guest starts, input comes from file descriptor 0, the journal goes to its descriptor and
//! into the output digest, a verified claim goes to the host and onto the list of assumptions, and
//! the guest halts with the digest of both. What is left out costs most of a small proof: a heap, a
//! Keccak batcher, a general hasher, serialisation, formatting. A proof is paid for by the page, and
//! this runtime fits into a few of them.
//!
//! A guest that wants more (`std`, `serde`, a heap, Keccak) depends on `risc0-zkvm` instead; nothing
//! else in this repository minds.
#![no_std]

#[cfg(target_os = "zkvm")]
mod zkvm;
#[cfg(target_os = "zkvm")]
pub use zkvm::*;
