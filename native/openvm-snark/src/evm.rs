//! The last step: a smaller circuit that verifies the SNARK, so that a contract has less to do, and
//! the source of that contract.

use std::io::Write as _;

use eyre::{Result, WrapErr as _};
use openvm_sdk::types::EvmProof;
use openvm_static_verifier::Halo2WrapperProvingKey;
use snark_verifier_sdk::{
    SHPLONK, Snark, evm::gen_evm_verifier_sol_code, halo2::aggregation::AggregationCircuit,
};

use crate::{circuit_key::SNARK, files::Folder, srs};

/// Make the key of the smaller circuit, the contract's source, and the proof.
pub fn prove(folder: &Folder) -> Result<()> {
    let snark: Snark = folder.read_json(SNARK)?;
    let key = Halo2WrapperProvingKey::keygen_auto_tune(folder, snark.clone());
    let k = key.pinning.metadata.config_params.k;
    eprintln!("the last circuit has 2^{k} rows");
    let srs = srs::read(folder, k as u32)?;
    let source = gen_evm_verifier_sol_code::<AggregationCircuit, SHPLONK>(
        &srs,
        key.pinning.pk.get_vk(),
        key.pinning.metadata.num_pvs.clone(),
    );
    folder.write("Halo2Verifier.sol", |file| {
        file.write_all(source.as_bytes())
    })?;
    let proof = EvmProof::try_from(key.prove_for_evm(&srs, snark)).wrap_err("not a proof")?;
    folder.write_json("evm.proof", &proof)
}
