//! Every point must be the one that the library's own code computes.

use runner_vectors::available;

use super::*;

const STEPS: usize = 1024;

/// Pseudo-random numbers that are the same in every run (xorshift).
pub(super) struct Numbers(pub(super) u64);

impl Numbers {
    pub(super) fn elem(&mut self) -> BabyBearElem {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        BabyBearElem::new((self.0 >> 24) as u32)
    }

    pub(super) fn column(&mut self, length: usize) -> Vec<BabyBearElem> {
        (0..length).map(|_| self.elem()).collect()
    }
}

struct Domain {
    poly_mix: Vec<BabyBearExtElem>,
    columns: [Vec<BabyBearElem>; 4],
}

impl Domain {
    fn new(seed: u64) -> Self {
        let mut numbers = Numbers(seed);
        let width = |group| CircuitImpl.get_taps().group_size(group) * STEPS;
        let columns = [width(0), width(2), OUTS, MIXES].map(|n| numbers.column(n));
        let mut ext = || {
            let [a, b, c, d] = [(); 4].map(|()| numbers.elem());
            BabyBearExtElem::new(a, b, c, d)
        };
        Domain {
            poly_mix: (0..1024).map(|_| ext()).collect(),
            columns,
        }
    }

    fn args(&self) -> [*const BabyBearElem; 4] {
        [0, 1, 2, 3].map(|i| self.columns[i].as_ptr())
    }

    fn theirs(&self, cycle: usize) -> BabyBearExtElem {
        let mut result = BabyBearExtElem::default();
        let (mix, args) = (self.poly_mix.as_ptr(), self.args());
        // SAFETY: the function is called as the library calls it.
        let error = unsafe {
            __real_risc0_circuit_rv32im_cpu_poly_fp(cycle, STEPS, mix, args.as_ptr(), &mut result)
        };
        assert!(error.is_null());
        result
    }

    fn ours(&self, kernel: Kernel, cycle: usize) -> BabyBearExtElem {
        // SAFETY: the columns have STEPS rows, and the taps of `cycle`'s block do not wrap around.
        unsafe {
            evaluate(
                kernel,
                cycle,
                STEPS,
                self.poly_mix.as_ptr(),
                self.args().as_ptr(),
            )
        }
    }
}

pub(super) fn on_large_stack(test: impl FnOnce() + Send + 'static) {
    let builder = std::thread::Builder::new().stack_size(crate::STACK_BYTES);
    let test = move || {
        enable_here();
        test();
    };
    builder.spawn(test).unwrap().join().unwrap();
}

#[test]
fn every_point_is_the_librarys() {
    on_large_stack(|| {
        let domain = Domain::new(1);
        for kernel in available().into_iter().filter_map(kernel_of) {
            for cycle in reach().next_multiple_of(16)..STEPS {
                let (ours, theirs) = (domain.ours(kernel, cycle), domain.theirs(cycle));
                assert_eq!(ours, theirs, "{} at {cycle}", kernel.name);
            }
        }
    });
}

#[test]
fn a_block_is_not_kept_for_another_domain() {
    on_large_stack(|| {
        let domains = [Domain::new(1), Domain::new(2)];
        for kernel in available().into_iter().filter_map(kernel_of) {
            // The points go forwards, backwards, and back to a block that was left.
            for cycle in [500, 501, 497, 900, 501] {
                for domain in &domains {
                    let (ours, theirs) = (domain.ours(kernel, cycle), domain.theirs(cycle));
                    assert_eq!(ours, theirs, "{} at {cycle}", kernel.name);
                }
            }
        }
    });
}

#[test]
fn the_first_rows_are_left_to_the_library() {
    on_large_stack(|| {
        let domain = Domain::new(3);
        for cycle in [0, 1, 15, 271, 272, 273, STEPS - 1] {
            let mut result = BabyBearExtElem::default();
            let (mix, args) = (domain.poly_mix.as_ptr(), domain.args());
            // SAFETY: the function is called as the library calls it.
            let error = unsafe {
                __wrap_risc0_circuit_rv32im_cpu_poly_fp(
                    cycle,
                    STEPS,
                    mix,
                    args.as_ptr(),
                    &mut result,
                )
            };
            assert!(error.is_null());
            assert_eq!(result, domain.theirs(cycle), "at {cycle}");
        }
    });
}
