//! Transforms between a polynomial's coefficients and its values, and what is done to coefficients
//! in between. Coefficients are in the order of their reversed bits, as in the library.

use std::{array, ptr, sync::OnceLock};

use crate::{Instructions, P, field};

/// The highest power of two that has a root of unity in the field, and one more for a level 0.
const LEVELS: usize = 28;

/// How much a polynomial's values outnumber its coefficients, as a power of two.
const EXPAND_PO2: usize = 2;

/// Powers of the roots of unity. They are computed when a transform first needs them, and kept.
pub struct Roots {
    roots: [u32; LEVELS],
    levels: [OnceLock<Vec<u32>>; LEVELS],
}

impl Roots {
    /// Take the library's root of unity for each power of two.
    ///
    /// # Panics
    ///
    /// Panics where there are more or fewer roots.
    #[must_use]
    pub fn new(roots: &[u32]) -> Self {
        Roots {
            roots: roots.try_into().expect("a root for each level"),
            levels: array::from_fn(|_| OnceLock::new()),
        }
    }

    /// The tables up to a level. Level k has the first 2^(k-1) powers of the root of 2^k.
    fn up_to(&self, level: usize) -> [*const u32; LEVELS] {
        array::from_fn(|k| {
            if k == 0 || k > level {
                return ptr::null();
            }
            let table = || field::powers(self.roots[k], 1 << (k - 1));
            self.levels[k].get_or_init(table).as_ptr()
        })
    }
}

/// Whether a polynomial of this many coefficients is large enough for the functions below.
#[must_use]
pub fn is_large(set: &Instructions, size: usize) -> bool {
    size.is_power_of_two() && size >= set.lanes * set.lanes
}

/// Evaluate one polynomial at four times as many points as it has coefficients.
///
/// # Panics
///
/// Panics where `values` is not four times as long as `coefficients`, or those are too few.
pub fn evaluate(set: &Instructions, roots: &Roots, values: &mut [u32], coefficients: &[u32]) {
    assert!(is_large(set, coefficients.len()));
    assert_eq!(values.len(), coefficients.len() << EXPAND_PO2);
    let po2 = coefficients.len().ilog2() as usize;
    let tables = roots.up_to(po2 + EXPAND_PO2);
    // SAFETY: the lengths are what the kernel asks for, and there is a table for each level.
    unsafe {
        (set.evaluate)(
            values.as_mut_ptr(),
            coefficients.as_ptr(),
            po2,
            tables.as_ptr(),
        );
    }
}

/// Find the coefficients of one polynomial from its values at the powers of a root. `roots` are the
/// inverse roots.
///
/// # Panics
///
/// Panics where there are too few values.
pub fn interpolate(set: &Instructions, roots: &Roots, io: &mut [u32]) {
    assert!(is_large(set, io.len()));
    let po2 = io.len().ilog2() as usize;
    let tables = roots.up_to(po2);
    // SAFETY: as in `evaluate`.
    unsafe { (set.interpolate)(io.as_mut_ptr(), po2, field::halved(po2), tables.as_ptr()) }
}

/// Put numbers into the order of their reversed bits.
///
/// # Panics
///
/// Panics where there are too few numbers.
pub fn reverse_bits(set: &Instructions, io: &mut [u32]) {
    assert!(is_large(set, io.len()));
    // SAFETY: the kernel works on 2^po2 numbers, of which it asks for a square of a vector.
    unsafe { (set.reverse_bits)(io.as_mut_ptr(), io.len().ilog2() as usize) }
}

/// The factors that turn f(x) into f(3 x): powers of 3 in the order of reversed bits. They are kept.
#[must_use]
pub fn shift_factors(size: usize) -> &'static [u32] {
    static FACTORS: [OnceLock<Vec<u32>>; 32] = [const { OnceLock::new() }; 32];
    assert!(size.is_power_of_two() && size > 1);
    let po2 = size.ilog2();
    FACTORS[po2 as usize].get_or_init(|| {
        let powers = field::powers(field::montgomery(3), size);
        let reversed = |i: usize| i.reverse_bits() >> (usize::BITS - po2);
        (0..size).map(|i| powers[reversed(i)]).collect()
    })
}

/// Multiply each number by its factor.
///
/// # Panics
///
/// Panics where there are not as many factors, or they do not fill vectors.
pub fn multiply(set: &Instructions, io: &mut [u32], factors: &[u32]) {
    assert!(io.len() == factors.len() && io.len().is_multiple_of(set.lanes));
    debug_assert!(factors.iter().all(|factor| *factor < P));
    // SAFETY: the kernel reads and writes this many numbers.
    unsafe { (set.multiply)(io.as_mut_ptr(), factors.as_ptr(), io.len()) }
}
