//! The Fibonacci sequence, iteratively.

/// The last index whose Fibonacci number fits into a `u64`.
pub const MAX_N: u32 = 93;

/// `fibonacci(0) = 0`, `fibonacci(1) = 1`, and so on; `None` where the result does not fit.
pub fn fibonacci(n: u32) -> Option<u64> {
    if n > MAX_N {
        return None;
    }
    // `next` is one step ahead and would overflow at n = 93 although the result does not; the
    // wrapped value is never returned.
    let (mut current, mut next) = (0u64, 1u64);
    for _ in 0..n {
        (current, next) = (next, current.wrapping_add(next));
    }
    Some(current)
}

#[cfg(test)]
mod tests {
    use super::fibonacci;

    #[test]
    fn known_values() {
        assert_eq!(fibonacci(0), Some(0));
        assert_eq!(fibonacci(1), Some(1));
        assert_eq!(fibonacci(2), Some(1));
        assert_eq!(fibonacci(10), Some(55));
        assert_eq!(fibonacci(20), Some(6765));
        assert_eq!(fibonacci(92), Some(7_540_113_804_746_346_429));
        assert_eq!(fibonacci(93), Some(12_200_160_415_121_876_738));
    }

    #[test]
    fn every_value_is_the_sum_of_the_two_before_it() {
        for n in 2..=93 {
            let sum = fibonacci(n - 1)
                .unwrap()
                .checked_add(fibonacci(n - 2).unwrap());
            assert_eq!(fibonacci(n), sum);
        }
    }

    #[test]
    fn what_does_not_fit_is_none() {
        assert_eq!(fibonacci(94), None);
        assert_eq!(fibonacci(u32::MAX), None);
    }
}
