//! The rv32im circuit's constraint polynomial, many points at a time.
//!
//! The library asks for one point after the other, from several threads. The first point of a block
//! works out all of them; the others are found where the thread left them. `build.rs` says where the
//! vector code comes from and how the library's calls get here.

use std::{
    cell::{Cell, RefCell},
    ffi::c_char,
    sync::OnceLock,
};

use risc0_circuit_rv32im::CircuitImpl;
use risc0_core::field::baby_bear::{BabyBearElem, BabyBearExtElem};
use risc0_zkp::{
    INV_RATE,
    adapter::{CircuitInfo, TapsProvider},
};

/// Overrides the choice: `off`, `avx2` or `avx512`. For comparisons.
const SWITCH: &str = "RUNNER_SIMD";

const OUTS: usize = CircuitImpl::OUTPUT_SIZE;
const MIXES: usize = CircuitImpl::MIX_SIZE;
const MAX_LANES: usize = 16;

type Evaluate = unsafe extern "C" fn(
    usize,
    usize,
    *const BabyBearExtElem,
    *const BabyBearElem,
    *const BabyBearElem,
    *const BabyBearElem,
    usize,
    *const BabyBearElem,
    usize,
    *mut Room,
    *mut u32,
);

unsafe extern "C" {
    fn __real_risc0_circuit_rv32im_cpu_poly_fp(
        cycle: usize,
        steps: usize,
        poly_mix: *const BabyBearExtElem,
        args: *const *const BabyBearElem,
        result: *mut BabyBearExtElem,
    ) -> *const c_char;
    fn runner_eval_avx2(
        cycle: usize,
        steps: usize,
        poly_mix: *const BabyBearExtElem,
        accum: *const BabyBearElem,
        data: *const BabyBearElem,
        out: *const BabyBearElem,
        outs: usize,
        mix: *const BabyBearElem,
        mixes: usize,
        room: *mut Room,
        result: *mut u32,
    );
    fn runner_eval_avx512(
        cycle: usize,
        steps: usize,
        poly_mix: *const BabyBearExtElem,
        accum: *const BabyBearElem,
        data: *const BabyBearElem,
        out: *const BabyBearElem,
        outs: usize,
        mix: *const BabyBearElem,
        mixes: usize,
        room: *mut Room,
        result: *mut u32,
    );
}

/// The vector code that is used, and how many points it does at once.
#[derive(Clone, Copy)]
struct Kernel {
    name: &'static str,
    lanes: usize,
    evaluate: Evaluate,
}

const AVX512: Kernel = Kernel {
    name: "avx512",
    lanes: 16,
    evaluate: runner_eval_avx512,
};
const AVX2: Kernel = Kernel {
    name: "avx2",
    lanes: 8,
    evaluate: runner_eval_avx2,
};

fn kernel() -> Option<Kernel> {
    static CHOSEN: OnceLock<Option<Kernel>> = OnceLock::new();
    *CHOSEN.get_or_init(|| {
        let wanted = std::env::var(SWITCH).unwrap_or_default();
        let usable = |kernel: &Kernel| wanted.is_empty() || wanted == kernel.name;
        available().into_iter().find(usable)
    })
}

/// What this CPU can run, the fastest first.
fn available() -> Vec<Kernel> {
    let mut kernels = Vec::new();
    if is_x86_feature_detected!("avx512f") {
        kernels.push(AVX512);
    }
    if is_x86_feature_detected!("avx2") {
        kernels.push(AVX2);
    }
    kernels
}

/// The instruction set in use; `None` for the library's own code.
pub fn instructions() -> Option<&'static str> {
    kernel().map(|kernel| kernel.name)
}

/// How far back the furthest tap reaches, in points.
fn reach() -> usize {
    static REACH: OnceLock<usize> = OnceLock::new();
    *REACH.get_or_init(|| {
        let taps = CircuitImpl.get_taps().taps();
        INV_RATE * taps.map(|tap| tap.back()).max().unwrap_or(0)
    })
}

/// Vectors for the numbers that are the same at all points.
#[repr(C, align(64))]
struct Room([u32; (OUTS + MIXES) * MAX_LANES]);

/// What decides the points of a block.
///
/// The challenge is drawn after the prover has committed to all columns, so where it is the same,
/// they are; comparing their places too costs nothing.
#[derive(Clone, Copy, PartialEq)]
struct Key {
    block: usize,
    steps: usize,
    challenge: BabyBearExtElem,
    args: [*const BabyBearElem; 4],
}

struct Block {
    key: Option<Key>,
    lanes: usize,
    points: [u32; 4 * MAX_LANES],
    room: Box<Room>,
}

impl Block {
    fn new() -> Self {
        Self {
            key: None,
            lanes: 0,
            points: [0; 4 * MAX_LANES],
            room: Box::new(Room([0; (OUTS + MIXES) * MAX_LANES])),
        }
    }

    fn point(&self, lane: usize) -> BabyBearExtElem {
        let part = |i: usize| BabyBearElem::new_raw(self.points[i * self.lanes + lane]);
        BabyBearExtElem::new(part(0), part(1), part(2), part(3))
    }
}

/// Lets the calling thread use the vector code. Its stack must be large: see `STACK_BYTES`.
pub fn enable_here() {
    ENABLED.set(true);
}

thread_local! {
    static ENABLED: Cell<bool> = const { Cell::new(false) };
    static BLOCK: RefCell<Block> = RefCell::new(Block::new());
}

/// Stands in for the library's function, which `__real_...` still is.
///
/// # Safety
///
/// As for the library's: `args` are the columns `accum` and `data`, `steps` numbers each, and the
/// globals `out` and `mix`; `poly_mix` are the powers of the challenge; `steps` is a power of two.
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_risc0_circuit_rv32im_cpu_poly_fp(
    cycle: usize,
    steps: usize,
    poly_mix: *const BabyBearExtElem,
    args: *const *const BabyBearElem,
    result: *mut BabyBearExtElem,
) -> *const c_char {
    let vector = kernel().filter(|kernel| {
        // The first rows look back around the end of the columns.
        let block = cycle - cycle % kernel.lanes;
        ENABLED.get() && block >= reach() && block + kernel.lanes <= steps
    });
    // SAFETY: the caller's promises are passed on, and kept: see `evaluate`.
    unsafe {
        let Some(kernel) = vector else {
            return __real_risc0_circuit_rv32im_cpu_poly_fp(cycle, steps, poly_mix, args, result);
        };
        *result = evaluate(kernel, cycle, steps, poly_mix, args);
    }
    std::ptr::null()
}

/// # Safety
///
/// As above, and none of the taps of `cycle`'s block wraps around.
unsafe fn evaluate(
    kernel: Kernel,
    cycle: usize,
    steps: usize,
    poly_mix: *const BabyBearExtElem,
    args: *const *const BabyBearElem,
) -> BabyBearExtElem {
    let lane = cycle % kernel.lanes;
    let block = cycle - lane;
    // SAFETY: there are four columns and globals, and more than one power of the challenge, the
    // first of which is 1. The kernel reads LANES numbers at `column * steps + row` for rows of the
    // block or before it, and as many globals as there are.
    unsafe {
        let args = *args.cast::<[*const BabyBearElem; 4]>();
        let challenge = *poly_mix.add(1);
        let key = Key {
            block,
            steps,
            challenge,
            args,
        };
        BLOCK.with_borrow_mut(|found| {
            if found.key != Some(key) {
                let [accum, data, out, mix] = args;
                (kernel.evaluate)(
                    block,
                    steps,
                    poly_mix,
                    accum,
                    data,
                    out,
                    OUTS,
                    mix,
                    MIXES,
                    &raw mut *found.room,
                    found.points.as_mut_ptr(),
                );
                found.key = Some(key);
                found.lanes = kernel.lanes;
            }
            found.point(lane)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: usize = 1024;

    /// Numbers that look random and are the same in every run (xorshift).
    struct Numbers(u64);

    impl Numbers {
        fn elem(&mut self) -> BabyBearElem {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            BabyBearElem::new((self.0 >> 24) as u32)
        }

        fn column(&mut self, length: usize) -> Vec<BabyBearElem> {
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
            // SAFETY: as the library calls it.
            let error = unsafe {
                __real_risc0_circuit_rv32im_cpu_poly_fp(
                    cycle,
                    STEPS,
                    mix,
                    args.as_ptr(),
                    &mut result,
                )
            };
            assert!(error.is_null());
            result
        }

        fn ours(&self, kernel: Kernel, cycle: usize) -> BabyBearExtElem {
            // SAFETY: the columns have STEPS rows, and `cycle` is past the taps' reach.
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

    fn on_large_stack(test: impl FnOnce() + Send + 'static) {
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
            for kernel in available() {
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
            for kernel in available() {
                // Forwards, backwards and again within one block.
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
                // SAFETY: as the library calls it.
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
}
