//! `risc0-zkp` with a CPU prover that works in vectors. `Cargo.toml` says how and why.

#![cfg_attr(not(feature = "std"), no_std)]
// Nearly all of the text is the library's.
#![allow(warnings, clippy::all)]

include!(concat!(env!("OUT_DIR"), "/library.rs"));
