//! The rv32im circuit's constraint polynomial, evaluated at many points at once.
//!
//! The library asks for one point after the other, from several threads. When a thread asks for the
//! first point of a block, all points of the block are computed and kept for that thread's next
//! calls. `build.rs` says where the vector code comes from and how the library's calls get here.

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
use runner_vectors::Instructions;

const OUTS: usize = CircuitImpl::OUTPUT_SIZE;
const MIXES: usize = CircuitImpl::MIX_SIZE;
const MAX_LANES: usize = 16;

/// What `kernels/eval.cpp` says of it.
type Evaluate = unsafe extern "C" fn(
    usize,
    usize,
    *const BabyBearExtElem,
    *const *const BabyBearElem,
    *const usize,
    usize,
    *mut Scratch,
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
}

/// A circuit's vector code for one instruction set, and how many points it evaluates at once.
#[derive(Clone, Copy)]
struct Kernel {
    name: &'static str,
    lanes: usize,
    evaluate: Evaluate,
}

/// The kernel whose symbol is given.
macro_rules! kernel {
    ($name:literal, $lanes:literal, $symbol:ident) => {{
        unsafe extern "C" {
            fn $symbol(
                cycle: usize,
                steps: usize,
                poly_mix: *const BabyBearExtElem,
                args: *const *const BabyBearElem,
                globals: *const usize,
                count: usize,
                scratch: *mut Scratch,
                result: *mut u32,
            );
        }
        Kernel {
            name: $name,
            lanes: $lanes,
            evaluate: $symbol,
        }
    }};
}

const KERNELS: [Kernel; 2] = [
    kernel!("avx512", 16, runner_eval_rv32im_avx512),
    kernel!("avx2", 8, runner_eval_rv32im_avx2),
];

/// The arguments `accum` and `data` are columns, and `out` and `mix` are the same for all points.
const GLOBALS: [usize; 4] = [0, 0, OUTS, MIXES];

fn kernel() -> Option<Kernel> {
    static CHOSEN: OnceLock<Option<Kernel>> = OnceLock::new();
    *CHOSEN.get_or_init(|| runner_vectors::chosen().and_then(kernel_of))
}

fn kernel_of(set: &Instructions) -> Option<Kernel> {
    let mut kernels = KERNELS.into_iter();
    kernels.find(|kernel| kernel.name == set.name)
}

/// The instruction set in use, or `None` where the library's own code is used.
pub fn instructions() -> Option<&'static str> {
    kernel().map(|kernel| kernel.name)
}

/// How many points back the furthest tap reaches.
fn reach() -> usize {
    static REACH: OnceLock<usize> = OnceLock::new();
    *REACH.get_or_init(|| {
        let taps = CircuitImpl.get_taps().taps();
        INV_RATE * taps.map(|tap| tap.back()).max().unwrap_or(0)
    })
}

/// Memory in which a kernel spreads the numbers that are the same at all points over vectors. No
/// circuit has more of them than this one.
#[repr(C, align(64))]
struct Scratch([u32; (OUTS + MIXES) * MAX_LANES]);

impl Scratch {
    fn new() -> Self {
        Scratch([0; (OUTS + MIXES) * MAX_LANES])
    }
}

/// Everything that decides the values of a block's points.
///
/// The challenge is drawn after the prover has committed to all columns, so two blocks with the
/// same challenge have the same columns. Comparing the columns' addresses as well costs nothing.
#[derive(Clone, Copy, PartialEq)]
struct Key {
    block: usize,
    steps: usize,
    challenge: BabyBearExtElem,
    args: [*const BabyBearElem; 4],
}

/// The block of points that a thread computed last.
struct Block {
    key: Option<Key>,
    lanes: usize,
    points: [u32; 4 * MAX_LANES],
    scratch: Box<Scratch>,
}

impl Block {
    fn new() -> Self {
        Self {
            key: None,
            lanes: 0,
            points: [0; 4 * MAX_LANES],
            scratch: Box::new(Scratch::new()),
        }
    }

    fn point(&self, lane: usize) -> BabyBearExtElem {
        let part = |i: usize| BabyBearElem::new_raw(self.points[i * self.lanes + lane]);
        BabyBearExtElem::new(part(0), part(1), part(2), part(3))
    }
}

/// Let the calling thread use the vector code. Its stack must be as large as `STACK_BYTES`.
pub fn enable_here() {
    ENABLED.set(true);
}

thread_local! {
    static ENABLED: Cell<bool> = const { Cell::new(false) };
    static BLOCK: RefCell<Block> = RefCell::new(Block::new());
}

/// Replaces the library's function, which remains available as `__real_...`.
///
/// # Safety
///
/// The caller promises what the library's function asks for: `args` are the columns `accum` and
/// `data`, `steps` numbers each, and the globals `out` and `mix`; `poly_mix` are the powers of the
/// challenge; `steps` is a power of two.
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_risc0_circuit_rv32im_cpu_poly_fp(
    cycle: usize,
    steps: usize,
    poly_mix: *const BabyBearExtElem,
    args: *const *const BabyBearElem,
    result: *mut BabyBearExtElem,
) -> *const c_char {
    let vector = kernel().filter(|kernel| {
        // Taps of the first rows wrap around to the end of the columns.
        let block = cycle - cycle % kernel.lanes;
        ENABLED.get() && block >= reach() && block + kernel.lanes <= steps
    });
    // SAFETY: the caller's promises are passed on to either function, and the block was found to
    // satisfy what `evaluate` asks for besides.
    unsafe {
        let Some(kernel) = vector else {
            return __real_risc0_circuit_rv32im_cpu_poly_fp(cycle, steps, poly_mix, args, result);
        };
        *result = evaluate(kernel, cycle, steps, poly_mix, args);
    }
    std::ptr::null()
}

/// The constraint polynomial at one point, from the thread's block if the point is in it.
///
/// # Safety
///
/// The caller promises what `__wrap_...` asks for, and that no tap of `cycle`'s block wraps around.
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
                (kernel.evaluate)(
                    block,
                    steps,
                    poly_mix,
                    args.as_ptr(),
                    GLOBALS.as_ptr(),
                    GLOBALS.len(),
                    &raw mut *found.scratch,
                    found.points.as_mut_ptr(),
                );
                found.key = Some(key);
                found.lanes = kernel.lanes;
            }
            found.point(lane)
        })
    }
}

mod recursion;
#[cfg(test)]
mod tests;
