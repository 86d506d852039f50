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

#[cfg(test)]
mod tests {
    use super::*;
    use risc0_zkvm::{FakeReceipt, MaybePruned};

    /// A segment with this seal and the empty claim of another; proves nothing.
    fn segment(seal: &[u32]) -> SegmentReceipt {
        let claim = ReceiptClaim::ok(Digest::ZERO, MaybePruned::<Vec<u8>>::Pruned(Digest::ZERO));
        let parts = [
            borsh::to_vec(seal).unwrap(),
            borsh::to_vec(&0u32).unwrap(),
            borsh::to_vec("poseidon2").unwrap(),
            borsh::to_vec(&Digest::ZERO).unwrap(),
            borsh::to_vec(&claim).unwrap(),
        ];
        borsh::from_slice(&parts.concat()).unwrap()
    }

    fn composite(assumptions: Vec<InnerAssumptionReceipt>) -> CompositeReceipt {
        let mut receipt = empty_composite([7; 32]).unwrap();
        receipt.segments = vec![segment(&[1, 2, 3]), segment(&[])];
        receipt.assumption_receipts = assumptions;
        receipt
    }

    /// `levels` composites, each the only assumption of the next.
    fn nested(levels: usize) -> Receipt {
        let inner = (1..levels).fold(composite(vec![]), |inner, _| {
            composite(vec![InnerAssumptionReceipt::Composite(inner)])
        });
        Receipt::new(InnerReceipt::Composite(inner), b"journal".to_vec())
    }

    fn code(result: Result<Receipt>) -> &'static str {
        match result {
            Ok(_) => "ok",
            Err(Error::MalformedReceipt(_)) => "malformed",
            Err(_) => "other",
        }
    }

    #[test]
    fn decoding_reverses_encoding() {
        for levels in [1, 2, MAX_DEPTH] {
            let bytes = encode(&nested(levels)).unwrap();
            let back = decode(&bytes).unwrap();
            assert_eq!(back.journal.bytes, b"journal");
            assert_eq!(kind_name(&back), "composite");
            assert_eq!(encode(&back).unwrap(), bytes);
        }
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let receipt = Receipt::new(
            InnerReceipt::Composite(empty_composite([7; 32]).unwrap()),
            vec![9, 9],
        );
        let expected = [
            b"ZKRC".as_slice(),
            &[1, 0, 1, 1],
            &[2, 0, 0, 0, 0, 0, 0, 0, 9, 9],
            &[40, 0, 0, 0, 0, 0, 0, 0],
            &[7; 32],
            &[0; 8],
        ];
        assert_eq!(encode(&receipt).unwrap(), expected.concat());
    }

    #[test]
    fn nesting_is_limited_both_ways() {
        assert!(matches!(
            encode(&nested(MAX_DEPTH + 1)),
            Err(Error::BadArgument(_))
        ));
        // What `encode` would have written, one level around the deepest that it writes.
        let deepest = encode(&nested(MAX_DEPTH)).unwrap();
        let body = &deepest[8 + 8 + 7 + 8..];
        let mut around = vec![7; 32];
        put_count(&mut around, 0).unwrap();
        put_count(&mut around, 1).unwrap();
        around.push(COMPOSITE);
        put_blob(&mut around, body);
        let mut bytes = deepest[..8 + 8 + 7].to_vec();
        put_blob(&mut bytes, &around);
        assert_eq!(code(decode(&bytes)), "malformed");
    }

    #[test]
    fn every_truncation_and_every_addition_is_refused() {
        let bytes = encode(&nested(3)).unwrap();
        for length in 0..bytes.len() {
            assert_eq!(code(decode(&bytes[..length])), "malformed", "{length}");
        }
        assert_eq!(
            code(decode(&[bytes.as_slice(), &[0]].concat())),
            "malformed"
        );
    }

    #[test]
    fn fake_receipts_have_no_encoding() {
        let claim = ReceiptClaim::ok(Digest::ZERO, MaybePruned::<Vec<u8>>::Pruned(Digest::ZERO));
        let fake = || FakeReceipt::new(MaybePruned::Value(claim.clone()));
        let outside = Receipt::new(InnerReceipt::Fake(fake()), vec![]);
        assert!(matches!(encode(&outside), Err(Error::BadArgument(_))));

        let pruned = FakeReceipt::new(MaybePruned::<Unknown>::Pruned(Digest::ZERO));
        let inside = composite(vec![InnerAssumptionReceipt::Fake(pruned)]);
        let inside = Receipt::new(InnerReceipt::Composite(inside), vec![]);
        assert!(matches!(encode(&inside), Err(Error::BadArgument(_))));

        let mut bytes = encode(&nested(1)).unwrap();
        bytes[7] = 0;
        assert_eq!(code(decode(&bytes)), "malformed");
    }

    #[test]
    fn counts_are_not_believed() {
        for (at, size) in [(8, 8), (23, 8), (63, 4), (67, 8)] {
            let mut bytes = encode(&nested(1)).unwrap();
            bytes[at..at + size].fill(0xff);
            assert_eq!(code(decode(&bytes)), "malformed", "{at}");
        }
    }
}
