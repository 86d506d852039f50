//! The receipt encoding: versioned, length-checked, bounded in depth.
//!
//! ```text
//! "ZKRC"  version: u16  zkvm: u8  kind: u8  journal: blob  body: blob        (integers little-endian)
//! blob       = length: u64, bytes
//! succinct   = borsh(SuccinctReceipt)            groth16 = borsh(Groth16Receipt)
//! composite  = verifier_parameters: [u8; 32]
//!              segments: u32, then a blob each = borsh(SegmentReceipt)
//!              assumptions: u32, then each = kind: u8, blob (composite | succinct | groth16)
//! ```
//!
//! The library's own borsh decoding of a whole receipt recurses as deep as the input says, so a
//! few megabytes of nested composites end the process. Here only the parts that cannot nest are
//! left to borsh (which never allocates more than a page ahead of the bytes it has read), and the
//! nesting is walked with a limit. Fake receipts have no encoding.

use borsh::{BorshDeserialize, BorshSerialize};
use risc0_zkvm::{
    CompositeReceipt, Digest, Groth16Receipt, InnerAssumptionReceipt, InnerReceipt, Receipt,
    ReceiptClaim, SegmentReceipt, SuccinctReceipt, Unknown,
};

use crate::error::{Error, Result};

const MAGIC: &[u8; 4] = b"ZKRC";
pub const VERSION: u16 = 1;
const ZKVM_RISC0: u8 = 1;

const COMPOSITE: u8 = 1;
const SUCCINCT: u8 = 2;
const GROTH16: u8 = 3;

/// Composite receipts nest once per aggregation level; nobody builds trees this deep.
const MAX_DEPTH: usize = 16;

pub fn encode(receipt: &Receipt) -> Result<Vec<u8>> {
    let (kind, body) = match &receipt.inner {
        InnerReceipt::Composite(inner) => (COMPOSITE, encode_composite(inner, 0)?),
        InnerReceipt::Succinct(inner) => (SUCCINCT, borsh_bytes(inner)?),
        InnerReceipt::Groth16(inner) => (GROTH16, borsh_bytes(inner)?),
        _ => {
            return Err(Error::BadArgument(
                "this receipt kind has no encoding".into(),
            ));
        }
    };
    let mut out = Vec::with_capacity(body.len() + receipt.journal.bytes.len() + 24);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&[ZKVM_RISC0, kind]);
    put_blob(&mut out, &receipt.journal.bytes);
    put_blob(&mut out, &body);
    Ok(out)
}

pub fn decode(bytes: &[u8]) -> Result<Receipt> {
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
    if zkvm != ZKVM_RISC0 {
        return Err(malformed(&format!(
            "made by zkVM number {zkvm}, not by RISC Zero (1)"
        )));
    }
    let journal = input.blob()?.to_vec();
    let body = input.blob()?;
    input.end()?;
    let inner = match kind {
        COMPOSITE => InnerReceipt::Composite(decode_composite(body, 0)?),
        SUCCINCT => InnerReceipt::Succinct(from_borsh::<SuccinctReceipt<ReceiptClaim>>(body)?),
        GROTH16 => InnerReceipt::Groth16(from_borsh::<Groth16Receipt<ReceiptClaim>>(body)?),
        _ => return Err(malformed(&format!("unknown receipt kind {kind}"))),
    };
    Ok(Receipt::new(inner, journal))
}

pub fn kind_name(receipt: &Receipt) -> &'static str {
    match receipt.inner {
        InnerReceipt::Composite(_) => "composite",
        InnerReceipt::Succinct(_) => "succinct",
        InnerReceipt::Groth16(_) => "groth16",
        _ => "fake",
    }
}

fn encode_composite(receipt: &CompositeReceipt, depth: usize) -> Result<Vec<u8>> {
    if depth >= MAX_DEPTH {
        return Err(Error::BadArgument(format!(
            "receipt nests deeper than {MAX_DEPTH} levels"
        )));
    }
    let mut out = receipt.verifier_parameters.as_bytes().to_vec();
    put_count(&mut out, receipt.segments.len())?;
    for segment in &receipt.segments {
        put_blob(&mut out, &borsh_bytes(segment)?);
    }
    put_count(&mut out, receipt.assumption_receipts.len())?;
    for assumption in &receipt.assumption_receipts {
        let (kind, body) = match assumption {
            InnerAssumptionReceipt::Composite(inner) => {
                (COMPOSITE, encode_composite(inner, depth + 1)?)
            }
            InnerAssumptionReceipt::Succinct(inner) => (SUCCINCT, borsh_bytes(inner)?),
            InnerAssumptionReceipt::Groth16(inner) => (GROTH16, borsh_bytes(inner)?),
            _ => {
                return Err(Error::BadArgument(
                    "an assumption's kind has no encoding".into(),
                ));
            }
        };
        out.push(kind);
        put_blob(&mut out, &body);
    }
    Ok(out)
}

fn decode_composite(bytes: &[u8], depth: usize) -> Result<CompositeReceipt> {
    if depth >= MAX_DEPTH {
        return Err(malformed(&format!("nests deeper than {MAX_DEPTH} levels")));
    }
    let mut input = Reader(bytes);
    let mut receipt = empty_composite(input.array()?)?;
    for _ in 0..input.count()? {
        receipt
            .segments
            .push(from_borsh::<SegmentReceipt>(input.blob()?)?);
    }
    for _ in 0..input.count()? {
        let [kind] = input.array()?;
        let body = input.blob()?;
        receipt.assumption_receipts.push(match kind {
            COMPOSITE => InnerAssumptionReceipt::Composite(decode_composite(body, depth + 1)?),
            SUCCINCT => {
                InnerAssumptionReceipt::Succinct(from_borsh::<SuccinctReceipt<Unknown>>(body)?)
            }
            GROTH16 => {
                InnerAssumptionReceipt::Groth16(from_borsh::<Groth16Receipt<Unknown>>(body)?)
            }
            _ => return Err(malformed(&format!("unknown assumption kind {kind}"))),
        });
    }
    input.end()?;
    Ok(receipt)
}

/// The type is `non_exhaustive`, so the only way to one from outside its crate is to decode it:
/// two empty vectors and the digest, in borsh.
fn empty_composite(verifier_parameters: [u8; 32]) -> Result<CompositeReceipt> {
    let mut bytes = vec![0u8; 8];
    bytes.extend_from_slice(Digest::from_bytes(verifier_parameters).as_bytes());
    from_borsh(&bytes)
}

fn put_blob(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
}

fn put_count(out: &mut Vec<u8>, count: usize) -> Result<()> {
    let count = u32::try_from(count)
        .map_err(|_| Error::BadArgument("more than 2^32 parts in one receipt".into()))?;
    out.extend_from_slice(&count.to_le_bytes());
    Ok(())
}

fn borsh_bytes(value: &impl BorshSerialize) -> Result<Vec<u8>> {
    borsh::to_vec(value).map_err(|error| Error::Internal(format!("encoding a receipt: {error}")))
}

/// Strict: bytes left over are an error.
fn from_borsh<T: BorshDeserialize>(bytes: &[u8]) -> Result<T> {
    borsh::from_slice(bytes).map_err(|error| malformed(&error.to_string()))
}

fn malformed(reason: &str) -> Error {
    Error::MalformedReceipt(format!("not a receipt: {reason}"))
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(count).ok_or_else(|| {
            malformed(&format!(
                "cut short: {count} bytes wanted, {} left",
                self.0.len()
            ))
        })?;
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    fn count(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn blob(&mut self) -> Result<&'a [u8]> {
        let length = u64::from_le_bytes(self.array()?);
        let length = usize::try_from(length).map_err(|_| malformed("a length beyond memory"))?;
        self.take(length)
    }

    fn end(&self) -> Result<()> {
        match self.0.len() {
            0 => Ok(()),
            left => Err(malformed(&format!("{left} bytes after its end"))),
        }
    }
}
