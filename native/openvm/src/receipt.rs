//! The receipts of OpenVM in their encoding.
//!
//! The envelope is that of `runner_shared::envelope`, and its body is a `VmStarkProof` in the
//! library's own encoding (`openvm_stark_backend::codec`). The library's decoder allocates at most
//! 1024 elements ahead of what it has read. It refuses field elements that are not canonical and
//! bytes that are left over.

use openvm_stark_backend::codec::{Decode, Encode};
use openvm_verify_stark_host::VmStarkProof;
use runner_shared::{
    Error, Result,
    envelope::{Malformed, Zkvm, encode_envelope, malformed, open_envelope},
};

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
    let proof = VmStarkProof::decode_from_bytes(body)
        .map_err(|error| malformed(&format!("the proof cannot be read: {error}")))?;
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
mod tests {
    use super::*;

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
}
