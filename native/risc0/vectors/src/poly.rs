//! Polynomials with coefficients in the field: their values at points of the extension of degree
//! four, and their sums with factors of the extension.

use crate::{Instructions, field};

/// An element of the extension, whose four parts are numbers of the field.
pub type Ext = [u32; 4];

/// The powers of a point that are kept, so that they stay in the cache beside the coefficients.
const BLOCK: usize = 1024;

/// The most lanes that a vector has.
const MAX_LANES: usize = 16;

/// The coefficients to which [`mix`] adds at a time. The kernel has space for them.
pub const MIX_BLOCK: usize = 256;

/// A point at which polynomials are evaluated.
pub struct Point {
    powers: Vec<u32>,
    step: Ext,
}

impl Point {
    /// Take the point and compute its powers.
    #[must_use]
    pub fn new(x: Ext) -> Self {
        let mut powers = vec![0; 4 * BLOCK];
        let mut power = field::ext_one();
        for i in 0..BLOCK {
            for (part, value) in power.iter().enumerate() {
                powers[part * BLOCK + i] = *value;
            }
            power = field::ext_mul(power, x);
        }
        Point {
            powers,
            step: power,
        }
    }

    /// The value of a polynomial, whose coefficients are in their natural order.
    ///
    /// # Panics
    ///
    /// Panics where [`Point::takes`] is false for the number of coefficients.
    #[must_use]
    pub fn value(&self, set: &Instructions, coefficients: &[u32]) -> Ext {
        assert!(Self::takes(coefficients.len()));
        let mut lanes = [0; 4 * MAX_LANES];
        // SAFETY: the kernel reads the coefficients in blocks and the powers of one block. It writes
        // a vector for each of four parts.
        unsafe {
            (set.evaluate_at)(
                coefficients.as_ptr(),
                coefficients.len(),
                self.powers.as_ptr(),
                BLOCK,
                &raw const self.step,
                lanes.as_mut_ptr(),
            );
        }
        let sum = |part: &[u32]| part.iter().fold(0, |sum, lane| field::add(sum, *lane));
        std::array::from_fn(|part| sum(&lanes[part * set.lanes..(part + 1) * set.lanes]))
    }

    /// Whether polynomials of this many coefficients can be evaluated.
    #[must_use]
    pub fn takes(coefficients: usize) -> bool {
        coefficients > 0 && coefficients.is_multiple_of(BLOCK)
    }
}

/// Add polynomials, each times its factor, to one with coefficients in the extension: to `out.len()`
/// of its coefficients, with as many from `first` on of each column.
///
/// # Panics
///
/// Panics where there are more than [`MIX_BLOCK`] coefficients or they do not fill vectors, where a
/// column has too few, or where there are not as many factors as columns.
pub fn mix(set: &Instructions, out: &mut [Ext], columns: &[&[u32]], first: usize, factors: &[Ext]) {
    let count = out.len();
    assert!(count <= MIX_BLOCK && count.is_multiple_of(set.lanes));
    assert_eq!(columns.len(), factors.len());
    let columns: Vec<*const u32> = columns
        .iter()
        .map(|column| column[first..first + count].as_ptr())
        .collect();
    // SAFETY: the kernel reads `count` numbers of each column, and adds to four times as many.
    unsafe {
        (set.mix)(
            out.as_mut_ptr().cast(),
            count,
            columns.as_ptr(),
            factors.as_ptr(),
            columns.len(),
        );
    }
}
