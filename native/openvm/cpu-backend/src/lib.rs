//! `openvm-cpu-backend` with sums of fractions and interactions in vectors. `Cargo.toml` says how
//! and why.

// Nearly all of the text is the library's.
#![allow(warnings, clippy::all)]

include!(concat!(env!("OUT_DIR"), "/library.rs"));
