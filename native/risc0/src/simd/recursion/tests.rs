//! Every number must be the one that the library's own code computes.

use std::time::Instant;

use risc0_core::field::RootsOfUnity;
use runner_vectors::available;

use super::{
    super::tests::{Numbers, on_large_stack},
    *,
};

struct Columns {
    poly_mix: Vec<BabyBearExtElem>,
    args: [Vec<BabyBearElem>; 5],
    po2: usize,
}

impl Columns {
    fn new(po2: usize) -> Self {
        let mut numbers = Numbers(1);
        let steps = INV_RATE << po2;
        let width = |group| CircuitImpl.get_taps().group_size(group) * steps;
        let (ctrl, data) = (width(REGISTER_GROUP_CTRL), width(REGISTER_GROUP_DATA));
        let sizes = [ctrl, OUTS, data, MIXES, width(REGISTER_GROUP_ACCUM)];
        let args = sizes.map(|size| numbers.column(size));
        let mut ext = || {
            let [a, b, c, d] = [(); 4].map(|()| numbers.elem());
            BabyBearExtElem::new(a, b, c, d)
        };
        let poly_mix = (0..1024).map(|_| ext()).collect();
        Columns {
            poly_mix,
            args,
            po2,
        }
    }

    fn buffers(&self) -> Buffers {
        let [ctrl, global, data, mix, accum] = [0, 1, 2, 3, 4].map(|i| self.args[i].as_ptr());
        Buffers {
            ctrl,
            global,
            data,
            mix,
            accum,
        }
    }

    fn steps(&self) -> usize {
        INV_RATE << self.po2
    }

    fn root(&self) -> BabyBearElem {
        BabyBearElem::ROU_FWD[self.po2 + 2]
    }

    fn theirs(&self) -> Vec<u32> {
        let mut check = vec![BabyBearElem::ZERO; 4 * self.steps()];
        let (buffers, steps) = (self.buffers(), self.steps() as u32);
        let (mix, out) = (self.poly_mix.as_ptr(), check.as_mut_ptr());
        // SAFETY: the function is called as the library calls it.
        let error = unsafe {
            __real_risc0_circuit_recursion_cpu_eval_check(
                &buffers,
                mix,
                out,
                self.root(),
                self.po2 as u32,
                steps,
            )
        };
        assert!(error.is_null());
        check.iter().map(BabyBearElem::as_u32_montgomery).collect()
    }

    fn ours(&self, kernel: Kernel) -> Vec<u32> {
        let mut check = vec![BabyBearElem::ZERO; 4 * self.steps()];
        let domain = Domain::new(self.buffers(), self.steps(), self.poly_mix.as_ptr());
        // SAFETY: there are all columns, globals and powers that the library passes on.
        unsafe { domain.evaluate(kernel, check.as_mut_ptr(), self.root(), self.po2 as u32) };
        check.iter().map(BabyBearElem::as_u32_montgomery).collect()
    }
}

/// Run a test where one thread with a large stack does all work.
pub(super) fn on_one_thread(test: impl FnOnce() + Send + 'static) {
    on_large_stack(|| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .use_current_thread()
            .build();
        pool.expect("a pool of this thread").install(test);
    });
}

#[test]
fn the_whole_domain_is_the_librarys() {
    on_one_thread(|| {
        for po2 in [6, 8] {
            let columns = Columns::new(po2);
            let theirs = columns.theirs();
            for kernel in available().into_iter().filter_map(kernel_of) {
                assert!(columns.ours(kernel) == theirs, "{} 2^{po2}", kernel.name);
            }
        }
    });
}

/// `cargo test --release what_a_point_costs -- --ignored --nocapture`
#[test]
#[ignore = "it only prints times"]
fn what_a_point_costs() {
    on_one_thread(|| {
        let columns = Columns::new(12);
        let time = |name: &str, work: &dyn Fn() -> Vec<u32>| {
            let begin = Instant::now();
            work();
            let per_point = begin.elapsed() / columns.steps() as u32;
            println!("{name}: {per_point:?} a point on one thread");
        };
        for kernel in available().into_iter().filter_map(kernel_of) {
            time(kernel.name, &|| columns.ours(kernel));
        }
        time("library (all cores)", &|| columns.theirs());
    });
}
