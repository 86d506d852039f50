//! The structured reference strings of the last two proofs.
//!
//! The proofs hold only if nobody knows the secret that a reference string was made with. The ones
//! of the ceremony are downloaded. What this module makes is for tests: its secret is public.

use std::sync::Arc;

use eyre::{Result, WrapErr as _};
use halo2_base::halo2_proofs::SerdeFormat;
use openvm_static_verifier::{Halo2Params, Halo2ParamsReader};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng as _};
use sha2::{Digest as _, Sha256};

use crate::files::Folder;

/// The seed of the secret, which is thereby public. All sizes have the same secret. The runner
/// knows a contract that relies on it by the point that follows from the secret
/// (runner/evm/openvm.py), and refuses that contract on every chain that is not local.
const UNSAFE_SEED: &str = "unsafe test reference string: its secret is public";

fn name(k: u32) -> String {
    format!("srs/kzg_bn254_{k}.srs")
}

/// Make a reference string of `2^k` points whose secret everybody knows.
pub fn make_unsafe_for_tests(folder: &Folder, k: u32) -> Result<()> {
    let generator = ChaCha20Rng::from_seed(Sha256::digest(UNSAFE_SEED).into());
    let parameters = Halo2Params::setup(k, generator);
    folder.write(&name(k), |file| {
        parameters.write_custom(file, SerdeFormat::RawBytes)
    })
}

pub fn read(folder: &Folder, k: u32) -> Result<Halo2Params> {
    let name = name(k);
    Halo2Params::read_custom(&mut folder.open(&name)?, SerdeFormat::RawBytes).wrap_err(name)
}

impl Halo2ParamsReader for Folder {
    fn read_params(&self, k: usize) -> Arc<Halo2Params> {
        Arc::new(read(self, k as u32).unwrap_or_else(|error| panic!("{error:#}")))
    }
}
