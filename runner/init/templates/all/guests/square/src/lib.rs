//! What the guest computes. Nothing here knows the zkVM.
#![no_std]

/// The square of a number, which always fits.
pub fn square(n: u32) -> u64 {
    u64::from(n) * u64::from(n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_square_fits() {
        assert_eq!(square(3), 9);
        assert_eq!(square(u32::MAX), 18_446_744_065_119_617_025);
    }
}
