//! The sum of fractions by which the library proves that messages sent are messages received.
//!
//! It gives what the library's function of the same name gives. Every value is in a vector beside
//! those that the same is done to: of two points that differ in the variable which is bound next,
//! one is in the first half of a table and the other in the second. So points are in the order of
//! their reversed bits.

use openvm_stark_backend::{
    proof::GkrLayerClaims,
    prover::{
        error::LogupZerocheckError,
        fractional_sumcheck_gkr::{Frac, FracSumcheckProof},
        poly::evals_eq_hypercube,
    },
    FiatShamirTranscript, StarkProtocolConfig,
};
use p3_field::{
    Algebra, ExtensionField, Field, PackedFieldExtension, PackedValue, PrimeCharacteristicRing,
};
use rayon::prelude::*;

/// The fewest values that a thread is handed at a time.
const MIN: usize = 256;

type Packed<F, EF> = <EF as ExtensionField<F>>::ExtensionPacking;

/// Elements of the extension, or vectors of them.
trait Values<EF>: Algebra<EF> + Copy + Send + Sync {}
impl<EF, E: Algebra<EF> + Copy + Send + Sync> Values<EF> for E {}

/// A layer of the tree of sums: numerators and denominators.
struct Layer<E> {
    p: Vec<E>,
    q: Vec<E>,
}

impl<E> Layer<E> {
    /// The layer below the root's side: each fraction is the sum of one of the first half and one
    /// of the second.
    fn summed<EF>(&self) -> Self
    where
        E: Values<EF>,
    {
        let half = self.p.len() / 2;
        let (p, q) = (0..half)
            .into_par_iter()
            .with_min_len(MIN)
            .map(|i| {
                let (p0, q0) = (self.p[i], self.q[i]);
                let (p1, q1) = (self.p[half + i], self.q[half + i]);
                (p0 * q1 + q0 * p1, q0 * q1)
            })
            .unzip();
        Layer { p, q }
    }
}

/// The sum over a hypercube of `eq * (p0 q1 + p1 q0 + lambda q0 q1)`, while its variables are bound
/// one after the other.
struct Sumcheck<E> {
    p0: Vec<E>,
    q0: Vec<E>,
    /// `p1 + lambda q1`, which saves a product at each point.
    p1: Vec<E>,
    q1: Vec<E>,
    /// The factor `eq` without its part in the next variable and those before it. It has half as
    /// many values, because it does not depend on the next variable.
    eq: Vec<E>,
}

impl<E> Sumcheck<E> {
    fn new<EF: Field>(layer: Layer<E>, lambda: EF, eq: Vec<E>) -> Self
    where
        E: Values<EF>,
    {
        let half = layer.p.len() / 2;
        let (mut p0, mut q0) = (layer.p, layer.q);
        let (mut p1, q1) = (p0.split_off(half), q0.split_off(half));
        p1.par_iter_mut()
            .zip(&q1)
            .with_min_len(MIN)
            .for_each(|(p1, q1)| *p1 += *q1 * lambda);
        Sumcheck { p0, q0, p1, q1, eq }
    }

    /// The sum as a polynomial in the next variable, without that variable's part of `eq`: its
    /// values at 0 and 1, and its coefficient of degree 2.
    fn polynomial<EF>(&self) -> [E; 3]
    where
        E: Values<EF>,
    {
        let half = self.p0.len() / 2;
        let add = |a: [E; 3], b: [E; 3]| [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
        let zero = || [E::ZERO; 3];
        (0..half)
            .into_par_iter()
            .with_min_len(MIN)
            .fold(zero, |sum, i| {
                let at_0 = [self.p0[i], self.q0[i], self.p1[i], self.q1[i]];
                let at_1 = [&self.p0, &self.q0, &self.p1, &self.q1].map(|v| v[half + i]);
                let slope = [0, 1, 2, 3].map(|k| at_1[k] - at_0[k]);
                let term = |[p0, q0, p1, q1]: [E; 4]| self.eq[i] * (p0 * q1 + q0 * p1);
                add(sum, [at_0, at_1, slope].map(term))
            })
            .reduce(zero, add)
    }

    /// Bind the next variable.
    fn bind<EF: Field>(&mut self, r: EF)
    where
        E: Values<EF>,
    {
        for values in [&mut self.p0, &mut self.q0, &mut self.p1, &mut self.q1] {
            let half = values.len() / 2;
            let (low, high) = values.split_at_mut(half);
            low.par_iter_mut()
                .zip(high)
                .with_min_len(MIN)
                .for_each(|(low, high)| *low += (*high - *low) * r);
            values.truncate(half);
        }
        sum_halves(&mut self.eq);
    }

    fn len(&self) -> usize {
        self.p0.len()
    }
}

/// `eq` without one more variable: its two parts add up to one. One value remains as it is.
fn sum_halves<E: Copy + std::ops::AddAssign>(eq: &mut Vec<E>) {
    let half = eq.len() / 2;
    if half > 0 {
        let (low, high) = eq.split_at_mut(half);
        for (low, high) in low.iter_mut().zip(high) {
            *low += *high;
        }
        eq.truncate(half);
    }
}

fn lanes<F: Field>() -> usize {
    F::Packing::WIDTH
}

fn unpacked<F: Field, EF: ExtensionField<F>>(values: &[Packed<F, EF>]) -> Vec<EF> {
    Packed::<F, EF>::to_ext_iter(values.iter().copied()).collect()
}

/// The values of `eq(x, .)` in vectors, with `x[i]` at bit i of a point.
fn packed_eq<F: Field, EF: ExtensionField<F>>(x: &[EF]) -> Vec<Packed<F, EF>> {
    let (within, beyond) = x.split_at(lanes::<F>().trailing_zeros() as usize);
    let mut eq = vec![Packed::<F, EF>::from_ext_slice(&evals_eq_hypercube(within))];
    for &x in beyond {
        let high: Vec<_> = eq.par_iter().with_min_len(MIN).map(|eq| *eq * x).collect();
        eq.par_iter_mut()
            .zip(&high)
            .with_min_len(MIN)
            .for_each(|(eq, high)| *eq -= *high);
        eq.extend(high);
    }
    eq
}

/// All layers of a tree of sums, without the root. The largest layers are in vectors.
struct Tree<F: Field, EF: ExtensionField<F>> {
    /// Layer k has 2^(k+1) fractions.
    few: Vec<Layer<EF>>,
    many: Vec<Layer<Packed<F, EF>>>,
    root: Frac<EF>,
}

impl<F: Field, EF: ExtensionField<F>> Tree<F, EF> {
    fn new(evals: &[Frac<EF>]) -> Self {
        let unused = usize::BITS - evals.len().trailing_zeros();
        let at = |i: usize| match evals.len() {
            1 => evals[0],
            _ => evals[i.reverse_bits() >> unused],
        };
        let (mut few, mut many) = (Vec::new(), Vec::new());
        if evals.len() < 4 * lanes::<F>() {
            let (p, q) = (0..evals.len()).map(|i| (at(i).p, at(i).q)).unzip();
            few.push(Layer { p, q });
        } else {
            let packed = |part: fn(Frac<EF>) -> EF, i: usize| {
                let first = i * lanes::<F>();
                let values: Vec<EF> = (first..first + lanes::<F>()).map(|i| part(at(i))).collect();
                Packed::<F, EF>::from_ext_slice(&values)
            };
            let (p, q) = (0..evals.len() / lanes::<F>())
                .into_par_iter()
                .with_min_len(MIN)
                .map(|i| (packed(|f| f.p, i), packed(|f| f.q, i)))
                .unzip();
            many.push(Layer { p, q });
            // A layer is in vectors where its halves have at least two.
            while many.last().expect("a layer").p.len() > 4 {
                many.push(many.last().expect("a layer").summed::<EF>());
            }
            let next = many.last().expect("a layer").summed::<EF>();
            let [p, q] = [&next.p, &next.q].map(|values| unpacked::<F, EF>(values));
            few.push(Layer { p, q });
        }
        while few.last().expect("a layer").p.len() > 1 {
            few.push(few.last().expect("a layer").summed::<EF>());
        }
        let root = few.pop().expect("the root");
        few.reverse();
        many.reverse();
        let root = Frac::new(root.p[0], root.q[0]);
        Tree { few, many, root }
    }
}

/// What one layer's sumcheck leaves: its polynomials at 1, 2 and 3, the point, and p0, q0, p1, q1
/// there.
struct Bound<EF> {
    polynomials: Vec<[EF; 3]>,
    point: Vec<EF>,
    claims: [EF; 4],
}

/// Take part in the sumcheck of one layer.
///
/// `xi` is the point of the layer before it.
struct Rounds<'a, EF, TS> {
    transcript: &'a mut TS,
    xi: &'a [EF],
    /// The value of `eq` in the variables that are bound.
    scale: EF,
    polynomials: Vec<[EF; 3]>,
    point: Vec<EF>,
}

impl<EF: Field, TS> Rounds<'_, EF, TS> {
    fn next<SC>(&mut self, [at_0, at_1, leading]: [EF; 3]) -> EF
    where
        SC: StarkProtocolConfig<EF = EF>,
        TS: FiatShamirTranscript<SC>,
    {
        let xi = self.xi[self.point.len()];
        let eq = |x: EF| (EF::ONE - xi) * (EF::ONE - x) + xi * x;
        let at = |x: u32| {
            let x = EF::from_u32(x);
            let value = at_0 + (at_1 - at_0) * x + leading * x * (x - EF::ONE);
            self.scale * eq(x) * value
        };
        let polynomial = [1, 2, 3].map(at);
        for value in polynomial {
            self.transcript.observe_ext(value);
        }
        let r = self.transcript.sample_ext();
        self.scale *= eq(r);
        self.polynomials.push(polynomial);
        self.point.push(r);
        r
    }
}

/// A layer, in vectors or not.
enum AnyLayer<F: Field, EF: ExtensionField<F>> {
    Few(Layer<EF>),
    Many(Layer<Packed<F, EF>>),
}

fn sumcheck<SC, TS>(
    transcript: &mut TS,
    layer: AnyLayer<SC::F, SC::EF>,
    lambda: SC::EF,
    xi: &[SC::EF],
) -> Bound<SC::EF>
where
    SC: StarkProtocolConfig,
    SC::EF: ExtensionField<SC::F>,
    TS: FiatShamirTranscript<SC>,
{
    let reversed: Vec<SC::EF> = xi[1..].iter().rev().copied().collect();
    let mut rounds = Rounds {
        transcript,
        xi,
        scale: SC::EF::ONE,
        polynomials: Vec::with_capacity(xi.len()),
        point: Vec::with_capacity(xi.len()),
    };
    let mut few = match layer {
        AnyLayer::Few(layer) => {
            let eq = evals_eq_hypercube(&reversed);
            Sumcheck::new::<SC::EF>(layer, lambda, eq)
        }
        AnyLayer::Many(layer) => {
            let eq = packed_eq::<SC::F, SC::EF>(&reversed);
            let mut many = Sumcheck::new::<SC::EF>(layer, lambda, eq);
            while many.len() > 1 {
                let sum = |values| unpacked::<SC::F, SC::EF>(&[values]).into_iter().sum();
                let polynomial = many.polynomial::<SC::EF>().map(sum);
                many.bind(rounds.next::<SC>(polynomial));
            }
            let [p0, q0, p1, q1, mut eq] = [many.p0, many.q0, many.p1, many.q1, many.eq]
                .map(|values| unpacked::<SC::F, SC::EF>(&values));
            // One vector was not halved.
            sum_halves(&mut eq);
            Sumcheck { p0, q0, p1, q1, eq }
        }
    };
    while few.len() > 1 {
        let polynomial = few.polynomial::<SC::EF>();
        few.bind(rounds.next::<SC>(polynomial));
    }
    let (p1, q1) = (few.p1[0] - lambda * few.q1[0], few.q1[0]);
    Bound {
        polynomials: rounds.polynomials,
        point: rounds.point,
        claims: [few.p0[0], few.q0[0], p1, q1],
    }
}

/// Prove that fractions have a sum, layer by layer of the tree that adds them in pairs.
///
/// # Errors
///
/// Returns an error where `assert_zero` is set and the sum is not zero.
///
/// # Panics
///
/// Panics where the number of fractions is not a power of two.
#[tracing::instrument(level = "info", skip_all)]
pub fn fractional_sumcheck<SC, TS>(
    transcript: &mut TS,
    evals: &[Frac<SC::EF>],
    assert_zero: bool,
) -> Result<(FracSumcheckProof<SC>, Vec<SC::EF>), LogupZerocheckError>
where
    SC: StarkProtocolConfig,
    SC::EF: ExtensionField<SC::F>,
    TS: FiatShamirTranscript<SC>,
{
    let mut proof = FracSumcheckProof {
        fractional_sum: (SC::EF::ZERO, SC::EF::ONE),
        claims_per_layer: Vec::new(),
        sumcheck_polys: Vec::new(),
    };
    if evals.is_empty() {
        return Ok((proof, Vec::new()));
    }
    assert!(evals.len().is_power_of_two());
    let Tree { few, many, root } = Tree::<SC::F, SC::EF>::new(evals);
    if !assert_zero {
        transcript.observe_ext(root.p);
    } else if root.p != SC::EF::ZERO {
        return Err(LogupZerocheckError::NonZeroRootSum);
    }
    transcript.observe_ext(root.q);
    proof.fractional_sum = (root.p, root.q);

    let mut xi: Vec<SC::EF> = Vec::new();
    let few = few.into_iter().map(AnyLayer::Few);
    for layer in few.chain(many.into_iter().map(AnyLayer::Many)) {
        let (claims, rho) = match (&layer, xi.is_empty()) {
            // The verifier adds the first two fractions itself.
            (AnyLayer::Few(Layer { p, q }), true) => ([p[0], q[0], p[1], q[1]], Vec::new()),
            _ => {
                let lambda = transcript.sample_ext();
                let bound = sumcheck::<SC, TS>(transcript, layer, lambda, &xi);
                proof.sumcheck_polys.push(bound.polynomials);
                (bound.claims, bound.point)
            }
        };
        for claim in claims {
            transcript.observe_ext(claim);
        }
        let [p_xi_0, q_xi_0, p_xi_1, q_xi_1] = claims;
        proof.claims_per_layer.push(GkrLayerClaims {
            p_xi_0,
            q_xi_0,
            p_xi_1,
            q_xi_1,
        });
        xi = [vec![transcript.sample_ext()], rho].concat();
    }
    Ok((proof, xi))
}
