//! The parts of a proof over BabyBear that do the same to many numbers, in vectors.
//!
//! Numbers are `u32` in Montgomery form and below P, as in RISC Zero's own buffers. Every function
//! gives what the library's code gives, bit for bit. `build.rs` compiles the C++ in `../kernels`
//! for AVX2 and for AVX-512, and the CPU decides at run time which of them is used. Where there is
//! neither, [`chosen`] is `None` and the library's own code does the work.

mod field;
mod instructions;
mod ntt;
mod poly;
mod poseidon2;

pub use instructions::{Instructions, available, chosen};
pub use ntt::{Roots, evaluate, interpolate, is_large, multiply, reverse_bits, shift_factors};
pub use poly::{Ext, MIX_BLOCK, Point, mix};
pub use poseidon2::{Permutation, hash_pairs, hash_rows};

/// The prime that numbers are below, 15 * 2^27 + 1.
const P: u32 = 15 * (1 << 27) + 1;

/// 1 / P modulo 2^32.
const MU: u32 = 0x8800_0001;
