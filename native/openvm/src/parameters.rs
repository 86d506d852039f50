//! The parameters of the proof systems, which decide security, speed and size.
//!
//! There are two sets: one for the proof of a program's run, and one for every circuit above it.
//! They come as JSON (guests/openvm/vm.json). However they are chosen, the library's own calculator
//! (`openvm_stark_backend::soundness`) says how secure each circuit is with them. If it proves
//! fewer bits of security than the file asks for, the parameters are refused.

use std::sync::Arc;

use openvm_sdk::{SC, config::AggregationSystemParams};
use openvm_stark_backend::{
    SystemParams, WhirProximityStrategy, keygen::types::MultiStarkVerifyingKey,
    soundness::SoundnessCalculator,
};
use openvm_stark_sdk::config::{
    APP_MAX_CONSTRAINT_DEGREE, DEFAULT_K_WHIR, RECURSION_MAX_CONSTRAINT_DEGREE,
    WHIR_MAX_LOG_FINAL_POLY_LEN, challenge_field_bits,
    log_up_params::log_up_security_params_baby_bear_100_bits,
};
use runner_shared::{Error, Result};
use serde::{Deserialize, Serialize};

/// The name of a circuit, for messages, and its verifying key.
pub type Circuit = (&'static str, Arc<MultiStarkVerifyingKey<SC>>);

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// How many bits of proven security every circuit must have.
    security_bits: usize,
    /// The proof system for a program's run.
    program: ProofSystem,
    /// The proof system of the circuits that verify proofs.
    recursion: ProofSystem,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProofSystem {
    /// A codeword has `2^log_blowup` times as many rows as are committed to.
    log_blowup: usize,
    /// The first round of the sumchecks covers `2^l_skip` rows at once.
    l_skip: usize,
    /// Columns are stacked to columns of `2^log_stacked_height` rows. No trace may be higher.
    log_stacked_height: usize,
    /// The most stacked columns that a proof may have.
    stacked_columns: usize,
    /// 0 for unique decoding, and otherwise the `m` of list decoding up to the Johnson bound.
    list_decoding: usize,
    /// Bits of grinding in each folding step.
    folding_pow_bits: usize,
    /// Bits of grinding in batching.
    mu_pow_bits: usize,
    /// Bits of grinding in each round of queries.
    query_pow_bits: usize,
}

impl Parameters {
    pub fn from_json(text: &str) -> Result<Self> {
        let parameters: Parameters = serde_json::from_str(text)
            .map_err(|error| Error::BadArgument(format!("not parameters of a VM: {error}")))?;
        parameters.check_ranges()?;
        Ok(parameters)
    }

    pub fn to_json(self) -> Result<String> {
        serde_json::to_string(&self).map_err(|error| Error::Internal(error.to_string()))
    }

    /// Refuse parameters with which no proof could be made. [`Self::check`] refuses those that
    /// would be too weak.
    pub fn check_ranges(&self) -> Result<()> {
        for (name, system) in [("program", &self.program), ("recursion", &self.recursion)] {
            // The table of the range checker for tuples has 2^19 rows, and beyond 2^24 rows the
            // library's bounds do not hold.
            let ranges = [
                ("log_blowup", system.log_blowup, 1, 4),
                ("l_skip", system.l_skip, 2, 6),
                ("log_stacked_height", system.log_stacked_height, 19, 24),
                ("stacked_columns", system.stacked_columns, 1, 1 << 14),
                ("list_decoding", system.list_decoding, 0, 16),
                ("folding_pow_bits", system.folding_pow_bits, 1, 28),
                ("mu_pow_bits", system.mu_pow_bits, 1, 28),
                ("query_pow_bits", system.query_pow_bits, 1, 28),
            ];
            for (field, value, least, most) in ranges {
                if !(least..=most).contains(&value) {
                    return Err(Error::BadArgument(format!(
                        "not parameters of a VM: {name}.{field} is {value}, must be from {least} to \
                         {most}"
                    )));
                }
            }
        }
        Ok(())
    }

    /// The bits of proven security of the weakest circuit, or an error where they are too few.
    pub fn check(&self, circuits: &[Circuit]) -> Result<f64> {
        let bits = circuits.iter().map(|(name, key)| {
            (
                SoundnessCalculator::calculate_from_vk(key).total_bits,
                *name,
            )
        });
        let (least, name) = bits
            .min_by(|one, other| one.0.total_cmp(&other.0))
            .ok_or_else(|| Error::Internal("a VM without circuits".into()))?;
        if least < self.security_bits as f64 {
            return Err(Error::BadArgument(format!(
                "the {name} circuit has {least:.1} bits of proven security, {} are asked for",
                self.security_bits
            )));
        }
        Ok(least)
    }

    pub fn program(&self) -> SystemParams {
        self.program
            .params(self.security_bits, APP_MAX_CONSTRAINT_DEGREE)
    }

    pub fn recursion(&self) -> SystemParams {
        self.recursion
            .params(self.security_bits, RECURSION_MAX_CONSTRAINT_DEGREE)
    }

    pub fn aggregation(&self) -> AggregationSystemParams {
        AggregationSystemParams {
            leaf: self.recursion(),
            internal: self.recursion(),
        }
    }
}

impl ProofSystem {
    fn params(&self, security_bits: usize, degree: usize) -> SystemParams {
        let proximity = match self.list_decoding {
            0 => WhirProximityStrategy::UniqueDecoding,
            m => WhirProximityStrategy::ListDecoding { m },
        };
        let gap = SoundnessCalculator::whir_proximity_gap_security(
            proximity.initial_round(),
            challenge_field_bits(),
            self.log_stacked_height,
            self.log_blowup,
            self.stacked_columns,
        );
        SystemParams::new(
            self.log_blowup,
            self.l_skip,
            self.log_stacked_height - self.l_skip,
            self.stacked_columns,
            WHIR_MAX_LOG_FINAL_POLY_LEN,
            self.folding_pow_bits,
            self.mu_pow_bits,
            proximity,
            security_bits,
            log_up_security_params_baby_bear_100_bits(gap.log2_list_size),
            degree,
            self.query_pow_bits,
            DEFAULT_K_WHIR,
        )
    }
}
