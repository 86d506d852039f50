//! Ours against the library's, on random steps: it evaluates one point at a time, through trees.

use openvm_stark_backend::air_builders::symbolic::SymbolicConstraintsDag;
use openvm_stark_sdk::config::baby_bear_poseidon2::{BabyBearPoseidon2Config as Config, EF, F};
use p3_field::BasedVectorSpace;

use super::*;

const COLUMNS: usize = 5;

/// Numbers that are the same in every run (xorshift). Some are those at the edges.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) as usize % limit
    }

    fn element(&mut self) -> F {
        match self.below(6) {
            0 => F::ZERO,
            1 => -F::ONE,
            _ => F::from_usize(self.below(1 << 31)),
        }
    }

    fn exts(&mut self, count: usize) -> Vec<EF> {
        let mut ext = || EF::from_basis_coefficients_fn(|_| self.element());
        (0..count).map(|_| ext()).collect()
    }

    fn matrix(&mut self, height: usize) -> RowMajorMatrix<F> {
        let values = (0..height * COLUMNS).map(|_| self.element()).collect();
        RowMajorMatrix::new(values, COLUMNS)
    }

    fn node(&mut self, before: usize) -> SymbolicExpressionNode<F> {
        use SymbolicExpressionNode as Node;
        let (left_idx, right_idx) = (self.below(before.max(1)), self.below(before.max(1)));
        let offset = self.below(2);
        let entry = match self.below(4) {
            0 => Entry::Preprocessed { offset },
            1 => Entry::Public,
            _ => Entry::Main {
                part_index: 0,
                offset,
            },
        };
        let degree_multiple = 1;
        match if before < 8 {
            self.below(5)
        } else {
            self.below(9)
        } {
            0 => Node::IsFirstRow,
            1 => Node::IsLastRow,
            2 => Node::IsTransition,
            3 => Node::Constant(self.element()),
            4 => Node::Variable(SymbolicVariable::new(entry, self.below(COLUMNS))),
            5 => Node::Neg {
                idx: left_idx,
                degree_multiple,
            },
            6 => Node::Add {
                left_idx,
                right_idx,
                degree_multiple,
            },
            7 => Node::Sub {
                left_idx,
                right_idx,
                degree_multiple,
            },
            _ => Node::Mul {
                left_idx,
                right_idx,
                degree_multiple,
            },
        }
    }

    fn steps(&mut self) -> SymbolicConstraintsDag<F> {
        let nodes = (0..40).map(|before| self.node(before)).collect();
        let interactions = (0..1 + self.below(5))
            .map(|bus| Interaction {
                message: (0..self.below(6)).map(|_| self.below(40)).collect(),
                count: self.below(40),
                bus_index: bus as u16,
                count_weight: 1,
            })
            .collect();
        SymbolicConstraintsDag {
            constraints: SymbolicExpressionDag {
                nodes,
                constraint_idx: vec![39],
            },
            interactions,
        }
    }
}

fn helper<'a>(
    steps: &'a SymbolicConstraintsDag<F>,
    preprocessed: &'a RowMajorMatrix<F>,
    numbers: &mut Numbers,
) -> RowMajorEvalHelper<'a, Config> {
    RowMajorEvalHelper {
        constraints_dag: &steps.constraints,
        interactions: SymbolicConstraints::from(steps).interactions,
        steps: Steps::new(steps),
        public_values: (0..COLUMNS).map(|_| numbers.element()).collect(),
        preprocessed_trace: Some(preprocessed),
        needs_next: true,
        constraint_degree: 3,
    }
}

#[test]
fn a_point_has_the_values_that_the_library_finds() {
    let mut numbers = Numbers(1);
    for _ in 0..50 {
        let (steps, preprocessed) = (numbers.steps(), numbers.matrix(1));
        let helper = helper(&steps, &preprocessed, &mut numbers);
        let beta_pows = numbers.exts(7);
        let row: Vec<Vec<F>> = (0..5)
            .map(|_| (0..COLUMNS).map(|_| numbers.element()).collect())
            .collect();
        let theirs = helper.eval_interactions_as_trees(&row, &beta_pows);
        assert!(helper.eval_interactions(&row, &beta_pows) == theirs);

        let row: Vec<Vec<EF>> = (0..5).map(|_| numbers.exts(COLUMNS)).collect();
        let theirs = helper.eval_interactions_as_trees(&row, &beta_pows);
        assert!(helper.eval_interactions(&row, &beta_pows) == theirs);
    }
}

#[test]
fn the_first_round_has_the_polynomials_that_the_library_finds() {
    let mut numbers = Numbers(2);
    for (l_skip, n) in [(0, 3), (2, 0), (2, 3), (4, 0), (4, 4), (5, 3)] {
        let height = 1 << (l_skip + n);
        let (steps, preprocessed) = (numbers.steps(), numbers.matrix(height));
        let helper = helper(&steps, &preprocessed, &mut numbers);
        let main = numbers.matrix(height);
        let sels = RowMajorMatrix::new((0..3 * height).map(|_| numbers.element()).collect(), 3);
        let mats = [&preprocessed, &main];
        let mats = mats.iter().flat_map(|mat| [(*mat, false), (*mat, true)]);
        let mats = mats.collect_vec();
        let beta_pows = numbers.exts(7);
        let eq_3bs = numbers.exts(steps.interactions.len());
        let eq_xi = numbers.exts(1 << n);

        let evaluate = |_, x: usize, row: &[Vec<F>]| {
            let interactions = helper.eval_interactions_as_trees(row, &beta_pows);
            zip(&eq_3bs, interactions).fold([EF::ZERO; 2], |[p, q], (&eq_3b, (count, message))| {
                [p + eq_3b * eq_xi[x] * count, q + eq_3b * eq_xi[x] * message]
            })
        };
        let theirs: [UnivariatePoly<EF>; 2] =
            sumcheck_uni_round0_batch(l_skip, n, 3, &mats, &sels, evaluate);
        let ours = round_0(
            l_skip, n, &helper, &mats, &sels, &eq_xi, &eq_3bs, &beta_pows,
        );
        for (ours, theirs) in zip(&ours, &theirs) {
            assert!(ours.coeffs() == theirs.coeffs(), "{l_skip} {n}");
        }
    }
}
