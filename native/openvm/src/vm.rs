//! The one VM of this process: its parameters, and what verifying needs of its keys.
//!
//! All programs run on the same VM, and its proofs can be verified by programs on it, at any depth
//! (`DeferralAggProver::verify_stark`), so there is one verifying key. It comes with the guests
//! (guests/openvm/vm.bin), pinned by their manifest as they are, so verifying needs no proving keys.

use std::sync::{Arc, OnceLock};

use openvm_sdk::{
    F, SC, Sdk,
    config::AppConfig,
    keygen::AppProvingKey,
    prover::{AggProver, DeferralAggProver},
};
use openvm_sdk_config::{SdkVmConfig, deferral::DeferralConfig};
use openvm_stark_backend::{keygen::types::MultiStarkVerifyingKey, p3_field::PrimeField32};
use openvm_stark_sdk::config::baby_bear_poseidon2::Digest;
use openvm_verify_stark_host::vk::{VerificationBaseline, VmStarkVerifyingKey};
use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    parameters::Parameters,
};

pub const OPENVM_VERSION: &str = "2.0.2";

/// Of an encoded definition; it has a few hundred kilobytes.
const MAX_BYTES: usize = 64 << 20;

/// What `vm.bin` holds.
#[derive(Serialize, Deserialize)]
pub struct Definition {
    /// Of OpenVM.
    version: String,
    pub parameters: Parameters,
    /// Of proven security: the least of all circuits.
    pub security_bits: f64,
    deferral: DeferralConfig,
    verifying_key: MultiStarkVerifyingKey<SC>,
    /// Of no program in particular: its executable commitment is zero.
    baseline: VerificationBaseline,
    /// What names the VM in a proof that is verified in a guest.
    pub commitment: Digest,
    /// The deferral circuit's part in naming a proof to a guest.
    pub circuit_commitment: Digest,
}

impl Definition {
    /// Derive it from complete keys, made from these parameters.
    pub fn of(sdk: &Sdk, parameters: Parameters) -> Result<Self> {
        let incomplete = |what: &str| Error::BadKeys(format!("the keys have no {what}"));
        let aggregator = sdk.agg_prover();
        let app = sdk.app_config();
        let system = app.app_vm_config.as_ref();
        let deferral = app.app_vm_config.deferral.clone();
        let circuit = sdk
            .deferral_circuit_cached_commits(0)
            .map_err(|error| Error::BadKeys(error.to_string()))?;
        let circuit_commitment = match circuit[..] {
            [commitment] => commitment.into(),
            _ => return Err(incomplete("single deferral commitment")),
        };
        let recursive = &aggregator.internal_recursive_prover;
        Ok(Definition {
            version: OPENVM_VERSION.into(),
            security_bits: parameters.check(&circuits(sdk)?)?,
            parameters,
            deferral: deferral.ok_or_else(|| incomplete("deferral circuit"))?,
            verifying_key: recursive.get_vk().as_ref().clone(),
            baseline: VerificationBaseline {
                app_exe_commit: [F::default(); 8],
                memory_dimensions: system.memory_config.memory_dimensions(),
                num_user_pvs: system.num_public_values,
                app_vk_commit: aggregator.leaf_prover.get_vk_commit(false),
                leaf_vk_commit: aggregator.internal_for_leaf_prover.get_vk_commit(false),
                internal_for_leaf_vk_commit: recursive.get_vk_commit(false),
                internal_recursive_vk_commit: recursive.get_vk_commit(true),
                expected_def_hook_commit: sdk.def_hook_commit(),
            },
            commitment: aggregator.vm_or_hook_commit(),
            circuit_commitment,
        })
    }

    pub fn encode(&self) -> Result<Vec<u8>> {
        bitcode::serialize(self).map_err(|error| Error::Internal(error.to_string()))
    }

    /// Keys of another VM would make proofs that nobody accepts.
    pub fn check_aggregator(&self, aggregator: &AggProver) -> Result<()> {
        let recursive = &aggregator.internal_recursive_prover;
        let same = aggregator.vm_or_hook_commit() == self.commitment
            && recursive.get_vk_commit(true) == self.baseline.internal_recursive_vk_commit;
        same.then_some(()).ok_or_else(another_vm)
    }

    /// The same of what proves the verification of children.
    pub fn check_deferral(&self, deferral: &DeferralAggProver) -> Result<()> {
        let commitment = deferral.def_hook_commit();
        let same = self.baseline.expected_def_hook_commit == Some(commitment);
        same.then_some(()).ok_or_else(another_vm)
    }

    pub fn vm_config(&self) -> SdkVmConfig {
        vm_config(Some(self.deferral.clone()))
    }

    /// What the proofs of one program are verified against.
    pub fn verifying_key(&self, executable: Digest) -> VmStarkVerifyingKey {
        let mut baseline = self.baseline.clone();
        baseline.app_exe_commit = executable;
        VmStarkVerifyingKey {
            mvk: self.verifying_key.clone(),
            baseline,
        }
    }
}

fn another_vm() -> Error {
    Error::BadKeys("the keys are of another VM".into())
}

/// The verifying keys of every circuit there is, with a name for messages.
fn circuits(sdk: &Sdk) -> Result<Vec<(&'static str, Arc<MultiStarkVerifyingKey<SC>>)>> {
    let deferral = sdk
        .deferral_agg_prover()
        .ok_or_else(|| Error::BadKeys("the keys have no deferral circuit".into()))?;
    let children = &deferral.multi_deferral_circuit_prover;
    let mut all = vec![
        ("program", Arc::new(sdk.app_pk().get_app_vk().vk)),
        (
            "deferral recursion",
            children.internal_recursive_prover.get_vk(),
        ),
        ("deferral hook", children.def_hook_prover.get_vk()),
    ];
    for circuit in &children.single_circuit_provers {
        all.extend([
            ("verifier", circuit.def_circuit_prover.get_vk()),
            ("deferral leaf", circuit.leaf_prover.get_vk()),
            (
                "deferral internal",
                circuit.internal_for_leaf_prover.get_vk(),
            ),
        ]);
    }
    for aggregator in [&sdk.agg_prover(), &deferral.agg_prover] {
        all.extend([
            ("leaf", aggregator.leaf_prover.get_vk()),
            ("internal", aggregator.internal_for_leaf_prover.get_vk()),
            ("recursion", aggregator.internal_recursive_prover.get_vk()),
        ]);
    }
    Ok(all)
}

struct Loaded {
    definition: Definition,
    bytes: Vec<u8>,
}

static LOADED: OnceLock<Loaded> = OnceLock::new();

/// Make `bytes` this process's VM. There is one: a second one is refused, the same one is not.
pub fn load(bytes: &[u8]) -> Result<()> {
    let bad = |what: &str| Error::BadArgument(format!("not a VM definition: {what}"));
    if LOADED.get().is_none() {
        if bytes.len() > MAX_BYTES {
            return Err(bad(&format!("more than {MAX_BYTES} bytes")));
        }
        let definition: Definition =
            bitcode::deserialize(bytes).map_err(|error| bad(&error.to_string()))?;
        if definition.version != OPENVM_VERSION {
            return Err(bad(&format!(
                "of OpenVM {}, this is {OPENVM_VERSION}",
                definition.version
            )));
        }
        definition.parameters.check_ranges()?;
        let bytes = bytes.to_vec();
        // Another thread may have been first; what counts is compared below.
        let _ = LOADED.set(Loaded { definition, bytes });
    }
    if definition_bytes()? != bytes {
        return Err(bad("this process already has another one"));
    }
    Ok(())
}

pub fn definition() -> Result<&'static Definition> {
    Ok(&loaded()?.definition)
}

/// To compare with what keys say.
pub fn definition_bytes() -> Result<&'static [u8]> {
    Ok(&loaded()?.bytes)
}

fn loaded() -> Result<&'static Loaded> {
    LOADED
        .get()
        .ok_or_else(|| Error::Unavailable("no VM is loaded; call load_vm first".into()))
}

/// The key that proves (and commits to) programs, without those that aggregate: quickly made.
pub fn app_key() -> Result<&'static AppProvingKey<SdkVmConfig>> {
    static KEY: OnceLock<AppProvingKey<SdkVmConfig>> = OnceLock::new();
    let config = AppConfig::new(
        definition()?.vm_config(),
        definition()?.parameters.program(),
    );
    Ok(KEY.get_or_init(|| AppProvingKey::keygen(config).expect("the VM has AIRs")))
}

pub fn vm_config(deferral: Option<DeferralConfig>) -> SdkVmConfig {
    let builder = SdkVmConfig::builder()
        .system(Default::default())
        .rv32i(Default::default())
        .rv32m(Default::default())
        .io(Default::default());
    match deferral {
        Some(deferral) => builder.deferral(deferral).build().optimize(),
        None => builder.build().optimize(),
    }
}

/// Eight field elements as 32 bytes, as a guest sees them.
pub fn digest_bytes(digest: &Digest) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (place, element) in bytes.chunks_exact_mut(4).zip(digest) {
        place.copy_from_slice(&element.as_canonical_u32().to_le_bytes());
    }
    bytes
}
