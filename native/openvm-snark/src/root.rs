//! The first step: from a batch's root, a STARK over BabyBear whose hashes are Poseidon2 over
//! BabyBear, to the same statement with hashes over BN254's scalar field. A circuit over that field
//! verifies it with little work.

use std::{fs, path::Path, sync::Arc};

use eyre::{Result, WrapErr as _, bail, ensure, eyre};
use openvm_continuations::RootSC;
use openvm_sdk::{keygen::RootProvingKey, prover::RootProver};
use openvm_stark_backend::{
    codec::{Decode as _, Encode as _},
    proof::Proof,
};
use openvm_verify_stark_host::vk::VmStarkVerifyingKey;
use sha2::{Digest as _, Sha256};

use crate::{files::Folder, keys, receipt, vm, zkvm};

const KEY: &str = "root.key";
const PROOF: &str = "root.proof";

/// What the SHA-256 of the VM's definition was when the keys were made.
const VM_DIGEST: &str = "vm.sha256";

/// Load the VM and check that the folder's files, if there are some, belong to it.
pub fn load_vm(folder: &Folder, path: &Path) -> Result<VmStarkVerifyingKey> {
    let bytes = fs::read(path).wrap_err_with(|| path.display().to_string())?;
    vm::load(&bytes).map_err(failed)?;
    let digest = hex::encode(Sha256::digest(&bytes));
    if let Ok(made_for) = fs::read_to_string(folder.path(VM_DIGEST)) {
        ensure!(made_for == digest, "the folder's keys are of another VM");
    } else {
        fs::write(folder.path(VM_DIGEST), digest)?;
    }
    Ok(vm::definition()
        .map_err(failed)?
        .verifying_key(Default::default()))
}

/// Make the proving key of the root's circuit and the heights of its traces.
pub fn make_key(folder: &Folder, vm_path: &Path) -> Result<()> {
    load_vm(folder, vm_path)?;
    let parameters = vm::definition().map_err(failed)?.parameters;
    let sdk = keys::make(parameters).map_err(failed)?;
    let made = vm::Definition::of(&sdk, parameters).and_then(|made| made.encode());
    ensure!(
        made.map_err(failed)? == vm::definition_bytes().map_err(failed)?,
        "the keys made are of another VM"
    );
    let bytes = bitcode::serialize(&sdk.root_pk())?;
    folder.write(KEY, |file| std::io::Write::write_all(file, &bytes))
}

pub fn key(folder: &Folder) -> Result<RootProvingKey> {
    let mut bytes = vec![];
    std::io::Read::read_to_end(&mut folder.open(KEY)?, &mut bytes)?;
    bitcode::deserialize(&bytes).wrap_err(KEY)
}

/// Verify the batch's root and prove that it holds.
pub fn prove(folder: &Folder, vm_path: &Path, receipt_path: &Path) -> Result<()> {
    let vm = load_vm(folder, vm_path)?;
    let bytes = fs::read(receipt_path).wrap_err_with(|| receipt_path.display().to_string())?;
    let decoded = receipt::decode(&bytes).map_err(failed)?;
    // A root's journal begins with the aggregator's image id (docs/architecture.md).
    let image_id = match decoded.journal.split_first_chunk::<32>() {
        Some((image_id, rest)) if rest.len() == 36 => *image_id,
        _ => bail!("{} is not the receipt of a root", receipt_path.display()),
    };
    zkvm::verify(&bytes, &image_id).map_err(failed)?;
    let key = key(folder)?;
    let baseline = vm.baseline;
    let prover = RootProver::from_pk(
        Arc::new(vm.mvk),
        baseline.internal_recursive_vk_commit.cached_commit.into(),
        key.root_pk,
        baseline.memory_dimensions,
        baseline.num_user_pvs,
        baseline.expected_def_hook_commit,
        Some(key.trace_heights),
    );
    let proof = prover.prove(decoded.proof, &prover.create_engine(), 0, |_| {
        bail!("the root's proof is higher than the circuit allows")
    })?;
    folder.write(PROOF, |file| proof.encode(file))
}

pub fn proof(folder: &Folder) -> Result<Proof<RootSC>> {
    Proof::decode(&mut folder.open(PROOF)?).wrap_err(PROOF)
}

pub fn failed(error: runner_shared::Error) -> eyre::Report {
    let (code, message) = error.into_code_and_message();
    eyre!("{code}: {message}")
}
