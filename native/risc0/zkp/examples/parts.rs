//! What the parts of a proof cost the processor: the library's code, and ours with each instruction
//! set that this CPU has. All of it works on one thread.
//!
//!     cargo run --release --features prove --example parts -- PO2 COLUMNS
//!
//! PO2 is the power of two of the cycles, which are a quarter of the rows that are hashed. An rv32im
//! segment has 315 columns and 790 taps; a recursion program has 163 columns and 643 taps. Each
//! figure is the processor time of one run in milliseconds.

use std::hint::black_box;

use risc0_core::field::baby_bear::{BabyBear, BabyBearElem, BabyBearExtElem, P};
use risc0_zkp::{
    core::hash::poseidon2::Poseidon2HashSuite,
    hal::{cpu::CpuHal, library, Buffer, Hal},
    INV_RATE,
};

fn main() {
    let arguments: Vec<usize> = std::env::args()
        .skip(1)
        .map(|argument| argument.parse().expect("PO2 and COLUMNS are numbers"))
        .collect();
    let [po2, columns] = arguments[..] else {
        panic!("give PO2 and COLUMNS");
    };
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .use_current_thread()
        .build()
        .expect("a pool of this thread");
    pool.install(|| {
        let library = library::CpuHal::new(Poseidon2HashSuite::new_suite());
        let theirs = parts(&library, 1 << po2, columns);
        let sets = runner_vectors::available();
        let ours: Vec<_> = sets
            .iter()
            .map(|set| {
                let hal = CpuHal::<BabyBear>::with(Poseidon2HashSuite::new_suite(), Some(set));
                parts(&hal, 1 << po2, columns);
                parts(&hal, 1 << po2, columns)
            })
            .collect();
        print!("{:<14} {:>10}", "2^PO2 cycles", "library");
        sets.iter().for_each(|set| print!(" {:>17}", set.name));
        println!();
        for (i, (name, theirs)) in theirs.iter().enumerate() {
            print!("{name:<14} {theirs:>10.1}");
            for ours in ours.iter().map(|ours| ours[i].1) {
                print!(" {ours:>9.2} {:>6.1}x", theirs / ours);
            }
            println!();
        }
    });
}

const P_HALF: BabyBearElem = BabyBearElem::new(P / 2);

type Elements = dyn Fn(usize) -> Vec<BabyBearElem>;

fn parts<H>(hal: &H, cycles: usize, columns: usize) -> Vec<(&'static str, f64)>
where
    H: Hal<Field = BabyBear, Elem = BabyBearElem, ExtElem = BabyBearExtElem>,
{
    let numbers: &Elements = &|count| {
        let spread = |i: usize| (i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let elem = |i| BabyBearElem::new(spread(i) as u32 % P);
        (0..count).map(elem).collect()
    };
    let coefficients = hal.copy_from_elem("coefficients", &numbers(cycles * columns));
    let rows = cycles * INV_RATE;
    let values = hal.alloc_elem("values", rows * columns);
    let nodes = hal.alloc_digest("nodes", 2 * rows);
    let mut times = Vec::new();
    let mut measure = |name, work: &dyn Fn()| {
        let begin = processor_ms();
        work();
        times.push((name, processor_ms() - begin));
    };
    measure("interpolate", &|| {
        hal.batch_interpolate_ntt(&coefficients, columns)
    });
    measure("shift", &|| hal.zk_shift(&coefficients, columns));
    measure("evaluate", &|| {
        hal.batch_expand_into_evaluate_ntt(&values, &coefficients, columns, 2);
    });
    measure("reverse bits", &|| {
        hal.batch_bit_reverse(&coefficients, columns)
    });
    measure("hash rows", &|| {
        hal.hash_rows(&nodes.slice(rows, rows), &values)
    });
    measure("fold", &|| {
        let mut size = rows;
        while size > 1 {
            size /= 2;
            hal.hash_fold(&nodes, 2 * size, size);
        }
    });
    // Two taps a column at four points, and two combinations, are near what both circuits have.
    let which: Vec<u32> = (0..columns as u32).flat_map(|id| [id, id]).collect();
    let point = |i: u32| BabyBearExtElem::new(BabyBearElem::new(i), P_HALF, P_HALF, P_HALF);
    let xs: Vec<_> = (0..which.len() as u32).map(|i| point(i % 4)).collect();
    let out = hal.alloc_extelem("out", which.len());
    let which = hal.copy_from_u32("which", &which);
    let xs = hal.copy_from_extelem("xs", &xs);
    measure("taps", &|| {
        hal.batch_evaluate_any(&coefficients, columns, &which, &xs, &out)
    });
    let combos: Vec<u32> = (0..columns as u32).map(|id| id % 2).collect();
    let combos = hal.copy_from_u32("combos", &combos);
    let mixed = hal.alloc_extelem("mixed", 2 * cycles);
    measure("mix", &|| {
        hal.mix_poly_coeffs(
            &mixed,
            &point(1),
            &point(2),
            &coefficients,
            &combos,
            columns,
            cycles,
        );
    });
    black_box((nodes.get_at(1), out.get_at(0), mixed.get_at(0)));
    times
}

/// The processor time of this thread. Other processes do not lengthen it, as they would wall time.
fn processor_ms() -> f64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the function writes the time that it is given.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(result, 0);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}
