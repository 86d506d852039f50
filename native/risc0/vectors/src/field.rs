//! Single numbers in Montgomery form, for tables that are computed once.

use crate::{MU, P, poly::Ext};

/// 2^64 modulo P.
const R2: u32 = 1_172_168_163;

/// A number below P in Montgomery form.
pub fn montgomery(x: u32) -> u32 {
    mul(x, R2)
}

/// The product of two numbers.
pub fn mul(a: u32, b: u32) -> u32 {
    let product = u64::from(a) * u64::from(b);
    let q = (product as u32).wrapping_mul(MU);
    let (high, low) = (product >> 32, (u64::from(q) * u64::from(P)) >> 32);
    let difference = (high as u32).wrapping_sub(low as u32);
    difference.min(difference.wrapping_add(P))
}

/// The first powers of a number, from 1 on.
pub fn powers(of: u32, count: usize) -> Vec<u32> {
    let next = |power: &u32| Some(mul(*power, of));
    std::iter::successors(Some(montgomery(1)), next)
        .take(count)
        .collect()
}

/// 1 / 2^po2.
pub fn halved(po2: usize) -> u32 {
    let half = montgomery(P / 2 + 1);
    (0..po2).fold(montgomery(1), |power, _| mul(power, half))
}

/// The sum of two numbers.
pub fn add(a: u32, b: u32) -> u32 {
    let sum = a + b;
    sum.min(sum.wrapping_sub(P))
}

/// 1 in the extension.
pub fn ext_one() -> Ext {
    [montgomery(1), 0, 0, 0]
}

/// The product of two elements of the extension: of polynomials modulo x^4 + 11.
pub fn ext_mul(a: Ext, b: Ext) -> Ext {
    let minus_beta = montgomery(P - 11);
    let mut product = [0; 4];
    for (i, a) in a.into_iter().enumerate() {
        for (j, b) in b.into_iter().enumerate() {
            let term = mul(a, b);
            let term = if i + j < 4 {
                term
            } else {
                mul(term, minus_beta)
            };
            product[(i + j) % 4] = add(product[(i + j) % 4], term);
        }
    }
    product
}
