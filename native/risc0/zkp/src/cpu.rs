//! The CPU's part of a proof, in vectors.
//!
//! Every function gives what the library's (`hal::library`) gives, bit for bit. Where this CPU has
//! no vectors that there are kernels for, or where numbers are too few to fill one, the library's
//! code does the work.

#![warn(warnings, clippy::all)]

use std::alloc::{handle_alloc_error, Layout};
use std::sync::{Mutex, OnceLock};

use rayon::prelude::*;
use risc0_core::field::{
    baby_bear::{BabyBear, BabyBearElem, BabyBearExtElem},
    Field, RootsOfUnity,
};
use runner_vectors::{Ext, Instructions, Permutation, Point, Roots, MIX_BLOCK};

use super::{library, Buffer, Hal};
use crate::core::{
    digest::{Digest, DIGEST_WORDS},
    hash::{
        poseidon2::{M_INT_DIAG_HZN, ROUND_CONSTANTS},
        HashSuite,
    },
};
use crate::INV_RATE;

pub use super::library::CpuBuffer;

/// The rows that a thread hashes at a time: enough to make the cost of handing them out small.
const ROWS: usize = 256;

/// The buffers of a witness that are read until the last of them is made, in all circuits.
const WITNESS: [&str; 3] = ["code", "ctrl", "data"];

/// The last buffer of a witness. A prover reads nothing of a witness once it has copied this one. The
/// witness's owner keeps all of them until the proof is made.
const LAST: &str = "accum";

/// A prover's work on the CPU, with the hash functions of a suite.
pub struct CpuHal<F: Field> {
    library: library::CpuHal<F>,
    vectors: Option<&'static Instructions>,
    /// What the prover has copied of a witness whose last buffer is still to come.
    witness: Mutex<Vec<CpuBuffer<F::Elem>>>,
}

impl<F: Field> CpuHal<F> {
    /// Use the instructions that `RUNNER_SIMD` or else this CPU chooses.
    pub fn new(suite: HashSuite<F>) -> Self {
        Self::with(suite, runner_vectors::chosen())
    }

    /// Use these instructions, or none.
    pub fn with(suite: HashSuite<F>, vectors: Option<&'static Instructions>) -> Self {
        Self {
            library: library::CpuHal::new(suite),
            vectors,
            witness: Mutex::default(),
        }
    }
}

impl CpuHal<BabyBear> {
    /// The instructions, where the suite's hash is Poseidon2 and `count` hashes fill vectors.
    fn vectors_for_hashes(&self, count: usize) -> Option<&'static Instructions> {
        let is_poseidon2 = self.library.get_hash_suite().name == "poseidon2";
        self.vectors
            .filter(|set| is_poseidon2 && count > 0 && count.is_multiple_of(set.lanes))
    }

    /// The instructions, where columns of this size are large enough for transforms in vectors.
    fn vectors_for_columns(&self, size: usize) -> Option<&'static Instructions> {
        self.vectors.filter(|set| runner_vectors::is_large(set, size))
    }
}

/// Numbers whose memory the operating system gives when they are first written, by the threads that
/// write them. The library writes zeros first, in one thread.
fn zeros<T: bytemuck::Zeroable>(size: usize) -> Vec<T> {
    // As the standard library does, so that the worker is seen to have ended for want of memory.
    bytemuck::allocation::try_zeroed_vec(size).unwrap_or_else(|()| {
        handle_alloc_error(Layout::array::<T>(size).expect("a size that memory can have"))
    })
}

fn permutation() -> &'static Permutation {
    static PERMUTATION: OnceLock<Permutation> = OnceLock::new();
    PERMUTATION.get_or_init(|| Permutation::new(words(ROUND_CONSTANTS), words(M_INT_DIAG_HZN)))
}

fn forward_roots() -> &'static Roots {
    static ROOTS: OnceLock<Roots> = OnceLock::new();
    ROOTS.get_or_init(|| Roots::new(words(BabyBearElem::ROU_FWD)))
}

fn reverse_roots() -> &'static Roots {
    static ROOTS: OnceLock<Roots> = OnceLock::new();
    ROOTS.get_or_init(|| Roots::new(words(BabyBearElem::ROU_REV)))
}

fn words(elems: &[BabyBearElem]) -> &[u32] {
    bytemuck::cast_slice(elems)
}

fn words_mut(elems: &mut [BabyBearElem]) -> &mut [u32] {
    // SAFETY: a `BabyBearElem` is a `u32` in memory, and any `u32` is one.
    unsafe { std::slice::from_raw_parts_mut(elems.as_mut_ptr().cast(), elems.len()) }
}

fn parts(x: &BabyBearExtElem) -> Ext {
    bytemuck::cast(*x)
}

fn exts_mut(elems: &mut [BabyBearExtElem]) -> &mut [Ext] {
    // SAFETY: a `BabyBearExtElem` is four `u32` in memory, and any four are one.
    unsafe { std::slice::from_raw_parts_mut(elems.as_mut_ptr().cast(), elems.len()) }
}

impl Hal for CpuHal<BabyBear> {
    type Field = BabyBear;
    type Elem = BabyBearElem;
    type ExtElem = BabyBearExtElem;
    type Buffer<T: Clone + std::fmt::Debug + PartialEq> = CpuBuffer<T>;

    fn has_unified_memory(&self) -> bool {
        self.library.has_unified_memory()
    }

    fn get_hash_suite(&self) -> &HashSuite<Self::Field> {
        self.library.get_hash_suite()
    }

    fn alloc_digest(&self, name: &'static str, size: usize) -> Self::Buffer<Digest> {
        CpuBuffer::of(name, zeros(size))
    }

    fn alloc_elem(&self, name: &'static str, size: usize) -> Self::Buffer<Self::Elem> {
        CpuBuffer::of(name, zeros(size))
    }

    fn alloc_extelem(&self, name: &'static str, size: usize) -> Self::Buffer<Self::ExtElem> {
        CpuBuffer::of(name, zeros(size))
    }

    fn alloc_elem_init(
        &self,
        name: &'static str,
        size: usize,
        value: Self::Elem,
    ) -> Self::Buffer<Self::Elem> {
        let mut elems = zeros(size);
        elems.par_iter_mut().for_each(|elem| *elem = value);
        CpuBuffer::of(name, elems)
    }

    fn alloc_extelem_zeroed(&self, name: &'static str, size: usize) -> Self::Buffer<Self::ExtElem> {
        self.alloc_extelem(name, size)
    }

    fn alloc_u32(&self, name: &'static str, size: usize) -> Self::Buffer<u32> {
        self.library.alloc_u32(name, size)
    }

    fn copy_from_digest(&self, name: &'static str, slice: &[Digest]) -> Self::Buffer<Digest> {
        self.library.copy_from_digest(name, slice)
    }

    fn copy_from_elem(&self, name: &'static str, slice: &[Self::Elem]) -> Self::Buffer<Self::Elem> {
        self.library.copy_from_elem(name, slice)
    }

    fn copy_from_extelem(
        &self,
        name: &'static str,
        slice: &[Self::ExtElem],
    ) -> Self::Buffer<Self::ExtElem> {
        self.library.copy_from_extelem(name, slice)
    }

    fn copy_from_u32(&self, name: &'static str, slice: &[u32]) -> Self::Buffer<u32> {
        self.library.copy_from_u32(name, slice)
    }

    fn batch_expand_into_evaluate_ntt(
        &self,
        output: &Self::Buffer<Self::Elem>,
        input: &Self::Buffer<Self::Elem>,
        count: usize,
        expand_bits: usize,
    ) {
        let (values, coefficients) = (output.size() / count, input.size() / count);
        let set = self.vectors_for_columns(coefficients);
        let Some(set) = set.filter(|_| values == INV_RATE * coefficients) else {
            let library = &self.library;
            return library.batch_expand_into_evaluate_ntt(output, input, count, expand_bits);
        };
        assert_eq!(values, coefficients << expand_bits);
        let input = input.as_slice();
        let mut output = output.as_slice_mut();
        words_mut(&mut output)
            .par_chunks_exact_mut(values)
            .zip(words(&input).par_chunks_exact(coefficients))
            .for_each(|(values, coefficients)| {
                runner_vectors::evaluate(set, forward_roots(), values, coefficients);
            });
    }

    fn batch_interpolate_ntt(&self, io: &Self::Buffer<Self::Elem>, count: usize) {
        let size = io.size() / count;
        let Some(set) = self.vectors_for_columns(size) else {
            return self.library.batch_interpolate_ntt(io, count);
        };
        words_mut(&mut io.as_slice_mut())
            .par_chunks_exact_mut(size)
            .for_each(|column| runner_vectors::interpolate(set, reverse_roots(), column));
    }

    fn batch_bit_reverse(&self, io: &Self::Buffer<Self::Elem>, count: usize) {
        let size = io.size() / count;
        let Some(set) = self.vectors_for_columns(size) else {
            return self.library.batch_bit_reverse(io, count);
        };
        words_mut(&mut io.as_slice_mut())
            .par_chunks_exact_mut(size)
            .for_each(|column| runner_vectors::reverse_bits(set, column));
    }

    fn batch_evaluate_any(
        &self,
        coeffs: &Self::Buffer<Self::Elem>,
        poly_count: usize,
        which: &Self::Buffer<u32>,
        xs: &Self::Buffer<Self::ExtElem>,
        out: &Self::Buffer<Self::ExtElem>,
    ) {
        let count = coeffs.size() / poly_count;
        let Some(set) = self.vectors.filter(|_| Point::takes(count)) else {
            let library = &self.library;
            return library.batch_evaluate_any(coeffs, poly_count, which, xs, out);
        };
        assert_eq!(coeffs.size(), poly_count * count);
        assert!(xs.size() == which.size() && out.size() == which.size());
        let (coeffs, which, xs) = (coeffs.as_slice(), which.as_slice(), xs.as_slice());
        let coeffs = words(&coeffs);
        // All polynomials are evaluated at the same few points.
        let mut points: Vec<(Ext, Point)> = Vec::new();
        let xs: Vec<usize> = xs
            .iter()
            .map(|x| {
                let x = parts(x);
                let known = points.iter().position(|(point, _)| *point == x);
                known.unwrap_or_else(|| {
                    points.push((x, Point::new(x)));
                    points.len() - 1
                })
            })
            .collect();
        let value = |(id, x): (&u32, &usize)| {
            let polynomial = &coeffs[count * *id as usize..][..count];
            let [a, b, c, d] = points[*x].1.value(set, polynomial).map(Self::Elem::new_raw);
            Self::ExtElem::new(a, b, c, d)
        };
        let mut out = out.as_slice_mut();
        let values = (&which[..], &xs[..]).into_par_iter().map(value);
        (&mut out[..], values)
            .into_par_iter()
            .for_each(|(out, value)| *out = value);
    }

    fn zk_shift(&self, io: &Self::Buffer<Self::Elem>, count: usize) {
        let size = io.size() / count;
        let Some(set) = self.vectors_for_columns(size) else {
            return self.library.zk_shift(io, count);
        };
        let factors = runner_vectors::shift_factors(size);
        words_mut(&mut io.as_slice_mut())
            .par_chunks_exact_mut(size)
            .for_each(|column| runner_vectors::multiply(set, column, factors));
    }

    fn mix_poly_coeffs(
        &self,
        out: &Self::Buffer<Self::ExtElem>,
        mix_start: &Self::ExtElem,
        mix: &Self::ExtElem,
        input: &Self::Buffer<Self::Elem>,
        combos: &Self::Buffer<u32>,
        input_size: usize,
        count: usize,
    ) {
        let Some(set) = self.vectors.filter(|_| count.is_multiple_of(MIX_BLOCK)) else {
            let library = &self.library;
            return library
                .mix_poly_coeffs(out, mix_start, mix, input, combos, input_size, count);
        };
        let (input, combos) = (input.as_slice(), combos.as_slice());
        let columns = words(&input).chunks_exact(count);
        let factors = std::iter::successors(Some(*mix_start), |factor| Some(*factor * *mix));
        let terms: Vec<(u32, &[u32], Ext)> = combos
            .iter()
            .zip(columns)
            .zip(factors)
            .map(|((combo, column), factor)| (*combo, column, parts(&factor)))
            .take(input_size)
            .collect();
        assert_eq!(terms.len(), input_size);
        let mut out = out.as_slice_mut();
        out.chunks_exact_mut(count).enumerate().for_each(|(combo, out)| {
            let (columns, factors): (Vec<&[u32]>, Vec<Ext>) = terms
                .iter()
                .filter(|(id, ..)| *id as usize == combo)
                .map(|(_, column, factor)| (*column, *factor))
                .unzip();
            exts_mut(out)
                .par_chunks_exact_mut(MIX_BLOCK)
                .enumerate()
                .for_each(|(i, out)| {
                    runner_vectors::mix(set, out, &columns, i * MIX_BLOCK, &factors);
                });
        });
    }

    fn eltwise_add_elem(
        &self,
        output: &Self::Buffer<Self::Elem>,
        input1: &Self::Buffer<Self::Elem>,
        input2: &Self::Buffer<Self::Elem>,
    ) {
        self.library.eltwise_add_elem(output, input1, input2);
    }

    fn eltwise_sum_extelem(
        &self,
        output: &Self::Buffer<Self::Elem>,
        input: &Self::Buffer<Self::ExtElem>,
    ) {
        self.library.eltwise_sum_extelem(output, input);
    }

    fn eltwise_copy_elem(
        &self,
        output: &Self::Buffer<Self::Elem>,
        input: &Self::Buffer<Self::Elem>,
    ) {
        let mut witness = self.witness.lock().expect("no holder panics");
        if input.name() == LAST {
            output.take(input);
            witness.drain(..).for_each(|buffer| buffer.give_back());
        } else {
            self.library.eltwise_copy_elem(output, input);
            if WITNESS.contains(&input.name()) {
                witness.push(input.clone());
            }
        }
    }

    fn eltwise_copy_elem_slice(
        &self,
        into: &Self::Buffer<Self::Elem>,
        from: &[Self::Elem],
        from_rows: usize,
        from_cols: usize,
        from_offset: usize,
        from_stride: usize,
        into_offset: usize,
        into_stride: usize,
    ) {
        self.library.eltwise_copy_elem_slice(
            into,
            from,
            from_rows,
            from_cols,
            from_offset,
            from_stride,
            into_offset,
            into_stride,
        );
    }

    fn eltwise_zeroize_elem(&self, elems: &Self::Buffer<Self::Elem>) {
        self.library.eltwise_zeroize_elem(elems);
    }

    fn fri_fold(
        &self,
        output: &Self::Buffer<Self::Elem>,
        input: &Self::Buffer<Self::Elem>,
        mix: &Self::ExtElem,
    ) {
        self.library.fri_fold(output, input, mix);
    }

    fn hash_rows(&self, output: &Self::Buffer<Digest>, matrix: &Self::Buffer<Self::Elem>) {
        let rows = output.size();
        let Some(set) = self.vectors_for_hashes(rows) else {
            return self.library.hash_rows(output, matrix);
        };
        assert_eq!(matrix.size() % rows, 0);
        let matrix = matrix.as_slice();
        let matrix = words(&matrix);
        let mut output = output.as_slice_mut();
        let digests: &mut [u32] = bytemuck::cast_slice_mut(&mut output[..]);
        digests
            .par_chunks_mut(ROWS * DIGEST_WORDS)
            .enumerate()
            .for_each(|(i, digests)| {
                runner_vectors::hash_rows(set, permutation(), matrix, rows, i * ROWS, digests);
            });
    }

    fn hash_fold(&self, io: &Self::Buffer<Digest>, input_size: usize, output_size: usize) {
        let Some(set) = self.vectors_for_hashes(output_size) else {
            return self.library.hash_fold(io, input_size, output_size);
        };
        assert!(io.size() >= 2 * input_size);
        assert_eq!(input_size, 2 * output_size);
        let mut io = io.as_slice_mut();
        let (output, input) = io[..2 * input_size].split_at_mut(input_size);
        let input: &[u32] = bytemuck::cast_slice(input);
        let output: &mut [u32] = bytemuck::cast_slice_mut(&mut output[output_size..]);
        output
            .par_chunks_mut(ROWS * DIGEST_WORDS)
            .zip(input.par_chunks(2 * ROWS * DIGEST_WORDS))
            .for_each(|(folded, pairs)| {
                runner_vectors::hash_pairs(set, permutation(), pairs, folded);
            });
    }

    fn gather_sample(
        &self,
        dst: &Self::Buffer<Self::Elem>,
        src: &Self::Buffer<Self::Elem>,
        idx: usize,
        size: usize,
        stride: usize,
    ) {
        self.library.gather_sample(dst, src, idx, size, stride);
    }

    fn scatter(
        &self,
        into: &Self::Buffer<Self::Elem>,
        index: &[u32],
        offsets: &[u32],
        values: &[Self::Elem],
    ) {
        self.library.scatter(into, index, offsets, values);
    }

    fn prefix_products(&self, io: &Self::Buffer<Self::ExtElem>) {
        self.library.prefix_products(io);
    }
}
