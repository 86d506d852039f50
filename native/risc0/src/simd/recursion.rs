//! The recursion circuit's constraint polynomial, evaluated at many points at once.
//!
//! The library asks for the whole domain in one call, so that the blocks are worked out here.

use std::{array, ffi::c_char, ptr, sync::OnceLock};

use rayon::prelude::*;
use risc0_circuit_recursion::{
    CircuitImpl, REGISTER_GROUP_ACCUM, REGISTER_GROUP_CTRL, REGISTER_GROUP_DATA,
};
use risc0_core::field::{
    Elem,
    baby_bear::{BabyBearElem, BabyBearExtElem},
};
use risc0_zkp::{
    INV_RATE,
    adapter::{CircuitInfo, TapsProvider},
};

use super::{ENABLED, Evaluate, Kernel, MAX_LANES, Scratch};

const KERNELS: [Kernel; 2] = [
    kernel!("avx512", 16, runner_eval_recursion_avx512),
    kernel!("avx2", 8, runner_eval_recursion_avx2),
];

const OUTS: usize = CircuitImpl::OUTPUT_SIZE;
const MIXES: usize = CircuitImpl::MIX_SIZE;

/// The arguments in their order, which is that of `Buffers`.
const GLOBALS: [usize; 5] = [0, OUTS, 0, MIXES, 0];

/// The library's `RawAccumBuffers`: columns and globals.
#[repr(C)]
#[derive(Clone, Copy)]
struct Buffers {
    ctrl: *const BabyBearElem,
    global: *const BabyBearElem,
    data: *const BabyBearElem,
    mix: *const BabyBearElem,
    accum: *const BabyBearElem,
}

unsafe extern "C" {
    fn __real_risc0_circuit_recursion_cpu_eval_check(
        buffers: *const Buffers,
        poly_mix: *const BabyBearExtElem,
        check: *mut BabyBearElem,
        root: BabyBearElem,
        po2: u32,
        steps: u32,
    ) -> *const c_char;
}

/// Replaces the library's function, which remains available as `__real_...`.
///
/// # Safety
///
/// The caller promises what the library's function asks for: `ctrl`, `data` and `accum` are columns
/// of `steps` numbers each, `steps` is `INV_RATE << po2`, `poly_mix` are the powers of the challenge,
/// and `check` takes four columns.
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_risc0_circuit_recursion_cpu_eval_check(
    buffers: *const Buffers,
    poly_mix: *const BabyBearExtElem,
    check: *mut BabyBearElem,
    root: BabyBearElem,
    po2: u32,
    steps: u32,
) -> *const c_char {
    // The stack of each thread that works must be large enough.
    let usable = |_: &Kernel| rayon::broadcast(|_| ENABLED.get()).into_iter().all(|on| on);
    let chosen = runner_vectors::chosen().and_then(kernel_of).filter(usable);
    // SAFETY: the caller's promises are passed on to either function.
    unsafe {
        let Some(kernel) = chosen else {
            return __real_risc0_circuit_recursion_cpu_eval_check(
                buffers, poly_mix, check, root, po2, steps,
            );
        };
        let domain = Domain::new(*buffers, steps as usize, poly_mix);
        domain.evaluate(kernel, check, root, po2);
    }
    ptr::null()
}

fn kernel_of(set: &runner_vectors::Instructions) -> Option<Kernel> {
    let mut kernels = KERNELS.into_iter();
    kernels.find(|kernel| kernel.name == set.name)
}

/// How many points back the furthest tap reaches.
fn reach() -> usize {
    static REACH: OnceLock<usize> = OnceLock::new();
    *REACH.get_or_init(|| {
        let taps = CircuitImpl.get_taps().taps();
        INV_RATE * taps.map(|tap| tap.back()).max().unwrap_or(0)
    })
}

/// The columns, and all that the polynomial depends on besides.
struct Domain {
    args: [*const BabyBearElem; 5],
    steps: usize,
    poly_mix: *const BabyBearExtElem,
}

// SAFETY: threads only read what the pointers point to.
unsafe impl Sync for Domain {}

/// A pointer to the result, of which each thread writes other numbers.
#[derive(Clone, Copy)]
struct Check(*mut BabyBearElem);

// SAFETY: see above.
unsafe impl Send for Check {}
unsafe impl Sync for Check {}

impl Check {
    /// # Safety
    ///
    /// The number is one of the result's, and no other thread writes it.
    unsafe fn set(self, at: usize, value: BabyBearElem) {
        // SAFETY: the caller's promise.
        unsafe { self.0.add(at).write(value) }
    }
}

impl Domain {
    fn new(buffers: Buffers, steps: usize, poly_mix: *const BabyBearExtElem) -> Self {
        let Buffers {
            ctrl,
            global,
            data,
            mix,
            accum,
        } = buffers;
        Domain {
            args: [ctrl, global, data, mix, accum],
            steps,
            poly_mix,
        }
    }

    /// Write the polynomial, divided by the one that is zero where the circuit runs.
    ///
    /// # Safety
    ///
    /// The domain is what `__wrap_...` is promised, and `check` takes four columns.
    unsafe fn evaluate(
        &self,
        kernel: Kernel,
        check: *mut BabyBearElem,
        root: BabyBearElem,
        po2: u32,
    ) {
        let (check, steps) = (Check(check), self.steps);
        // The divisor is (3 x)^(2^po2) - 1, and x^(2^po2) is a fourth root of 1.
        let inverses: [BabyBearElem; INV_RATE] = array::from_fn(|i| {
            let x = BabyBearElem::new(3) * root.pow(i);
            (x.pow(1 << po2) - BabyBearElem::ONE).inv()
        });
        // SAFETY: the caller's promise.
        let (head, columns) = unsafe { self.head() };
        (0..steps)
            .into_par_iter()
            .step_by(kernel.lanes)
            .for_each(|block| {
                let mut points = [0; 4 * MAX_LANES];
                // SAFETY: taps of the first points wrap around, but not in their copy.
                unsafe {
                    if block < reach() {
                        head.block(kernel, head.steps / 2 + block, &mut points);
                    } else {
                        self.block(kernel, block, &mut points);
                    }
                }
                for (i, value) in points[..4 * kernel.lanes].iter().enumerate() {
                    let (part, cycle) = (i / kernel.lanes, block + i % kernel.lanes);
                    let value = BabyBearElem::new_raw(*value) * inverses[cycle % INV_RATE];
                    // SAFETY: the four columns have this number, and this is its block.
                    unsafe { check.set(part * steps + cycle, value) };
                }
            });
        drop(columns);
    }

    /// A domain whose second half begins as this one does, and whose first half is this one's end.
    /// It points into the vectors that come with it.
    ///
    /// # Safety
    ///
    /// The columns are what `__wrap_...` is promised.
    unsafe fn head(&self) -> (Domain, [Vec<BabyBearElem>; 3]) {
        let rows = (2 * (reach() + MAX_LANES)).next_power_of_two();
        let groups = [
            (0, REGISTER_GROUP_CTRL),
            (2, REGISTER_GROUP_DATA),
            (4, REGISTER_GROUP_ACCUM),
        ];
        let columns = groups.map(|(arg, group)| {
            let width = CircuitImpl.get_taps().group_size(group);
            (0..width * rows)
                .map(|i| {
                    let (column, row) = (i / rows, i % rows);
                    let row = (self.steps * rows + row - rows / 2) % self.steps;
                    // SAFETY: the group has this column and the column this row.
                    unsafe { *self.args[arg].add(column * self.steps + row) }
                })
                .collect::<Vec<_>>()
        });
        let mut args = self.args;
        for ((arg, _), columns) in groups.into_iter().zip(&columns) {
            args[arg] = columns.as_ptr();
        }
        let head = Domain {
            args,
            steps: rows,
            poly_mix: self.poly_mix,
        };
        (head, columns)
    }

    /// The polynomial at the points of a block.
    ///
    /// # Safety
    ///
    /// The domain is what `__wrap_...` is promised, and no tap of the block wraps around.
    unsafe fn block(&self, kernel: Kernel, block: usize, points: &mut [u32; 4 * MAX_LANES]) {
        let mut scratch = Scratch::new();
        let evaluate: Evaluate = kernel.evaluate;
        // SAFETY: the kernel reads LANES numbers of each column for rows of the block or before it,
        // and as many globals as `GLOBALS` says, for which there is space.
        unsafe {
            evaluate(
                block,
                self.steps,
                self.poly_mix,
                self.args.as_ptr(),
                GLOBALS.as_ptr(),
                GLOBALS.len(),
                &raw mut scratch,
                points.as_mut_ptr(),
            );
        }
    }
}

#[cfg(test)]
mod proofs;
#[cfg(test)]
mod tests;
