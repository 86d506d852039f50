//! The values of interactions: how often a message is sent, and the message.

use openvm_stark_backend::{
    air_builders::symbolic::SymbolicConstraintsDag, interaction::Interaction,
};
use p3_field::{Algebra, PackedFieldExtension};

use super::*;

type Packed<SC> = <<SC as StarkProtocolConfig>::EF as ExtensionField<
    <SC as StarkProtocolConfig>::F,
>>::ExtensionPacking;

/// All that interactions need to be evaluated, each step once and after those that it takes values
/// from. Interactions name steps.
pub struct Steps<F> {
    nodes: Vec<SymbolicExpressionNode<F>>,
    interactions: Vec<Interaction<usize>>,
}

impl<F: Field> Steps<F> {
    /// Take what interactions need from among the steps of all constraints.
    pub fn new(all: &SymbolicConstraintsDag<F>) -> Self {
        use SymbolicExpressionNode as Node;
        let nodes = &all.constraints.nodes;
        let mut needed = vec![false; nodes.len()];
        for interaction in &all.interactions {
            for &i in interaction.message.iter().chain([&interaction.count]) {
                needed[i] = true;
            }
        }
        for i in (0..nodes.len()).rev() {
            match nodes[i] {
                _ if !needed[i] => {}
                Node::Add {
                    left_idx,
                    right_idx,
                    ..
                }
                | Node::Sub {
                    left_idx,
                    right_idx,
                    ..
                }
                | Node::Mul {
                    left_idx,
                    right_idx,
                    ..
                } => {
                    needed[left_idx] = true;
                    needed[right_idx] = true;
                }
                Node::Neg { idx, .. } => needed[idx] = true,
                _ => {}
            }
        }
        let mut place = vec![0; nodes.len()];
        let mut kept = Vec::new();
        for i in (0..nodes.len()).filter(|i| needed[*i]) {
            place[i] = kept.len();
            let mut node = nodes[i].clone();
            match &mut node {
                Node::Add {
                    left_idx,
                    right_idx,
                    ..
                }
                | Node::Sub {
                    left_idx,
                    right_idx,
                    ..
                }
                | Node::Mul {
                    left_idx,
                    right_idx,
                    ..
                } => {
                    *left_idx = place[*left_idx];
                    *right_idx = place[*right_idx];
                }
                Node::Neg { idx, .. } => *idx = place[*idx],
                _ => {}
            }
            kept.push(node);
        }
        let mut interactions = all.interactions.clone();
        for interaction in &mut interactions {
            interaction.count = place[interaction.count];
            for i in &mut interaction.message {
                *i = place[*i];
            }
        }
        Steps {
            nodes: kept,
            interactions,
        }
    }
}

impl<SC: StarkProtocolConfig> RowMajorEvalHelper<'_, SC>
where
    SC::F: TwoAdicField,
    SC::EF: TwoAdicField + ExtensionField<SC::F>,
{
    /// The numerator and the denominator of each interaction at one point.
    pub fn eval_interactions<FF, EF>(
        &self,
        row_parts: &[Vec<FF>],
        beta_pows: &[EF],
    ) -> Vec<(FF, EF)>
    where
        FF: ExtensionField<SC::F>,
        EF: ExtensionField<FF> + ExtensionField<SC::F>,
    {
        let mut values = Vec::with_capacity(self.steps.nodes.len());
        eval_nodes_into(&self.evaluator(row_parts), &self.steps.nodes, &mut values);
        let of = |interaction: &Interaction<usize>| {
            let bus = SC::F::from_u32(u32::from(interaction.bus_index) + 1);
            let message = zip(&interaction.message, beta_pows);
            let first = beta_pows[interaction.message.len()] * bus;
            let denominator = message.fold(first, |sum, (&i, &beta)| sum + beta * values[i]);
            (values[interaction.count], denominator)
        };
        self.steps.interactions.iter().map(of).collect()
    }
}

/// A sum of steps' values, each times its factor, and of a constant.
struct LinearSum<EF> {
    constant: EF,
    terms: Vec<(usize, EF)>,
}

impl<EF: Field> LinearSum<EF> {
    fn new(constant: EF, terms: impl Iterator<Item = (usize, EF)>) -> Self {
        let mut terms = terms.sorted_by_key(|term| term.0).collect_vec();
        terms.dedup_by(|next, term| {
            let same = next.0 == term.0;
            if same {
                term.1 += next.1;
            }
            same
        });
        LinearSum { constant, terms }
    }

    fn of<F: Field, E>(&self, values: &[F::Packing]) -> E
    where
        EF: ExtensionField<F>,
        E: Algebra<EF> + Algebra<F::Packing>,
    {
        let constant = E::from(self.constant);
        self.terms.iter().fold(constant, |sum, &(i, factor)| {
            sum + E::from(factor) * values[i]
        })
    }
}

/// The first round for the interactions of one trace: the sums over the hypercube of numerators and
/// denominators, each times the interaction's `eq_3bs`, as polynomials in the first variable.
#[allow(clippy::too_many_arguments)]
pub(super) fn round_0<SC>(
    l_skip: usize,
    n: usize,
    helper: &RowMajorEvalHelper<'_, SC>,
    rm_mats: &[(&RowMajorMatrix<SC::F>, bool)],
    sels_rm: &RowMajorMatrix<SC::F>,
    eq_xi: &[SC::EF],
    eq_3bs: &[SC::EF],
    beta_pows: &[SC::EF],
) -> [UnivariatePoly<SC::EF>; 2]
where
    SC: StarkProtocolConfig,
    SC::F: TwoAdicField,
    SC::EF: TwoAdicField + ExtensionField<SC::F>,
{
    let d = helper.constraint_degree as usize;
    if d == 0 {
        return [(); 2].map(|()| UnivariatePoly::new(vec![]));
    }
    let g = SC::F::GENERATOR;
    let coset_shifts: Vec<SC::F> = g.powers().skip(1).take(d).collect_vec();
    let skip_size = 1usize << l_skip;
    let width = <SC::F as Field>::Packing::WIDTH;
    let blocks = skip_size.div_ceil(width);

    let interactions = || zip(&helper.steps.interactions, eq_3bs);
    let numerators = interactions().map(|(interaction, &eq)| (interaction.count, eq));
    let denominators = interactions().flat_map(|(interaction, &eq)| {
        zip(&interaction.message, beta_pows).map(move |(&i, &beta)| (i, eq * beta))
    });
    let buses = interactions().map(|(interaction, &eq)| {
        let bus = SC::F::from_u32(u32::from(interaction.bus_index) + 1);
        eq * beta_pows[interaction.message.len()] * bus
    });
    let sums = [
        LinearSum::new(SC::EF::ZERO, numerators),
        LinearSum::new(buses.sum(), denominators),
    ];

    // A thread's sums, and its space for the columns and for the steps.
    struct Work<P, E> {
        sums: Vec<[E; 2]>,
        parts: Vec<Vec<P>>,
        values: Vec<P>,
    }
    let new = || Work {
        sums: vec![[Packed::<SC>::ZERO; 2]; d * blocks],
        parts: std::iter::once(sels_rm.width)
            .chain(rm_mats.iter().map(|(mat, _)| mat.width))
            .map(|columns| vec![<SC::F as Field>::Packing::default(); columns])
            .collect_vec(),
        values: Vec::with_capacity(helper.steps.nodes.len()),
    };
    let add_point = |mut work: Work<_, Packed<SC>>, x: usize| {
        let (sels_cosets, mat_cosets) =
            extract_and_dft_blocks(x, l_skip, rm_mats, sels_rm, &coset_shifts);
        for (coset, block) in (0..d).cartesian_product(0..blocks) {
            let mats = std::iter::once(&sels_cosets).chain(&mat_cosets);
            for (part, mat) in zip(&mut work.parts, mats) {
                pack(part, &mat[coset], block * width);
            }
            let evaluator = helper.evaluator_packed(&work.parts);
            eval_nodes_into(&evaluator, &helper.steps.nodes, &mut work.values);
            for (total, sum) in zip(&mut work.sums[coset * blocks + block], &sums) {
                *total += sum.of::<SC::F, Packed<SC>>(&work.values) * eq_xi[x];
            }
        }
        work
    };
    let added = |mut a: Vec<[Packed<SC>; 2]>, b: Vec<[Packed<SC>; 2]>| {
        for (a, b) in a.iter_mut().flatten().zip(b.into_iter().flatten()) {
            *a += b;
        }
        a
    };
    let totals = rayon::iter::ParallelIterator::reduce(
        rayon::iter::ParallelIterator::map(
            rayon::iter::ParallelIterator::fold(
                rayon::iter::IntoParallelIterator::into_par_iter(0..1usize << n),
                new,
                add_point,
            ),
            |work| work.sums,
        ),
        || vec![[Packed::<SC>::ZERO; 2]; d * blocks],
        added,
    );
    [0, 1].map(|which| {
        let points = (0..skip_size).cartesian_product(0..d);
        let values = points
            .map(|(z, coset)| totals[coset * blocks + z / width][which].extract(z % width))
            .collect_vec();
        UnivariatePoly::from_geometric_cosets_evals_idft(RowMajorMatrix::new(values, d), g, g)
    })
}

/// Put rows from `first` on side by side, as many as a vector has lanes. Rows that are not there are
/// zero.
fn pack<F: Field>(part: &mut [F::Packing], mat: &RowMajorMatrix<F>, first: usize) {
    let rows = mat.values.len() / mat.width;
    for (column, packed) in part.iter_mut().enumerate() {
        *packed = F::Packing::from_fn(|lane| match first + lane {
            row if row < rows => mat.values[row * mat.width + column],
            _ => F::ZERO,
        });
    }
}

#[cfg(test)]
#[path = "interactions/tests.rs"]
mod tests;
