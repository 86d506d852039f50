//! The receipts of OpenVM in their encoding.
//!
//! The envelope is that of `runner_shared::envelope`, and its body is a `VmStarkProof` in the
//! library's own encoding (`openvm_stark_backend::codec`). The library's decoder believes lengths
//! that it should not, so [`crate::layout`] looks at them first. It refuses field elements that are
//! not canonical and bytes that are left over, but it takes every byte that is not zero for a "yes".
//! So the proof is encoded again, and bytes that are not its encoding are refused.

use std::borrow::Borrow;

use openvm_stark_backend::{
    codec::{Decode, Encode},
    p3_field::{PrimeCharacteristicRing, PrimeField32},
};
use openvm_stark_sdk::config::baby_bear_poseidon2::F;
use openvm_verify_stark_host::{
    VmStarkProof,
    pvs::{DEF_PVS_AIR_ID, DeferralPvs},
};
use runner_shared::{
    Error, Result,
    envelope::{Malformed, Zkvm, encode_envelope, is_canonical, malformed, open_envelope},
};

use crate::layout;

const OPENVM: Zkvm = Zkvm {
    number: 2,
    name: "OpenVM",
};

/// The number for succinct receipts that the envelopes of both zkVMs use.
const SUCCINCT: u8 = 2;

/// The most bytes that a receipt may have. A proof has some 273 000 bytes whatever it proves, and a
/// journal at most 16 KiB.
const MAX_BYTES: usize = 1 << 20;

pub struct Receipt {
    pub journal: Vec<u8>,
    pub proof: VmStarkProof,
    pub proof_bytes: usize,
}

/// The height of the subtree of children's results that a proof is about: zero without children,
/// and `None` for what is no proof of a VM that can have children.
pub fn deferral_height(proof: &VmStarkProof) -> Option<usize> {
    let values = proof.inner.public_values.get(DEF_PVS_AIR_ID)?;
    if values.len() != DeferralPvs::<u8>::width() {
        return None;
    }
    let values: &DeferralPvs<F> = values.as_slice().borrow();
    Some(values.depth.as_canonical_u32() as usize)
}

/// Whether those elements are zero that the library's verifier skips: the paths to the children's
/// results begin at the leaves, and count only from their subtree's height on.
pub fn skipped_are_zero(proof: &VmStarkProof) -> bool {
    let Some(paths) = &proof.deferral_merkle_proofs else {
        return true;
    };
    let height = deferral_height(proof).unwrap_or(0);
    [&paths.initial_merkle_proof, &paths.final_merkle_proof]
        .into_iter()
        .flat_map(|path| path.iter().take(height).flatten())
        .all(|element| *element == F::ZERO)
}

pub fn encode(journal: &[u8], proof: &VmStarkProof) -> Result<Vec<u8>> {
    let body = proof
        .encode_to_vec()
        .map_err(|error| Error::ProverFailed(format!("the proof has no encoding: {error}")))?;
    Ok(encode_envelope(&OPENVM, SUCCINCT, journal, &body))
}

pub fn decode(bytes: &[u8]) -> Result<Receipt> {
    if bytes.len() > MAX_BYTES {
        return Err(malformed(&format!(
            "{} bytes, more than {MAX_BYTES}",
            bytes.len()
        )));
    }
    let (kind, input) = open_envelope(bytes, &OPENVM).map_err(refusal)?;
    if kind != SUCCINCT {
        return Err(malformed(&format!("unknown receipt kind {kind}")));
    }
    let (journal, body) = input.payload().map_err(refusal)?;
    layout::check(body)?;
    let proof = VmStarkProof::decode_from_bytes(body)
        .map_err(|error| malformed(&format!("the proof cannot be read: {error}")))?;
    is_canonical(bytes, &encode(journal, &proof)?)?;
    Ok(Receipt {
        journal: journal.to_vec(),
        proof,
        proof_bytes: body.len(),
    })
}

/// The error for a malformed envelope, in this module's own words.
fn refusal(problem: Malformed) -> Error {
    match problem {
        Malformed::Header(_) => problem.into(),
        Malformed::CutShort { .. } | Malformed::LengthBeyondMemory => {
            malformed("it ends too early")
        }
        Malformed::LeftOver(_) => malformed("bytes are left over at the end"),
    }
}

#[cfg(test)]
pub mod tests {
    use std::{borrow::BorrowMut, path::Path};

    use super::*;

    include!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../shared/src/mutation.rs"
    ));

    /// The stored receipt of a real proof.
    pub fn stored() -> Vec<u8> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../tests/native/data/openvm-fibonacci-10.receipt");
        std::fs::read(path).unwrap()
    }

    fn message(bytes: &[u8]) -> String {
        match decode(bytes) {
            Err(Error::MalformedReceipt(message)) => message,
            Err(other) => panic!("{other:?}"),
            Ok(_) => panic!("it is a receipt"),
        }
    }

    #[test]
    fn bytes_that_are_no_receipt_are_refused_with_the_reason() {
        let whole = encode_envelope(&OPENVM, SUCCINCT, b"journal", b"no proof");
        for length in 0..whole.len() {
            let expected = "not a receipt: it ends too early";
            assert_eq!(message(&whole[..length]), expected, "{length}");
        }
        let longer = [whole.as_slice(), &[0]].concat();
        assert_eq!(
            message(&longer),
            "not a receipt: bytes are left over at the end"
        );
        assert!(message(&whole).starts_with("not a receipt: the proof cannot be read: "));
    }

    /// The library's decoder takes every byte but zero for a yes.
    #[test]
    fn a_proof_has_one_encoding() {
        let bytes = stored();
        let mut not_read = 0;
        for at in (8 + 8 + 8 + 8..bytes.len()).filter(|at| bytes[*at] == 1) {
            let mut changed = bytes.clone();
            changed[at] = 3;
            if let Ok(receipt) = decode(&changed) {
                assert_eq!(encode(&receipt.journal, &receipt.proof).unwrap(), changed);
            } else if message(&changed).contains("are not its encoding") {
                not_read += 1;
            }
        }
        assert_eq!(not_read, 1);
    }

    #[test]
    fn what_the_verifier_skips_is_zero() {
        let mut proof = decode(&stored()).unwrap().proof;
        assert_eq!(deferral_height(&proof), Some(0));
        assert!(skipped_are_zero(&proof));
        let set = |proof: &mut VmStarkProof, at: usize, digest: [F; 8]| {
            let paths = proof.deferral_merkle_proofs.as_mut().unwrap();
            paths.initial_merkle_proof[at] = digest;
            paths.final_merkle_proof[at] = digest;
        };
        let mut one = [F::ZERO; 8];
        one[7] = F::ONE;
        let values = &mut proof.inner.public_values[DEF_PVS_AIR_ID];
        let values: &mut DeferralPvs<F> = values.as_mut_slice().borrow_mut();
        values.depth = F::TWO;
        for at in [0, 1] {
            set(&mut proof, at, [F::ZERO; 8]);
        }
        assert_eq!(deferral_height(&proof), Some(2));
        // The verifier reads the third element, so it may be anything here.
        set(&mut proof, 2, one);
        assert!(skipped_are_zero(&proof));
        for at in [0, 1] {
            let mut changed = proof.clone();
            set(&mut changed, at, one);
            assert!(!skipped_are_zero(&changed));
        }
    }

    #[test]
    fn only_succinct_receipts_of_openvm_are_read() {
        let other = Zkvm {
            number: 1,
            name: "RISC Zero",
        };
        assert_eq!(
            message(&encode_envelope(&other, SUCCINCT, b"", b"")),
            "not a receipt: made by zkVM number 1, not by OpenVM (2)"
        );
        assert_eq!(
            message(&encode_envelope(&OPENVM, 3, b"", b"")),
            "not a receipt: unknown receipt kind 3"
        );
    }

    #[test]
    fn a_receipt_that_is_too_large_is_refused_before_it_is_read() {
        assert_eq!(
            message(&vec![0; MAX_BYTES + 1]),
            "not a receipt: 1048577 bytes, more than 1048576"
        );
    }

    #[test]
    fn what_decodes_is_encoded_in_the_same_bytes() {
        let whole = stored();
        let mut read = 0;
        for round in 0..1000 {
            let bytes = mutated(&whole, round);
            if let Ok(receipt) = decode(&bytes) {
                assert_eq!(encode(&receipt.journal, &receipt.proof).unwrap(), bytes);
                read += 1;
            }
        }
        assert!(read > 50, "{read}");
    }
}
