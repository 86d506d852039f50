//! The receipt encoding, the one of `native/risc0` with this zkVM's number.
//!
//! ```text
//! "ZKRC"  version: u16  zkvm: u8  kind: u8  journal: blob  body: blob        (integers little-endian)
//! blob = length: u64, bytes        body = openvm_stark_backend::codec of a VmStarkProof
//! ```
//!
//! The library's decoder allocates at most 1024 elements ahead of what it has read, refuses field
//! elements that are not canonical and bytes that are left over.

use openvm_stark_backend::codec::{Decode, Encode};
use openvm_verify_stark_host::VmStarkProof;

use crate::error::{Error, Result};

const MAGIC: &[u8; 4] = b"ZKRC";
pub const VERSION: u16 = 1;
const ZKVM_OPENVM: u8 = 2;
const SUCCINCT: u8 = 2;

/// A proof has some 273 000 bytes whatever it proves, a journal at most 16 KiB.
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
    let mut out = Vec::with_capacity(journal.len() + body.len() + 24);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&[ZKVM_OPENVM, SUCCINCT]);
    for blob in [journal, &body] {
        out.extend_from_slice(&(blob.len() as u64).to_le_bytes());
        out.extend_from_slice(blob);
    }
    Ok(out)
}

pub fn decode(bytes: &[u8]) -> Result<Receipt> {
    if bytes.len() > MAX_BYTES {
        return Err(malformed(&format!(
            "{} bytes, more than {MAX_BYTES}",
            bytes.len()
        )));
    }
    let mut input = Reader(bytes);
    if input.take(4)? != MAGIC {
        return Err(malformed("does not start with the receipt magic"));
    }
    let version = u16::from_le_bytes(input.array()?);
    if version != VERSION {
        return Err(malformed(&format!(
            "encoding version {version}, this build reads {VERSION}"
        )));
    }
    let [zkvm, kind] = input.array()?;
    if zkvm != ZKVM_OPENVM {
        return Err(malformed(&format!(
            "made by zkVM number {zkvm}, not by OpenVM (2)"
        )));
    }
    if kind != SUCCINCT {
        return Err(malformed(&format!("unknown receipt kind {kind}")));
    }
    let journal = input.blob()?.to_vec();
    let body = input.blob()?;
    if !input.0.is_empty() {
        return Err(malformed("bytes are left over at the end"));
    }
    let proof = VmStarkProof::decode_from_bytes(body)
        .map_err(|error| malformed(&format!("the proof cannot be read: {error}")))?;
    Ok(Receipt {
        journal,
        proof,
        proof_bytes: body.len(),
    })
}

fn malformed(what: &str) -> Error {
    Error::MalformedReceipt(format!("not a receipt: {what}"))
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (head, rest) = self
            .0
            .split_at_checked(count)
            .ok_or_else(|| malformed("it ends too early"))?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(*self.take(N)?.first_chunk().expect("just taken"))
    }

    fn blob(&mut self) -> Result<&'a [u8]> {
        let length = u64::from_le_bytes(self.array()?);
        let length = usize::try_from(length).map_err(|_| malformed("it ends too early"))?;
        self.take(length)
    }
}
