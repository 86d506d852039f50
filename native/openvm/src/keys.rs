//! The proving keys: made once, kept on disk, checked when they are read.
//!
//! ```text
//! "ZKOVKEYS"  SHA-256 of the rest: 32 bytes  bitcode(SdkCachedProvingKey)
//! ```
//!
//! The file's name has the version of OpenVM and the digest of the VM's definition, which follows from
//! all parameters. A damaged file is made anew. No proof depends on these keys being right: every
//! receipt is verified with the key in the VM's definition.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use openvm_circuit::arch::instructions::exe::VmExe;
use openvm_sdk::{
    DeferralSetup, F, Sdk,
    config::AppConfig,
    keygen::{AppProvingKey, SdkCachedProvingKey},
    prover::{AggProver, DeferralAggProver},
};
use openvm_sdk_config::{SdkVmConfig, SdkVmCpuBuilder, deferral::SupportedDeferral};
use sha2::{Digest as _, Sha256};

use crate::{
    error::{Error, Result},
    pipeline::Prover,
    vm::{self, Definition},
};

const MAGIC: &[u8; 8] = b"ZKOVKEYS";

/// Of a whole file; they have some hundred megabytes.
const MAX_BYTES: u64 = 8 << 30;

/// What proves, as far as it can be shared between threads.
pub struct Keys {
    app: AppProvingKey<SdkVmConfig>,
    aggregator: Arc<AggProver>,
    deferral: DeferralSetup,
}

impl Keys {
    fn of(sdk: &Sdk) -> Result<Self> {
        let deferral = sdk
            .deferral_agg_prover()
            .ok_or_else(|| Error::BadKeys("the keys have no deferral circuit".into()))?;
        Ok(Keys {
            app: sdk.app_pk().clone(),
            aggregator: sdk.agg_prover(),
            deferral: DeferralSetup::Active(deferral),
        })
    }

    /// A prover of one program.
    pub fn prover(&self, exe: Arc<VmExe<F>>) -> Result<Prover> {
        Prover::new(
            SdkVmCpuBuilder,
            &self.app.app_vm_pk,
            exe,
            self.aggregator.clone(),
            self.deferral.clone(),
        )
        .map_err(|error| Error::ProverFailed(format!("{error:#}")))
    }
}

/// The keys of `folder`, read (or made) once a process.
pub fn obtain(folder: &Path) -> Result<Arc<Keys>> {
    static LOADED: Mutex<Option<(PathBuf, Arc<Keys>)>> = Mutex::new(None);
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((place, keys)) = &*loaded
        && place == folder
    {
        return Ok(keys.clone());
    }
    let path = file(folder)?;
    let sdk = match read(&path) {
        Ok(sdk) => sdk,
        Err(_) => {
            let _lock = lock(folder)?;
            // Whoever had the lock before may have made them.
            match read(&path) {
                Ok(sdk) => sdk,
                Err(_) => make_file(&path)?,
            }
        }
    };
    let keys = Arc::new(Keys::of(&sdk)?);
    *loaded = Some((folder.to_owned(), keys.clone()));
    Ok(keys)
}

/// Make the keys of `folder` if there are none; says whether they were made. Whether they are whole
/// is found out by who reads them.
pub fn ensure(folder: &Path) -> Result<bool> {
    let path = file(folder)?;
    let _lock = lock(folder)?;
    if path.exists() {
        return Ok(false);
    }
    make_file(&path)?;
    Ok(true)
}

/// One process makes keys, the others wait for it; the kernel frees the lock of one that is killed.
fn lock(folder: &Path) -> Result<File> {
    let locked = || -> std::io::Result<File> {
        fs::create_dir_all(folder)?;
        let lock = File::create(folder.join("lock"))?;
        lock.lock()?;
        Ok(lock)
    };
    locked().map_err(|error| unwritable(folder, &error))
}

fn make_file(path: &Path) -> Result<Sdk> {
    let sdk = make(vm::definition()?.app_log_stacked_height)?;
    check(&sdk)?;
    let part = path.with_extension("part");
    write(&sdk, &part)
        .and_then(|()| fs::rename(&part, path))
        .map_err(|error| unwritable(path, &error))?;
    Ok(sdk)
}

fn unwritable(path: &Path, error: &std::io::Error) -> Error {
    Error::BadKeys(format!("{} cannot be written: {error}", path.display()))
}

/// Keys of another VM would make proofs that nobody accepts.
fn check(sdk: &Sdk) -> Result<()> {
    if Definition::of(sdk)?.encode()? != vm::definition_bytes()? {
        return Err(Error::BadKeys("the keys are of another VM".into()));
    }
    Ok(())
}

/// Make keys: half a minute on two cores.
pub fn make(app_log_stacked_height: usize) -> Result<Sdk> {
    vm::check_height(app_log_stacked_height)?;
    let aggregation = vm::aggregation_params();
    let plain = vm::vm_config(None);
    let system = &plain.system.config;
    let deferral = DeferralAggProver::verify_stark(
        &aggregation,
        vm::hook_params(),
        system.memory_config.memory_dimensions(),
        system.num_public_values,
    );
    let config = deferral
        .multi_deferral_circuit_prover
        .make_config(vec![SupportedDeferral::VerifyStark]);
    let sdk = Sdk::builder()
        .app_config(AppConfig::new(
            vm::vm_config(Some(config)),
            vm::app_params(app_log_stacked_height),
        ))
        .agg_params(aggregation)
        .deferral_agg_prover(deferral)
        .build()
        .map_err(|error| Error::BadKeys(format!("{error:#}")))?;
    sdk.agg_prover();
    Ok(sdk)
}

fn file(folder: &Path) -> Result<PathBuf> {
    let digest = Sha256::digest(vm::definition_bytes()?);
    let name: String = digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok(folder.join(format!("openvm-{}-{name}.keys", vm::OPENVM_VERSION)))
}

fn write(sdk: &Sdk, path: &Path) -> std::io::Result<()> {
    let keys = sdk.cached_proving_key().map_err(std::io::Error::other)?;
    let payload = bitcode::serialize(&keys).map_err(std::io::Error::other)?;
    let mut file = File::create(path)?;
    file.write_all(MAGIC)?;
    file.write_all(&Sha256::digest(&payload))?;
    file.write_all(&payload)?;
    file.sync_all()
}

fn read(path: &Path) -> Result<Sdk> {
    let payload = payload(path)?;
    let damaged = |what: String| Error::BadKeys(format!("{}: {what}", path.display()));
    let keys: SdkCachedProvingKey<SdkVmConfig> =
        bitcode::deserialize(&payload).map_err(|error| damaged(error.to_string()))?;
    drop(payload);
    let sdk = Sdk::from_deferral_cached_proving_key(keys)
        .map_err(|error| damaged(format!("{error:#}")))?;
    check(&sdk)?;
    Ok(sdk)
}

/// What a key file holds, once its checksum is found to be right.
fn payload(path: &Path) -> Result<Vec<u8>> {
    let damaged = |what: String| Error::BadKeys(format!("{}: {what}", path.display()));
    let length = fs::metadata(path)
        .map_err(|error| damaged(error.to_string()))?
        .len();
    if length > MAX_BYTES {
        return Err(damaged(format!("{length} bytes, more than {MAX_BYTES}")));
    }
    let mut bytes = fs::read(path).map_err(|error| damaged(error.to_string()))?;
    let head = MAGIC.len() + 32;
    if bytes.len() < head
        || !bytes.starts_with(MAGIC)
        || Sha256::digest(&bytes[head..])[..] != bytes[MAGIC.len()..head]
    {
        return Err(damaged("not keys, or damaged".into()));
    }
    bytes.drain(..head);
    Ok(bytes)
}
