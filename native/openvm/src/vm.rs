//! The one VM of this process: its parameters, and the part of its keys that verifying needs.
//!
//! All programs run on the same VM, and programs on it can verify its proofs at any depth
//! (`DeferralAggProver::verify_stark`), so there is one verifying key. The key comes with the
//! guests (guests/openvm/vm.bin) and is pinned by their manifest, so verifying needs no proving
//! keys.

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
use runner_shared::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::parameters::{Circuit, Parameters};

pub const OPENVM_VERSION: &str = "2.0.2";

/// The most bytes that an encoded definition may have. The runner's has a few hundred kilobytes.
const MAX_BYTES: usize = 64 << 20;

/// The definition of a VM, which is what `vm.bin` contains.
#[derive(Serialize, Deserialize)]
pub struct Definition {
    /// The version of OpenVM that it was made with.
    version: String,
    pub parameters: Parameters,
    /// The bits of proven security of the weakest circuit.
    pub security_bits: f64,
    deferral: DeferralConfig,
    verifying_key: MultiStarkVerifyingKey<SC>,
    /// What proofs are compared with. Its executable commitment is zero, because it belongs to no
    /// program in particular.
    baseline: VerificationBaseline,
    /// The commitment to the VM, by which a guest that verifies a proof recognises it.
    pub commitment: Digest,
    /// The commitment to the deferral circuit, which is part of a proof's name in a guest.
    pub circuit_commitment: Digest,
}

impl Definition {
    /// Derive a definition from complete keys that were made with these parameters.
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

    /// Refuse keys of another VM, for nobody would accept the proofs that are made with them.
    pub fn check_aggregator(&self, aggregator: &AggProver) -> Result<()> {
        let recursive = &aggregator.internal_recursive_prover;
        let same = aggregator.vm_or_hook_commit() == self.commitment
            && recursive.get_vk_commit(true) == self.baseline.internal_recursive_vk_commit;
        same.then_some(()).ok_or_else(another_vm)
    }

    /// Refuse a prover for the verification of children if its keys belong to another VM.
    pub fn check_deferral(&self, deferral: &DeferralAggProver) -> Result<()> {
        let commitment = deferral.def_hook_commit();
        let same = self.baseline.expected_def_hook_commit == Some(commitment);
        same.then_some(()).ok_or_else(another_vm)
    }

    pub fn vm_config(&self) -> SdkVmConfig {
        vm_config(Some(self.deferral.clone()))
    }

    /// The key that the proofs of one program are verified with.
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

/// All circuits of the VM.
fn circuits(sdk: &Sdk) -> Result<Vec<Circuit>> {
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

/// Make `bytes` the definition of this process's VM. It may be given again, but a process has one
/// VM, so another definition is refused.
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
        // Another thread may have been first. What is loaded now is compared below.
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

/// The encoded definition, which that of proving keys must equal.
pub fn definition_bytes() -> Result<&'static [u8]> {
    Ok(&loaded()?.bytes)
}

fn loaded() -> Result<&'static Loaded> {
    LOADED
        .get()
        .ok_or_else(|| Error::Unavailable("no VM is loaded; call load_vm first".into()))
}

/// The key that commits to programs and proves them. It is made quickly, because it comes without
/// the keys that aggregate.
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

/// The eight field elements of a digest as 32 bytes, as a guest sees them.
pub fn digest_bytes(digest: &Digest) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (place, element) in bytes.chunks_exact_mut(4).zip(digest) {
        place.copy_from_slice(&element.as_canonical_u32().to_le_bytes());
    }
    bytes
}
