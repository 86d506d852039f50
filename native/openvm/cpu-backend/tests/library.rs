//! The sum of fractions must be the library's: the same proof, and the same transcript after it.

use openvm_cpu_backend::logup_zerocheck::fractions;
use openvm_stark_backend::{
    prover::fractional_sumcheck_gkr::{self as library, Frac, FracSumcheckProof},
    FiatShamirTranscript,
};
use openvm_stark_sdk::config::baby_bear_poseidon2::{
    default_duplex_sponge, BabyBearPoseidon2Config as Config, EF, F,
};
use p3_field::{BasedVectorSpace, PrimeCharacteristicRing};

/// Numbers that are the same in every run (xorshift). Some are those at the edges.
struct Numbers(u64);

impl Numbers {
    fn element(&mut self) -> F {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        match self.0 % 6 {
            0 => F::ZERO,
            1 => -F::ONE,
            _ => F::from_u32((self.0 >> 33) as u32),
        }
    }

    fn fractions(&mut self, count: usize) -> Vec<Frac<EF>> {
        let mut ext = || EF::from_basis_coefficients_fn(|_| self.element());
        (0..count).map(|_| Frac::new(ext(), ext())).collect()
    }
}

/// All of a proof, and what is sampled from its transcript afterwards.
type Outcome = ((EF, EF), Vec<[EF; 4]>, Vec<Vec<[EF; 3]>>, Vec<EF>, EF);

type Prove<T> = fn(
    &mut T,
    &[Frac<EF>],
    bool,
) -> Result<
    (FracSumcheckProof<Config>, Vec<EF>),
    openvm_stark_backend::prover::error::LogupZerocheckError,
>;

fn outcome(ours: bool, fractions: &[Frac<EF>], assert_zero: bool) -> Option<Outcome> {
    let mut transcript = default_duplex_sponge();
    let prove: Prove<_> = if ours {
        fractions::fractional_sumcheck::<Config, _>
    } else {
        library::fractional_sumcheck::<Config, _>
    };
    let (proof, xi) = prove(&mut transcript, fractions, assert_zero).ok()?;
    let claims = proof.claims_per_layer.iter();
    Some((
        proof.fractional_sum,
        claims
            .map(|claims| [claims.p_xi_0, claims.q_xi_0, claims.p_xi_1, claims.q_xi_1])
            .collect(),
        proof.sumcheck_polys,
        xi,
        FiatShamirTranscript::<Config>::sample_ext(&mut transcript),
    ))
}

#[test]
fn a_sum_of_fractions_is_proved_as_the_library_does() {
    for power in 1..=13 {
        let fractions = Numbers(1 + power).fractions(1 << power);
        let theirs = outcome(false, &fractions, false).expect("any sum will do");
        let ours = outcome(true, &fractions, false).expect("any sum will do");
        assert!(ours == theirs, "2^{power}");
    }
    assert!(outcome(true, &[], false) == outcome(false, &[], false));
}

#[test]
fn fractions_of_one_number_are_no_exception() {
    for number in [EF::ZERO, EF::ONE, -EF::ONE] {
        let fractions = vec![Frac::new(number, number); 256];
        let theirs = outcome(false, &fractions, false);
        assert!(theirs.is_some() && outcome(true, &fractions, false) == theirs);
    }
}

#[test]
fn a_sum_that_must_be_zero_is_compared_with_zero() {
    let mut fractions = Numbers(100).fractions(512);
    assert!(outcome(true, &fractions, true).is_none());
    // Each fraction is followed by its negative.
    for pair in fractions.chunks_mut(2) {
        pair[1] = Frac::new(-pair[0].p, pair[0].q);
    }
    let theirs = outcome(false, &fractions, true);
    assert!(theirs.is_some() && outcome(true, &fractions, true) == theirs);
}
