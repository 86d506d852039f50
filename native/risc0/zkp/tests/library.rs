//! Every function of our `CpuHal` must give what the library's gives, bit for bit, with each
//! instruction set that this CPU has.

#![cfg(feature = "prove")]

use risc0_core::field::{
    baby_bear::{BabyBear, BabyBearElem, BabyBearExtElem, P},
    Elem as _,
};
use risc0_zkp::{
    core::{
        digest::Digest,
        hash::{poseidon2::Poseidon2HashSuite, sha::Sha256HashSuite},
    },
    hal::{cpu::CpuHal, library, Buffer, Hal},
};

type Library = library::CpuHal<BabyBear>;
type Ours = CpuHal<BabyBear>;

fn library() -> Library {
    Library::new(Poseidon2HashSuite::new_suite())
}

/// Our own, once for each instruction set and once without any.
fn ours() -> Vec<(&'static str, Ours)> {
    let sets = runner_vectors::available().into_iter().map(Some);
    sets.chain([None])
        .map(|set| {
            let name = set.map_or("none", |set| set.name);
            (name, Ours::with(Poseidon2HashSuite::new_suite(), set))
        })
        .collect()
}

/// Numbers that are the same in every run (xorshift). Some are those next to which arithmetic is
/// most easily wrong.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn elem(&mut self) -> BabyBearElem {
        const EDGES: [u32; 8] = [0, 1, 2, P / 2, P / 2 + 1, P - 2, P - 1, 1 << 27];
        let number = self.next();
        // The Montgomery form is what the kernels see, so edges are edges in that form.
        BabyBearElem::new_raw(match number % 5 {
            0 => EDGES[(number >> 8) as usize % EDGES.len()],
            _ => (number >> 24) as u32 % P,
        })
    }

    fn elems(&mut self, count: usize) -> Vec<BabyBearElem> {
        (0..count).map(|_| self.elem()).collect()
    }

    fn digests(&mut self, count: usize) -> Vec<Digest> {
        let word = |_| self.elem().as_u32_montgomery();
        let words: Vec<u32> = (0..8 * count).map(word).collect();
        words
            .chunks(8)
            .map(|words| Digest::try_from(words).expect("8 words"))
            .collect()
    }
}

/// The numbers as they are in memory: two ways to write zero would be a difference.
fn raw(elems: &[BabyBearElem]) -> Vec<u32> {
    elems.iter().map(BabyBearElem::as_u32_montgomery).collect()
}

fn hashed_rows(
    hal: &impl Hal<Elem = BabyBearElem>,
    matrix: &[BabyBearElem],
    rows: usize,
) -> Vec<Digest> {
    let matrix = hal.copy_from_elem("matrix", matrix);
    let output = hal.alloc_digest("output", rows);
    hal.hash_rows(&output, &matrix);
    output.to_vec()
}

#[test]
fn rows_are_hashed_as_the_library_does() {
    let mut numbers = Numbers(1);
    for columns in [1, 2, 15, 16, 17, 31, 32, 33, 100] {
        for rows in [1, 2, 4, 8, 16, 32, 512] {
            let matrix = numbers.elems(rows * columns);
            let theirs = hashed_rows(&library(), &matrix, rows);
            for (name, hal) in ours() {
                assert!(
                    hashed_rows(&hal, &matrix, rows) == theirs,
                    "{name} {rows} x {columns}"
                );
            }
        }
    }
}

#[test]
fn rows_of_one_number_are_hashed_as_the_library_does() {
    for number in [0, 1, P / 2, P - 1] {
        let matrix = vec![BabyBearElem::new_raw(number); 64 * 40];
        let theirs = hashed_rows(&library(), &matrix, 64);
        for (name, hal) in ours() {
            assert!(hashed_rows(&hal, &matrix, 64) == theirs, "{name} {number}");
        }
    }
}

fn fold(hal: &impl Hal, digests: &[Digest], folded: usize) -> Vec<Digest> {
    let io = hal.copy_from_digest("io", digests);
    hal.hash_fold(&io, 2 * folded, folded);
    io.to_vec()
}

#[test]
fn digests_are_folded_as_the_library_does() {
    let mut numbers = Numbers(2);
    for folded in [1, 2, 8, 16, 64, 1024] {
        let digests = numbers.digests(4 * folded);
        let theirs = fold(&library(), &digests, folded);
        for (name, hal) in ours() {
            assert!(fold(&hal, &digests, folded) == theirs, "{name} {folded}");
        }
    }
}

#[test]
fn a_word_that_is_no_number_is_refused() {
    for (name, hal) in ours() {
        let mut digests = Numbers(3).digests(64);
        digests[40] = Digest::from([P; 8]);
        let io = hal.copy_from_digest("io", &digests);
        let fold = || hal.hash_fold(&io, 32, 16);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(fold));
        assert!(outcome.is_err(), "{name}");
    }
}

#[test]
fn another_hash_is_left_to_the_library() {
    let matrix = Numbers(4).elems(32 * 20);
    let theirs = hashed_rows(&Library::new(Sha256HashSuite::new_suite()), &matrix, 32);
    for set in runner_vectors::available() {
        let hal = Ours::with(Sha256HashSuite::new_suite(), Some(set));
        assert!(hashed_rows(&hal, &matrix, 32) == theirs, "{}", set.name);
    }
}

const SIZES: [usize; 12] = [
    1,
    2,
    16,
    64,
    128,
    256,
    512,
    1 << 11,
    1 << 12,
    1 << 13,
    1 << 14,
    1 << 16,
];

/// Columns of random numbers, and columns of one number, of each size.
fn columns() -> impl Iterator<Item = (usize, Vec<BabyBearElem>)> {
    let mut numbers = Numbers(5);
    SIZES.into_iter().flat_map(move |size| {
        let mut all = vec![(size, numbers.elems(3 * size))];
        all.extend([0, 1, P - 1].map(|x| (size, vec![BabyBearElem::new_raw(x); 3 * size])));
        all
    })
}

fn changed(
    hal: &impl Hal<Elem = BabyBearElem>,
    columns: &[BabyBearElem],
    change: Change,
) -> Vec<u32> {
    let io = hal.copy_from_elem("io", columns);
    match change {
        Change::Interpolated => hal.batch_interpolate_ntt(&io, 3),
        Change::Shifted => hal.zk_shift(&io, 3),
        Change::Reversed => hal.batch_bit_reverse(&io, 3),
    }
    raw(&io.to_vec())
}

#[derive(Clone, Copy, Debug)]
enum Change {
    Interpolated,
    Shifted,
    Reversed,
}

#[test]
fn columns_are_changed_as_the_library_does() {
    for (size, columns) in columns() {
        for change in [Change::Interpolated, Change::Shifted, Change::Reversed] {
            // The library cannot shift or reverse a single number.
            if size == 1 && !matches!(change, Change::Interpolated) {
                continue;
            }
            let theirs = changed(&library(), &columns, change);
            for (name, hal) in ours() {
                assert!(
                    changed(&hal, &columns, change) == theirs,
                    "{name} {size} {change:?}"
                );
            }
        }
    }
}

fn evaluated(
    hal: &impl Hal<Elem = BabyBearElem>,
    columns: &[BabyBearElem],
    expand_po2: usize,
) -> Vec<u32> {
    let input = hal.copy_from_elem("input", columns);
    let output = hal.alloc_elem("output", columns.len() << expand_po2);
    hal.batch_expand_into_evaluate_ntt(&output, &input, 3, expand_po2);
    raw(&output.to_vec())
}

#[test]
fn columns_are_evaluated_as_the_library_does() {
    for (size, columns) in columns() {
        for expand_po2 in [0, 1, 2, 3] {
            let theirs = evaluated(&library(), &columns, expand_po2);
            for (name, hal) in ours() {
                let ours = evaluated(&hal, &columns, expand_po2);
                assert!(ours == theirs, "{name} {size} << {expand_po2}");
            }
        }
    }
}

impl Numbers {
    fn exts(&mut self, count: usize) -> Vec<BabyBearExtElem> {
        let mut ext = || {
            let [a, b, c, d] = [(); 4].map(|()| self.elem());
            BabyBearExtElem::new(a, b, c, d)
        };
        (0..count).map(|_| ext()).collect()
    }
}

fn raw_exts(elems: &[BabyBearExtElem]) -> Vec<u32> {
    elems.iter().flat_map(|elem| raw(elem.elems())).collect()
}

fn values<H>(hal: &H, columns: &[BabyBearElem], which: &[u32], xs: &[BabyBearExtElem]) -> Vec<u32>
where
    H: Hal<Elem = BabyBearElem, ExtElem = BabyBearExtElem>,
{
    let coefficients = hal.copy_from_elem("coefficients", columns);
    let out = hal.alloc_extelem("out", which.len());
    let xs = hal.copy_from_extelem("xs", xs);
    let which = hal.copy_from_u32("which", which);
    hal.batch_evaluate_any(&coefficients, 3, &which, &xs, &out);
    raw_exts(&out.to_vec())
}

#[test]
fn values_at_points_are_the_librarys() {
    let mut points = Numbers(6).exts(2);
    points.extend([0, 1, P - 1].map(BabyBearExtElem::from_u32));
    for (size, columns) in columns() {
        let which = [0, 0, 1, 2, 2, 2, 1];
        let xs = [0, 1, 0, 2, 3, 4, 1].map(|i: usize| points[i]);
        let theirs = values(&library(), &columns, &which, &xs);
        for (name, hal) in ours() {
            assert!(
                values(&hal, &columns, &which, &xs) == theirs,
                "{name} {size}"
            );
        }
    }
}

fn mixed<H>(hal: &H, columns: &[BabyBearElem], mix: &[BabyBearExtElem]) -> Vec<u32>
where
    H: Hal<Elem = BabyBearElem, ExtElem = BabyBearExtElem>,
{
    let which = [0, 2, 0, 0, 3, 0, 0, 2];
    let count = columns.len() / which.len();
    let out = hal.copy_from_extelem("out", &Numbers(8).exts(4 * count));
    let input = hal.copy_from_elem("input", columns);
    let which = hal.copy_from_u32("which", &which);
    hal.mix_poly_coeffs(&out, &mix[0], &mix[1], &input, &which, which.size(), count);
    raw_exts(&out.to_vec())
}

#[test]
fn polynomials_are_mixed_as_the_library_does() {
    let mut numbers = Numbers(7);
    let number = BabyBearElem::new_raw(P - 1);
    let largest = vec![BabyBearExtElem::new(number, number, number, number); 2];
    for size in [1, 16, 128, 256, 512, 2048] {
        for columns in [
            numbers.elems(8 * size),
            vec![BabyBearElem::new_raw(P - 1); 8 * size],
        ] {
            for mix in [numbers.exts(2), largest.clone()] {
                let theirs = mixed(&library(), &columns, &mix);
                for (name, hal) in ours() {
                    assert!(mixed(&hal, &columns, &mix) == theirs, "{name} {size}");
                }
            }
        }
    }
}

#[test]
fn a_witness_is_given_back_once_its_last_buffer_is_copied() {
    let mut numbers = Numbers(9);
    for (name, hal) in ours() {
        let copied = |buffer: &<Ours as Hal>::Buffer<BabyBearElem>| {
            let copy = hal.alloc_elem("coeffs", buffer.size());
            hal.eltwise_copy_elem(&copy, buffer);
            raw(&copy.to_vec())
        };
        let elems = numbers.elems(64);
        // A second proof by the same prover is like the first.
        for _ in 0..2 {
            let [data, other, accum] = ["data", "other", "accum"].map(|name| {
                let buffer = hal.alloc_elem(name, elems.len());
                buffer.view_mut(|view| view.copy_from_slice(&elems));
                buffer
            });
            for buffer in [&data, &other] {
                assert_eq!(copied(buffer), raw(&elems), "{name}");
                assert_eq!(raw(&buffer.to_vec()), raw(&elems), "{name}");
            }
            assert_eq!(copied(&accum), raw(&elems), "{name}");
            assert!(data.to_vec().is_empty() && accum.to_vec().is_empty());
            assert_eq!(raw(&other.to_vec()), raw(&elems), "{name}");
        }
    }
}

#[test]
fn new_buffers_have_the_numbers_of_the_librarys() {
    let (theirs, value) = (library(), BabyBearElem::INVALID);
    for (name, hal) in ours() {
        assert_eq!(
            raw(&hal.alloc_elem("a", 9).to_vec()),
            raw(&theirs.alloc_elem("a", 9).to_vec()),
            "{name}"
        );
        assert_eq!(
            hal.alloc_digest("a", 3).to_vec(),
            theirs.alloc_digest("a", 3).to_vec()
        );
        for hal in [
            hal.alloc_extelem("a", 5).to_vec(),
            hal.alloc_extelem_zeroed("a", 5).to_vec(),
        ] {
            assert_eq!(hal, theirs.alloc_extelem_zeroed("a", 5).to_vec());
        }
        let filled = |buffer: Vec<BabyBearElem>| raw(&buffer);
        assert_eq!(
            filled(hal.alloc_elem_init("a", 99, value).to_vec()),
            filled(theirs.alloc_elem_init("a", 99, value).to_vec())
        );
    }
}
