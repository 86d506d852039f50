//! Poseidon2 with 24 cells, of which 16 take input: the sponge over the rows of a matrix, and the
//! hash of two digests.

use crate::{Instructions, MU, P};

const CELLS: usize = 24;
const FULL: usize = 8;
const PARTIAL: usize = 21;

/// The words of a digest.
const OUT: usize = 8;

/// The constants of the permutation, as the kernels use them.
#[repr(C)]
pub(crate) struct Constants {
    full: [[u32; CELLS]; FULL],
    partial: [u32; PARTIAL],
    diagonal: [u32; CELLS],
    diagonal_mu: [u32; CELLS],
}

/// The Poseidon2 permutation with its constants.
pub struct Permutation(Constants);

impl Permutation {
    /// Take the constants in the library's form: 24 for each of 29 rounds, the first four and the
    /// last four of which are full, and the diagonal of the internal matrix less 1.
    ///
    /// # Panics
    ///
    /// Panics where there are more or fewer constants.
    #[must_use]
    pub fn new(rounds: &[u32], diagonal: &[u32]) -> Self {
        assert_eq!(rounds.len(), CELLS * (FULL + PARTIAL));
        let diagonal: [u32; CELLS] = diagonal.try_into().expect("one number for each cell");
        let less_p = |constant: u32| constant.wrapping_sub(P);
        let round = |round: usize| &rounds[CELLS * round..CELLS * (round + 1)];
        Permutation(Constants {
            full: std::array::from_fn(|i| {
                let which = if i < FULL / 2 { i } else { i + PARTIAL };
                std::array::from_fn(|cell| less_p(round(which)[cell]))
            }),
            partial: std::array::from_fn(|i| less_p(round(FULL / 2 + i)[0])),
            diagonal,
            diagonal_mu: diagonal.map(|d| d.wrapping_mul(MU)),
        })
    }
}

/// Hash the rows of a matrix from `first` on into digests of 8 words each. The columns of the
/// matrix are `stride` numbers long.
///
/// # Panics
///
/// Panics where the rows are not a multiple of `set.lanes` or not all in the matrix.
pub fn hash_rows(
    set: &Instructions,
    permutation: &Permutation,
    matrix: &[u32],
    stride: usize,
    first: usize,
    digests: &mut [u32],
) {
    let rows = digests.len() / OUT;
    assert!(digests.len().is_multiple_of(OUT) && rows.is_multiple_of(set.lanes));
    assert!(matrix.len().is_multiple_of(stride) && first + rows <= stride);
    // SAFETY: the kernel reads `rows` numbers from `first` on in each column, and writes 8 words
    // for each row.
    unsafe {
        (set.hash_rows)(
            &raw const permutation.0,
            matrix.as_ptr().add(first),
            matrix.len() / stride,
            stride,
            rows,
            digests.as_mut_ptr(),
        );
    }
}

/// Hash pairs of neighbouring digests into one digest each.
///
/// # Panics
///
/// Panics where the pairs are not a multiple of `set.lanes`, where there are not two digests for
/// each digest of the result, or where a word of a digest is not below P.
pub fn hash_pairs(
    set: &Instructions,
    permutation: &Permutation,
    digests: &[u32],
    folded: &mut [u32],
) {
    let pairs = folded.len() / OUT;
    assert!(folded.len().is_multiple_of(OUT) && pairs.is_multiple_of(set.lanes));
    assert_eq!(digests.len(), 2 * folded.len());
    assert!(digests.iter().all(|word| *word < P));
    // SAFETY: the kernel reads 16 words and writes 8 for each pair.
    unsafe {
        (set.hash_pairs)(
            &raw const permutation.0,
            digests.as_ptr(),
            pairs,
            folded.as_mut_ptr(),
        );
    }
}
