//! The proving keys and the provers that are made of them.
//!
//! Keys are made once and kept in a file (`key_file.rs`). A damaged file is made anew. No proof
//! depends on these keys being right, because every receipt is verified with the key in the VM's
//! definition.
//!
//! Reading the file takes little time, for it is small. What takes time is that every prover
//! commits to the constant columns of its circuits. So the provers of a tree's levels are made side
//! by side, and those that only aggregations need are made for the first aggregation.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use openvm_circuit::arch::instructions::exe::VmExe;
use openvm_continuations::prover::{DeferralCircuitProver as _, InnerCpuProver};
use openvm_sdk::{
    F, SC, Sdk,
    config::{AggregationTreeConfig, AppConfig},
    keygen::{AggProvingKey, AppProvingKey, DeferralProvingKey},
    prover::{AggProver, DeferralAggProver, MultiDeferralCircuitProver, vm::types::VmProvingKey},
};
use openvm_sdk_config::{SdkVmConfig, SdkVmCpuBuilder, deferral::SupportedDeferral};
use openvm_stark_backend::keygen::types::MultiStarkVerifyingKey;
use openvm_stark_sdk::config::baby_bear_poseidon2::{BabyBearPoseidon2CpuEngine as Engine, Digest};
use openvm_verify_stark_circuit::prover::DeferredVerifyCpuCircuitProver as VerifyProver;
use runner_shared::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::{
    key_file,
    parameters::Parameters,
    program::App,
    vm::{self, Definition},
};

/// The keys, as a file contains them.
#[derive(Serialize, Deserialize)]
struct Stored {
    app: AppProvingKey<SdkVmConfig>,
    aggregation: AggProvingKey,
    deferral: DeferralProvingKey,
    deferral_aggregation: AggProvingKey,
    /// The commitment to the deferral hook's constant columns, which the aggregator's circuits
    /// name.
    hook: Digest,
}

/// The keys and those provers that threads can share.
pub struct Keys {
    stored: Stored,
    aggregator: AggProver,
    deferral: Mutex<Option<Arc<DeferralAggProver>>>,
}

impl Stored {
    fn of(sdk: &Sdk) -> Result<Self> {
        let incomplete = || Error::BadKeys("the keys have no deferral circuit".into());
        let keys = sdk
            .cached_proving_key()
            .map_err(|error| Error::BadKeys(error.to_string()))?;
        let deferral = sdk.deferral_agg_prover().ok_or_else(incomplete)?;
        Ok(Stored {
            app: keys.app_pk,
            aggregation: keys.agg_pk,
            deferral: keys.deferral_pk.ok_or_else(incomplete)?,
            deferral_aggregation: keys.deferral_agg_pk.ok_or_else(incomplete)?,
            hook: deferral.def_hook_cached_commit(),
        })
    }
}

impl Keys {
    fn new(stored: Stored) -> Result<Self> {
        let aggregator = aggregator(
            Arc::new(stored.app.get_app_vk().vk),
            &stored.aggregation,
            AggregationTreeConfig::default(),
            stored.hook,
        );
        vm::definition()?.check_aggregator(&aggregator)?;
        Ok(Keys {
            stored,
            aggregator,
            deferral: Mutex::new(None),
        })
    }

    /// A prover for one program. It is bound to its thread, so it is not kept for the next job.
    ///
    /// A run is cut where the library estimates that a segment takes more than `segment_memory`
    /// bytes. The estimate is that of a GPU's prover, and has a floor of 6 GiB.
    pub fn app(&self, exe: Arc<VmExe<F>>, segment_memory: usize) -> Result<App> {
        let key = &self.stored.app.app_vm_pk;
        let mut vm_config = key.vm_config.clone();
        vm_config.system.config.segmentation_max_memory = segment_memory;
        let vm_pk = key.vm_pk.clone();
        App::new(SdkVmCpuBuilder, &VmProvingKey { vm_config, vm_pk }, exe)
            .map_err(|error| Error::ProverFailed(error.to_string()))
    }

    pub fn aggregator(&self) -> &AggProver {
        &self.aggregator
    }

    /// The prover for the verification of children. It is made when it is first asked for.
    pub fn deferral(&self) -> Result<Arc<DeferralAggProver>> {
        let mut made = self.deferral.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(prover) = &*made {
            return Ok(prover.clone());
        }
        let keys = &self.stored.deferral;
        let [circuit] = &keys.circuits[..] else {
            return Err(Error::BadKeys("not keys of one deferral circuit".into()));
        };
        let deferral_aggregation = &self.stored.deferral_aggregation;
        let hook = self.stored.hook;
        let (children, aggregator) = rayon::join(
            || {
                MultiDeferralCircuitProver::from_pks(
                    VerifyProver::from_pk(circuit.def_circuit_pk.as_ref().clone()),
                    circuit.agg_prefix_pk.clone(),
                    keys.def_internal_recursive_pk.clone(),
                    keys.def_hook_pk.clone(),
                )
            },
            || {
                aggregator(
                    Arc::new(keys.def_hook_pk.get_vk()),
                    deferral_aggregation,
                    AggregationTreeConfig::deferral(),
                    hook,
                )
            },
        );
        let prover = Arc::new(DeferralAggProver {
            multi_deferral_circuit_prover: Arc::new(children),
            agg_prover: Arc::new(aggregator),
        });
        vm::definition()?.check_deferral(&prover)?;
        *made = Some(prover.clone());
        Ok(prover)
    }
}

/// The provers of a tree's levels, made side by side. `AggProver::from_pk` makes them one after
/// another.
fn aggregator(
    child: Arc<MultiStarkVerifyingKey<SC>>,
    keys: &AggProvingKey,
    tree: AggregationTreeConfig,
    hook: Digest,
) -> AggProver {
    let (leaf, internal) = (&keys.prefix.leaf, &keys.prefix.internal_for_leaf);
    let hook = Some(hook);
    let ((leaf_prover, internal_for_leaf_prover), internal_recursive_prover) = rayon::join(
        || {
            rayon::join(
                || InnerCpuProver::from_pk::<Engine>(child, leaf.clone(), false, hook),
                || {
                    let child = Arc::new(leaf.get_vk());
                    InnerCpuProver::from_pk::<Engine>(child, internal.clone(), false, hook)
                },
            )
        },
        || {
            let child = Arc::new(internal.get_vk());
            InnerCpuProver::from_pk::<Engine>(child, keys.internal_recursive.clone(), true, hook)
        },
    );
    AggProver {
        leaf_prover,
        internal_for_leaf_prover,
        internal_recursive_prover,
        agg_tree_config: tree,
    }
}

/// The keys in `folder`, which are read, or made, once a process.
pub fn obtain(folder: &Path) -> Result<Arc<Keys>> {
    static LOADED: Mutex<Option<(PathBuf, Arc<Keys>)>> = Mutex::new(None);
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((place, keys)) = &*loaded
        && place == folder
    {
        return Ok(keys.clone());
    }
    let path = key_file::path(folder)?;
    let keys = match key_file::read(&path).and_then(Keys::new) {
        Ok(keys) => keys,
        Err(_) => {
            let _lock = key_file::lock(folder)?;
            // The process that had the lock before may have made them.
            match key_file::read(&path).and_then(Keys::new) {
                Ok(keys) => keys,
                Err(_) => Keys::new(make_file(&path)?)?,
            }
        }
    };
    let keys = Arc::new(keys);
    *loaded = Some((folder.to_owned(), keys.clone()));
    Ok(keys)
}

/// Make the keys in `folder` unless they are there and whole. Returns whether they were made.
pub fn ensure(folder: &Path) -> Result<bool> {
    let path = key_file::path(folder)?;
    let _lock = key_file::lock(folder)?;
    if key_file::read::<Stored>(&path).is_ok() {
        return Ok(false);
    }
    make_file(&path)?;
    Ok(true)
}

fn make_file(path: &Path) -> Result<Stored> {
    let parameters = vm::definition()?.parameters;
    let sdk = make(parameters)?;
    if Definition::of(&sdk, parameters)?.encode()? != vm::definition_bytes()? {
        return Err(Error::BadKeys("the keys made are of another VM".into()));
    }
    let stored = Stored::of(&sdk)?;
    let part = path.with_extension("part");
    key_file::write(&stored, &part)
        .and_then(|()| fs::rename(&part, path))
        .map_err(|error| key_file::unwritable(path, &error))?;
    Ok(stored)
}

/// Make keys, which takes some fifteen seconds on two cores.
pub fn make(parameters: Parameters) -> Result<Sdk> {
    let aggregation = parameters.aggregation();
    let plain = vm::vm_config(None);
    let system = &plain.system.config;
    let deferral = DeferralAggProver::verify_stark(
        &aggregation,
        parameters.recursion(),
        system.memory_config.memory_dimensions(),
        system.num_public_values,
    );
    let config = deferral
        .multi_deferral_circuit_prover
        .make_config(vec![SupportedDeferral::VerifyStark]);
    let sdk = Sdk::builder()
        .app_config(AppConfig::new(
            vm::vm_config(Some(config)),
            parameters.program(),
        ))
        .agg_params(aggregation)
        .deferral_agg_prover(deferral)
        .build()
        .map_err(|error| Error::BadKeys(format!("{error:#}")))?;
    sdk.agg_prover();
    Ok(sdk)
}
