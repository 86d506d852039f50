//! The runtime of the guests for OpenVM: words in, proofs verified, one journal out.
//!
//! It offers what the runtime for RISC Zero (`../../rt`) offers, so that a guest's `main.rs` is the
//! same file for both. What differs lies below:
//!
//! - The input is one stream: the number of proofs to verify, a commitment of eight words for each,
//!   and then what the guest itself reads.
//! - An image id is `SHA-256(executable commitment || VM commitment)`. OpenVM names a program by the
//!   first and the proof system that ran it by the second; a program is trusted only under both.
//! - The public values are the SHA-256 digest of the journal. The journal itself stays in memory at
//!   [`JOURNAL`], its length in words before it, where the host that executes the guest reads it.
//! - [`Verifier::new`] verifies all proofs the host names, by deferral call 0 (`verify_stark`), and
//!   [`Verifier::verify`] accepts the claims that they prove.
//! - SHA-256 is computed in plain instructions.
//! - Nothing is printed: the zkVM would write it to the host's standard output.
#![no_std]

/// Where a committed journal lies: below the stack, above what the platform reserves.
pub const JOURNAL: usize = 0x400;
/// Words in the longest journal.
pub const JOURNAL_WORDS: usize = 1 << 12;

#[cfg(target_os = "zkvm")]
mod sha;
#[cfg(target_os = "zkvm")]
mod zkvm;
#[cfg(target_os = "zkvm")]
pub use sha::Circuit;
#[cfg(target_os = "zkvm")]
pub use zkvm::*;
