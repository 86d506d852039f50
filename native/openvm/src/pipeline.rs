//! From a program's run to one proof of constant size:
//!
//! ```text
//! run ─▶ app ─▶ leaf ─▶ internal for leaf ─▶ internal recursive ─▶ (no children: done)
//!                                                              ╲
//! children ─▶ verify each ─▶ deferral leaf, internal ─▶ hook ─▶ mixed ─▶ once more, for its size
//! ```
//!
//! The library's `StarkProver::prove` adds a layer to every proof to make it smaller. The proof of
//! a run without children is that small already. So here only a mixed proof, which has two proofs
//! below it, gets the layer.

use std::fmt::Display;

use openvm_circuit::{
    arch::hasher::poseidon2::vm_poseidon2_hasher, system::memory::merkle::MerkleTree,
};
use openvm_sdk::{DeferralInput, F, StdIn, prover::compute_deferral_merkle_proofs};
use openvm_verify_stark_host::VmStarkProof;
use runner_shared::{Error, Result};

use crate::{keys::Keys, program::App, receipt::deferral_height};

/// Prove one run. `children` are the encoded proofs that the guest verifies, in the guest's order.
pub fn prove(
    keys: &Keys,
    app: &mut App,
    input: StdIn,
    children: Vec<DeferralInput>,
) -> Result<VmStarkProof> {
    let before = memory_tree(app)?;
    let execution = app.prove(input).map_err(failed)?;
    let aggregator = keys.aggregator();
    let (mut proof, mut layers) = aggregator.prove_vm(execution).map_err(failed)?;
    if !children.is_empty() {
        let deferral = keys.deferral()?;
        let hooks = deferral
            .multi_deferral_circuit_prover
            .prove(&children)
            .map_err(failed)?;
        let (deferred, depth) = deferral.agg_prover.prove_def(hooks).map_err(failed)?;
        proof = aggregator
            .prove_mixed(proof, deferred, &mut layers, depth)
            .map_err(failed)?;
        proof = aggregator.wrap_proof(proof, &mut layers).map_err(failed)?;
    }
    let depth = deferral_height(&proof)
        .ok_or_else(|| Error::ProverFailed("a proof without deferral values".into()))?;
    proof.deferral_merkle_proofs = Some(compute_deferral_merkle_proofs(
        app.memory_dimensions(),
        &before,
        &memory_tree(app)?,
        depth,
    ));
    Ok(proof)
}

/// The Merkle tree of the prover's memory as it is now, before the run or after it.
fn memory_tree(app: &App) -> Result<MerkleTree<F, 8>> {
    let state = app.instance().state().as_ref();
    let state = state.ok_or_else(|| Error::ProverFailed("a prover without a state".into()))?;
    Ok(MerkleTree::from_memory(
        &state.memory.memory,
        &app.memory_dimensions(),
        &vm_poseidon2_hasher(),
    ))
}

fn failed(error: impl Display) -> Error {
    Error::ProverFailed(format!("{error:#}"))
}
