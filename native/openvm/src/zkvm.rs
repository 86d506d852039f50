//! Running, proving and verifying programs. Nothing here knows Python.

use std::{borrow::Borrow, path::Path, sync::Arc};

use openvm_circuit::{
    arch::{
        VmExecutor, VmState,
        deferral::DeferralState,
        hasher::poseidon2::vm_poseidon2_hasher,
        instructions::{exe::VmExe, riscv::RV32_MEMORY_AS},
    },
    system::{
        memory::{merkle::public_values::extract_public_values, online::GuestMemory},
        program::trace::compute_exe_commit,
    },
};
use openvm_deferral_circuit::{
    RawDeferralResult, generate_deferral_results, poseidon2::deferral_poseidon2_chip,
};
use openvm_sdk::{DeferralInput, F, StdIn};
use openvm_stark_backend::p3_field::PrimeField32;
use openvm_stark_sdk::config::baby_bear_poseidon2::Digest;
use openvm_verify_stark_circuit::extension::get_raw_deferral_results;
use openvm_verify_stark_host::{
    VmStarkProof,
    pvs::{VM_PVS_AIR_ID, VmPvs},
    verify_vm_stark_proof_decoded,
};
use runner_shared::{Error, Result, guarded};
use sha2::{Digest as _, Sha256};

use crate::{
    keys, pipeline, program, receipt,
    vm::{self, Definition},
};

/// The address at which guests leave their journal (guests/openvm/rt): its length in words, then
/// the words.
const JOURNAL: usize = 0x400;
const JOURNAL_WORDS: usize = 1 << 12;

/// A program's executable commitment, the VM's, and the journal of a run.
pub type Claim = ([u8; 32], [u8; 32], Vec<u8>);

/// A successful run of a guest.
pub struct Run {
    pub journal: Vec<u8>,
    pub instructions: u64,
    pub segments: usize,
}

/// What a receipt says of itself.
pub struct Description {
    pub proof_bytes: usize,
    pub journal: Vec<u8>,
}

/// The executable commitment of a program, and the commitment to the VM.
pub fn commitments(elf: &[u8]) -> Result<([u8; 32], [u8; 32])> {
    let executable = program::commitment(program::load(elf)?)?;
    Ok((executable, vm::digest_bytes(&vm::definition()?.commitment)))
}

/// Run the guest and prove nothing. The claims are taken on trust.
pub fn execute(elf: &[u8], stdin: &[u8], claims: &[Claim]) -> Result<Run> {
    let exe = program::load(elf)?;
    let results = claims
        .iter()
        .enumerate()
        .map(|(index, (executable, machine, journal))| {
            let mut input = vec![0; 32];
            input[..4].copy_from_slice(&(index as u32).to_le_bytes());
            let values = Sha256::digest(journal);
            let values = values.iter().flat_map(|byte| [*byte, 0, 0, 0]);
            RawDeferralResult {
                input,
                output_raw: executable
                    .iter()
                    .chain(machine)
                    .copied()
                    .chain(values)
                    .collect(),
            }
        })
        .collect();
    let input = input(stdin, results);
    let executor = VmExecutor::new(vm::definition()?.vm_config())
        .map_err(|error| Error::Internal(error.to_string()))?;
    // Only the count of instructions matters here, so nobody asks for the heights of these chips.
    let chips = vec![CHIPS / 2; CHIPS];
    let interpreter = executor
        .metered_cost_instance(&exe, &chips)
        .map_err(|error| Error::BadElf(error.to_string()))?;
    let context = executor.build_metered_cost_ctx(&[0; CHIPS]);
    let (context, state) = of_guest(|| interpreter.execute_metered_cost(input, context))?;
    Ok(Run {
        journal: journal(&state)?,
        instructions: context.instret,
        segments: 1,
    })
}

const CHIPS: usize = 1024;

/// Run the guest and prove the run. The receipts are proofs on this same VM, which the guest
/// verifies. A segment takes at most `segment_memory` bytes by the library's estimate.
pub fn prove(
    folder: &Path,
    elf: &[u8],
    stdin: &[u8],
    receipts: &[Vec<u8>],
    segment_memory: usize,
) -> Result<(Vec<u8>, Run)> {
    let definition = vm::definition()?;
    let exe = program::load(elf)?;
    let proofs = receipts
        .iter()
        .map(|bytes| receipt::decode(bytes).map(|receipt| receipt.proof))
        .collect::<Result<Vec<_>>>()?;
    let results = proofs
        .iter()
        .map(|proof| named(definition, proof))
        .collect::<Result<Vec<_>>>()?;
    let input = input(stdin, results);
    let children = match proofs.len() {
        0 => vec![],
        _ => vec![DeferralInput::from_inputs(&proofs)],
    };
    drop(proofs);

    let keys = keys::obtain(folder)?;
    let mut app = keys.app(exe.clone(), segment_memory)?;
    let run = metered(&app, &exe, input.clone())?;
    let proof = pipeline::prove(&keys, &mut app, input, children)?;
    Ok((receipt::encode(&run.journal, &proof)?, run))
}

/// Check that a receipt proves a successful run of `image_id`, and return the journal of that run.
pub fn verify(receipt: &[u8], image_id: &[u8; 32]) -> Result<Vec<u8>> {
    let definition = vm::definition()?;
    let receipt = receipt::decode(receipt)?;
    let failed = |what: &str| Error::VerificationFailed(what.into());
    // The library indexes by what a proof says of itself, so it may also panic on a bad one.
    let verified = guarded(|| {
        let executable = executable(&receipt.proof)?;
        let machine = vm::digest_bytes(&definition.commitment);
        if program::image_id(&vm::digest_bytes(&executable), &machine) != *image_id {
            return Err(failed("it is a run of another program"));
        }
        let key = definition.verifying_key(executable);
        verify_vm_stark_proof_decoded(&key, &receipt.proof)
            .map_err(|error| failed(&error.to_string()))
    });
    match verified {
        Err(Error::Internal(panic)) => Err(failed(&format!("the verifier gave up on it: {panic}"))),
        other => other,
    }?;
    if !receipt::skipped_are_zero(&receipt.proof) {
        return Err(failed("it has values that no proof needs"));
    }
    let values = &receipt.proof.user_pvs_proof.public_values;
    let digest = Sha256::digest(&receipt.journal);
    if !values
        .iter()
        .map(|value| value.as_canonical_u32())
        .eq(digest.iter().map(|byte| u32::from(*byte)))
    {
        return Err(failed("its journal is not the one that was committed"));
    }
    Ok(receipt.journal)
}

/// Read what a receipt says of itself. Nothing is verified.
pub fn describe(receipt: &[u8]) -> Result<Description> {
    let receipt = receipt::decode(receipt)?;
    Ok(Description {
        proof_bytes: receipt.proof_bytes,
        journal: receipt.journal,
    })
}

/// The executable commitment that a proof claims.
fn executable(proof: &VmStarkProof) -> Result<Digest> {
    let values = proof
        .inner
        .public_values
        .get(VM_PVS_AIR_ID)
        .filter(|values| values.len() == VmPvs::<u8>::width())
        .ok_or_else(|| Error::VerificationFailed("it has no public values of a VM".into()))?;
    let values: &VmPvs<F> = values.as_slice().borrow();
    Ok(compute_exe_commit(
        &vm_poseidon2_hasher(),
        &values.program_commit,
        &values.initial_root,
        values.initial_pc,
    ))
}

/// The name of a proof in a guest, and what the guest learns of the proof.
fn named(definition: &Definition, proof: &VmStarkProof) -> Result<RawDeferralResult> {
    let key = definition.verifying_key(executable(proof)?);
    let proofs = std::slice::from_ref(proof);
    let mut results = get_raw_deferral_results(&key, proofs, definition.circuit_commitment)
        .map_err(|error| Error::VerificationFailed(format!("{error:#}")))?;
    results
        .pop()
        .ok_or_else(|| Error::Internal("a proof without a result".into()))
}

/// The input stream of a guest (guests/openvm/rt): the number of proofs, their names, and the
/// guest's own input.
fn input(stdin: &[u8], results: Vec<RawDeferralResult>) -> StdIn {
    let mut bytes = (results.len() as u32).to_le_bytes().to_vec();
    for result in &results {
        bytes.extend_from_slice(&result.input);
    }
    bytes.extend_from_slice(stdin);
    let mut input = StdIn::from_bytes(&bytes);
    if !results.is_empty() {
        let results = generate_deferral_results(results, 0, &deferral_poseidon2_chip::<F>());
        input.deferrals = vec![DeferralState::new(results)];
    }
    input
}

/// Run the guest as its proof will be cut into segments.
fn metered(app: &program::App, exe: &Arc<VmExe<F>>, input: StdIn) -> Result<Run> {
    let vm = app.vm();
    let interpreter = vm
        .metered_interpreter(exe)
        .map_err(|error| Error::BadElf(error.to_string()))?;
    let context = vm.build_metered_ctx(exe);
    let (segments, state) = of_guest(|| interpreter.execute_metered(input, context))?;
    Ok(Run {
        journal: journal(&state)?,
        instructions: segments.iter().map(|segment| segment.num_insns).sum(),
        segments: segments.len(),
    })
}

/// Run a guest. Whatever goes wrong meanwhile is the guest's failure, even if the executor panics.
fn of_guest<T, E: std::fmt::Display>(
    work: impl FnOnce() -> std::result::Result<T, E>,
) -> Result<T> {
    match guarded(|| work().map_err(|error| Error::GuestFailed(error.to_string()))) {
        Err(Error::Internal(panic)) => Err(Error::GuestFailed(panic)),
        other => other,
    }
}

/// What the guest left at [`JOURNAL`], provided that its public values are the digest of it.
fn journal(state: &VmState<F, GuestMemory>) -> Result<Vec<u8>> {
    let memory = &state.memory.memory;
    // SAFETY: guest memory has half a gigabyte, and both ranges lie in its first 32 KiB.
    let read =
        |start: usize, length: usize| unsafe { memory.get_u8_slice(RV32_MEMORY_AS, start, length) };
    let mut length = [0; 4];
    length.copy_from_slice(read(JOURNAL, 4));
    let words = u32::from_le_bytes(length) as usize;
    let nothing = || Error::GuestFailed("the guest ended without a journal".into());
    if words > JOURNAL_WORDS {
        return Err(nothing());
    }
    let journal = read(JOURNAL + 4, 4 * words).to_vec();
    if extract_public_values(32, memory) != Sha256::digest(&journal)[..] {
        return Err(nothing());
    }
    Ok(journal)
}
