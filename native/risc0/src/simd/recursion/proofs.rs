//! Proofs of recursion programs of our own. The official ones are not at hand in every build, and a
//! program costs what its rows cost, whatever it does.

use risc0_circuit_recursion::{
    CircuitImpl,
    prove::{Program, Prover},
};
use risc0_core::field::{Elem, baby_bear::BabyBearElem};
use risc0_zkp::{
    ZK_CYCLES,
    core::{digest::Digest, hash::poseidon2::Poseidon2HashSuite},
    verify::{VerificationError, verify},
};

use super::tests::on_one_thread;

/// The columns of a program's row: the address that it writes, one of seven kinds, and what the kind
/// needs (`CODE_LAYOUT` of the circuit's crate).
const WIDTH: usize = 23;
const FIRST_OF_KIND: usize = 8;

#[derive(Clone, Copy)]
enum Kind {
    Micro = 1,
    Macro = 2,
    Load = 3,
    Full = 4,
    Partial = 5,
    Store = 6,
}

/// The micro operations that are used here, each with two operands.
const CONSTANT: u32 = 0;
const ADD: u32 = 1;
const SUBTRACT: u32 = 2;
const MULTIPLY: u32 = 3;
const INVERT: u32 = 4;

/// The macro operations, by their column after the first of the kind.
const MEMORY_BEGINS: usize = 1;
const MEMORY_ENDS: usize = 2;

/// A program that writes its memory once, address after address.
struct Builder {
    rows: Vec<[u32; WIDTH]>,
    next: u32,
}

impl Builder {
    /// A program of `2^po2` rows: sums, products and inverses of what is there, and hashes of these,
    /// up to the rows that the prover fills with random numbers.
    fn full(po2: usize) -> Program {
        let mut program = Self {
            rows: Vec::new(),
            next: 1,
        };
        let last = (1 << po2) - ZK_CYCLES - 1;
        program.row(Kind::Macro, 0, &[(MEMORY_BEGINS, 1)]);
        program.micro([[CONSTANT, 3, 5], [CONSTANT, 7, 0], [CONSTANT, 11, 1]]);
        while program.rows.len() < last {
            let end = program.next - 1;
            let begin = end.saturating_sub(23).max(1);
            program.micro([
                [MULTIPLY, end, begin],
                [ADD, end, end - 1],
                [SUBTRACT, end, begin],
            ]);
            program.micro([
                [INVERT, end, 1],
                [MULTIPLY, end - 1, end],
                [ADD, begin, begin],
            ]);
            if program.next > 24 && program.rows.len() + 11 <= last {
                program.hash();
            }
        }
        program.rows.truncate(last);
        program.next = program.rows[last - 1][0] + program.written_by(last - 1);
        program.row(Kind::Macro, 0, &[(MEMORY_ENDS, 1)]);
        let code: Vec<u32> = program.rows.concat();
        Program::from_encoded(&code, po2)
    }

    /// One row, which writes `count` numbers, with these columns after the first of its kind.
    fn row(&mut self, kind: Kind, count: u32, columns: &[(usize, u32)]) {
        let mut row = [0; WIDTH];
        row[0] = self.next;
        row[kind as usize] = 1;
        for (column, value) in columns {
            row[FIRST_OF_KIND + column] = *value;
        }
        self.rows.push(row);
        self.next += count;
    }

    /// Three operations, each with its code and two operands.
    fn micro(&mut self, operations: [[u32; 3]; 3]) {
        let columns: Vec<(usize, u32)> = operations
            .iter()
            .enumerate()
            .flat_map(|(i, of)| (0..3).map(move |j| (4 * i + j, of[j])))
            .collect();
        self.row(Kind::Micro, 3, &columns);
    }

    /// The permutation of the last 24 numbers, in three groups of eight: it takes 11 rows.
    fn hash(&mut self) {
        // Columns after the first of the kind.
        let [keeps_state, before_a_round, group_0, inputs] = [1, 3, 4, 7];
        let begin = self.next - 24;
        for group in 0..3 {
            let mut columns = vec![
                (keeps_state, u32::from(group > 0)),
                (before_a_round, u32::from(group == 2)),
                (group_0 + group, 1),
            ];
            columns.extend((0..8).map(|i| (inputs + i, begin + (8 * group + i) as u32)));
            self.row(Kind::Load, 0, &columns);
        }
        self.row(Kind::Full, 0, &[(0, 1)]);
        self.row(Kind::Full, 0, &[(1, 1)]);
        self.row(Kind::Partial, 0, &[]);
        self.row(Kind::Full, 0, &[(2, 1)]);
        self.row(Kind::Full, 0, &[(3, 1)]);
        for group in 0..3 {
            self.row(Kind::Store, 8, &[(group_0 + group, 1)]);
        }
    }

    fn written_by(&self, row: usize) -> u32 {
        let kind = |kind: Kind| self.rows[row][kind as usize] == 1;
        match () {
            () if kind(Kind::Micro) => 3,
            () if kind(Kind::Store) => 8,
            () => 0,
        }
    }
}

/// Prove a program, and let the library's verifier say whether the proof is one.
fn proved(program: &Program) -> Result<(), VerificationError> {
    let suite = Poseidon2HashSuite::new_suite();
    let receipt = Prover::new(program.clone(), "poseidon2")
        .run()
        .expect("the program can be proved");
    let expected = program.compute_control_id(suite.clone()).expect("an id");
    verify(&CircuitImpl, &suite, &receipt.seal, |_, found: &Digest| {
        let is_ours = *found == expected;
        is_ours
            .then_some(())
            .ok_or(VerificationError::ControlVerificationError { control_id: *found })
    })
}

#[test]
fn a_proof_of_a_program_of_our_own_verifies() {
    on_one_thread(|| {
        let program = Builder::full(12);
        assert_eq!(program.code_rows(), (1 << 12) - ZK_CYCLES);
        proved(&program).expect("the proof verifies");
    });
}

#[test]
fn a_program_that_does_not_keep_to_the_circuit_has_no_proof() {
    on_one_thread(|| {
        let mut program = Builder::full(12);
        // The last address of the memory is now one that nothing was written to.
        let last = program.code.len() - WIDTH;
        program.code[last] += BabyBearElem::ONE;
        let error = Prover::new(program, "poseidon2").run().expect_err("a gap");
        // The constraints of the memory.
        assert!(format!("{error:#}").contains("wom.cpp"), "{error:#}");
    });
}

/// `RUNNER_SIMD=off cargo test --release what_a_program_of_2_18_rows_costs -- --ignored --nocapture`,
/// and the same without the variable.
#[test]
#[ignore = "it only prints times, and takes minutes"]
fn what_a_program_of_2_18_rows_costs() {
    on_one_thread(|| {
        let program = Builder::full(18);
        let begin = processor_seconds();
        proved(&program).expect("the proof verifies");
        let took = processor_seconds() - begin;
        let set = runner_vectors::chosen().map_or("the library's code", |set| set.name);
        println!("{set}: {took:.1} s of processor time on one thread, verifying included");
    });
}

fn processor_seconds() -> f64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the function writes to the structure that it is given.
    let error = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    assert_eq!(error, 0);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
