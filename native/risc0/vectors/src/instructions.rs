//! The instruction sets that there are kernels for, and the choice among them.

use std::sync::OnceLock;

use crate::{poly::Ext, poseidon2::Constants};

/// The environment variable that overrides the choice of instructions, for comparisons. It is
/// `off`, `avx2` or `avx512`.
const SWITCH: &str = "RUNNER_SIMD";

/// The kernels of one instruction set. What each asks for stands beside it in `../kernels`.
pub struct Instructions {
    /// The name, as `RUNNER_SIMD` has it.
    pub name: &'static str,
    /// How many numbers a vector has.
    pub lanes: usize,
    pub(crate) hash_rows: HashRows,
    pub(crate) hash_pairs: HashPairs,
    pub(crate) evaluate: Evaluate,
    pub(crate) interpolate: Interpolate,
    pub(crate) reverse_bits: ReverseBits,
    pub(crate) multiply: Multiply,
    pub(crate) evaluate_at: EvaluateAt,
    pub(crate) mix: Mix,
}

type HashRows = unsafe extern "C" fn(*const Constants, *const u32, usize, usize, usize, *mut u32);
type HashPairs = unsafe extern "C" fn(*const Constants, *const u32, usize, *mut u32);
type Evaluate = unsafe extern "C" fn(*mut u32, *const u32, usize, *const *const u32);
type Interpolate = unsafe extern "C" fn(*mut u32, usize, u32, *const *const u32);
type ReverseBits = unsafe extern "C" fn(*mut u32, usize);
type Multiply = unsafe extern "C" fn(*mut u32, *const u32, usize);
type EvaluateAt = unsafe extern "C" fn(*const u32, usize, *const u32, usize, *const Ext, *mut u32);
type Mix = unsafe extern "C" fn(*mut u32, usize, *const *const u32, *const Ext, usize);

/// The instructions that this process uses, or `None` where the library's code is used.
pub fn chosen() -> Option<&'static Instructions> {
    static CHOSEN: OnceLock<Option<&'static Instructions>> = OnceLock::new();
    *CHOSEN.get_or_init(|| {
        let wanted = std::env::var(SWITCH).unwrap_or_default();
        let usable = |set: &&Instructions| wanted.is_empty() || wanted == set.name;
        available().into_iter().find(usable)
    })
}

#[cfg(not(simd))]
/// The instruction sets that this CPU has, the fastest first.
pub fn available() -> Vec<&'static Instructions> {
    Vec::new()
}

#[cfg(simd)]
pub use kernels::available;

#[cfg(simd)]
mod kernels {
    use super::{Constants, Ext, Instructions};

    /// Declares the kernels of one instruction set, whose symbols end in the set's name.
    macro_rules! instructions {
        ($set:ident, $module:ident, $name:literal, $lanes:literal) => {
            mod $module {
                use super::{Constants, Ext};

                unsafe extern "C" {
                    #[link_name = concat!("runner_hash_rows_", $name)]
                    pub fn hash_rows(
                        constants: *const Constants,
                        matrix: *const u32,
                        columns: usize,
                        stride: usize,
                        rows: usize,
                        digests: *mut u32,
                    );
                    #[link_name = concat!("runner_hash_pairs_", $name)]
                    pub fn hash_pairs(
                        constants: *const Constants,
                        digests: *const u32,
                        pairs: usize,
                        folded: *mut u32,
                    );
                    #[link_name = concat!("runner_evaluate_", $name)]
                    pub fn evaluate(
                        out: *mut u32,
                        coefficients: *const u32,
                        po2: usize,
                        roots: *const *const u32,
                    );
                    #[link_name = concat!("runner_interpolate_", $name)]
                    pub fn interpolate(
                        io: *mut u32,
                        po2: usize,
                        norm: u32,
                        roots: *const *const u32,
                    );
                    #[link_name = concat!("runner_reverse_bits_", $name)]
                    pub fn reverse_bits(io: *mut u32, po2: usize);
                    #[link_name = concat!("runner_multiply_", $name)]
                    pub fn multiply(io: *mut u32, factors: *const u32, count: usize);
                    #[link_name = concat!("runner_evaluate_at_", $name)]
                    pub fn evaluate_at(
                        coefficients: *const u32,
                        count: usize,
                        powers: *const u32,
                        block: usize,
                        step: *const Ext,
                        result: *mut u32,
                    );
                    #[link_name = concat!("runner_mix_", $name)]
                    pub fn mix(
                        out: *mut u32,
                        count: usize,
                        columns: *const *const u32,
                        factors: *const Ext,
                        columns_count: usize,
                    );
                }
            }

            static $set: Instructions = Instructions {
                name: $name,
                lanes: $lanes,
                hash_rows: $module::hash_rows,
                hash_pairs: $module::hash_pairs,
                evaluate: $module::evaluate,
                interpolate: $module::interpolate,
                reverse_bits: $module::reverse_bits,
                multiply: $module::multiply,
                evaluate_at: $module::evaluate_at,
                mix: $module::mix,
            };
        };
    }

    instructions!(AVX512, avx512, "avx512", 16);
    instructions!(AVX2, avx2, "avx2", 8);

    /// The instruction sets that this CPU has, the fastest first.
    pub fn available() -> Vec<&'static Instructions> {
        let mut sets = Vec::new();
        if is_x86_feature_detected!("avx512f") {
            sets.push(&AVX512);
        }
        if is_x86_feature_detected!("avx2") {
            sets.push(&AVX2);
        }
        sets
    }
}
