//! The receipts of RISC Zero in their encoding, which is bounded in depth.
//!
//! The envelope is that of `runner_shared::envelope`. Its body is, by the receipt's kind:
//!
//! ```text
//! succinct   = borsh(SuccinctReceipt)            groth16 = borsh(Groth16Receipt)
//! composite  = verifier_parameters: [u8; 32]
//!              segments: u32, then a blob each = borsh(SegmentReceipt)
//!              assumptions: u32, then each = kind: u8, blob (composite | succinct | groth16)
//!                                          | 4: u8, u32 (the number of an earlier one in this list)
//! ```
//!
//! A run that assumes one claim several times carries its receipt as often, because the library wants
//! one for each. Here it is written once, and then named by its number.
//!
//! The library's own borsh decoding of a whole receipt recurses as deep as the input says, so a few
//! megabytes of nested composites end the process. Here borsh decodes only the parts that cannot
//! nest (it never allocates more than a page ahead of the bytes it has read), and the nesting is
//! walked with a limit. Fake receipts have no encoding.
//!
//! A receipt has one encoding: bytes that decode to a receipt whose encoding is another are refused.
//! The one exception is the encoding of earlier versions, in which nothing is named by its number.

use std::collections::HashMap;

use borsh::{BorshDeserialize, BorshSerialize};
use risc0_zkvm::{
    CompositeReceipt, Digest, Groth16Receipt, InnerAssumptionReceipt, InnerReceipt, Receipt,
    ReceiptClaim, SegmentReceipt, SuccinctReceipt, Unknown,
};
use runner_shared::{
    Error, Result,
    envelope::{
        Reader, Zkvm, encode_envelope, is_canonical, malformed, open_envelope, put_blob, put_count,
    },
};

const RISC_ZERO: Zkvm = Zkvm {
    number: 1,
    name: "RISC Zero",
};

const COMPOSITE: u8 = 1;
const SUCCINCT: u8 = 2;
const GROTH16: u8 = 3;
/// An assumption that is the same as an earlier one of the same composite receipt.
const SAME: u8 = 4;

/// The bytes that what is named by its number may take in memory, which is as much as the largest
/// file that a receipt is read from. A few bytes could claim any amount otherwise.
const MAX_COPIED: usize = 1 << 30;

/// Composite receipts nest once for each aggregation level, and nobody builds trees this deep.
const MAX_DEPTH: usize = 16;

pub fn encode(receipt: &Receipt) -> Result<Vec<u8>> {
    encode_as(receipt, true)
}

/// Encode a receipt, and name what is the same as an earlier part by its number if `names`.
fn encode_as(receipt: &Receipt, names: bool) -> Result<Vec<u8>> {
    let (kind, body) = match &receipt.inner {
        InnerReceipt::Composite(inner) => (COMPOSITE, encode_composite(inner, 0, names)?),
        InnerReceipt::Succinct(inner) => (SUCCINCT, borsh_bytes(inner)?),
        InnerReceipt::Groth16(inner) => (GROTH16, borsh_bytes(inner)?),
        _ => {
            return Err(Error::BadArgument(
                "this receipt kind has no encoding".into(),
            ));
        }
    };
    let journal = &receipt.journal.bytes;
    Ok(encode_envelope(&RISC_ZERO, kind, journal, &body))
}

pub fn decode(bytes: &[u8]) -> Result<Receipt> {
    let receipt = decode_any(bytes)?;
    is_canonical(bytes, &encode(&receipt)?).or_else(|problem| {
        let written_out = encode_as(&receipt, false)?;
        if bytes == written_out {
            Ok(())
        } else {
            Err(problem)
        }
    })?;
    Ok(receipt)
}

/// Decode what may also have other encodings.
fn decode_any(bytes: &[u8]) -> Result<Receipt> {
    let (kind, input) = open_envelope(bytes, &RISC_ZERO)?;
    let (journal, body) = input.payload()?;
    let inner = match kind {
        COMPOSITE => InnerReceipt::Composite(decode_composite(body, 0, &mut { MAX_COPIED })?.0),
        SUCCINCT => InnerReceipt::Succinct(from_borsh::<SuccinctReceipt<ReceiptClaim>>(body)?),
        GROTH16 => InnerReceipt::Groth16(from_borsh::<Groth16Receipt<ReceiptClaim>>(body)?),
        _ => return Err(malformed(&format!("unknown receipt kind {kind}"))),
    };
    Ok(Receipt::new(inner, journal.to_vec()))
}

pub fn kind_name(receipt: &Receipt) -> &'static str {
    match receipt.inner {
        InnerReceipt::Composite(_) => "composite",
        InnerReceipt::Succinct(_) => "succinct",
        InnerReceipt::Groth16(_) => "groth16",
        _ => "fake",
    }
}

fn encode_composite(receipt: &CompositeReceipt, depth: usize, names: bool) -> Result<Vec<u8>> {
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
    let mut written: HashMap<(u8, Vec<u8>), usize> = HashMap::new();
    for (number, assumption) in receipt.assumption_receipts.iter().enumerate() {
        let (kind, body) = match assumption {
            InnerAssumptionReceipt::Composite(inner) => {
                (COMPOSITE, encode_composite(inner, depth + 1, names)?)
            }
            InnerAssumptionReceipt::Succinct(inner) => (SUCCINCT, borsh_bytes(inner)?),
            InnerAssumptionReceipt::Groth16(inner) => (GROTH16, borsh_bytes(inner)?),
            _ => {
                return Err(Error::BadArgument(
                    "an assumption's kind has no encoding".into(),
                ));
            }
        };
        let part = (kind, body);
        if let Some(&earlier) = written.get(&part) {
            out.push(SAME);
            put_count(&mut out, earlier)?;
            continue;
        }
        out.push(kind);
        put_blob(&mut out, &part.1);
        if names {
            written.insert(part, number);
        }
    }
    Ok(out)
}

/// Decode a composite receipt. Returns it with the bytes that it takes with all copies written out.
/// `left` is how many bytes may still be copied.
fn decode_composite(
    bytes: &[u8],
    depth: usize,
    left: &mut usize,
) -> Result<(CompositeReceipt, usize)> {
    if depth >= MAX_DEPTH {
        return Err(malformed(&format!("nests deeper than {MAX_DEPTH} levels")));
    }
    let mut input = Reader::new(bytes);
    let mut receipt = empty_composite(input.array()?)?;
    for _ in 0..input.count()? {
        receipt
            .segments
            .push(from_borsh::<SegmentReceipt>(input.blob()?)?);
    }
    let mut size = bytes.len();
    // The size of each assumption with all copies written out, or 0 for a copy, which none may name.
    let mut sizes: Vec<usize> = Vec::new();
    for _ in 0..input.count()? {
        let [kind] = input.array()?;
        if kind == SAME {
            let earlier = input.count()? as usize;
            let copied = sizes.get(earlier).copied().filter(|&size| size > 0);
            let copied =
                copied.ok_or_else(|| malformed(&format!("no assumption {earlier} to copy")))?;
            *left = left
                .checked_sub(copied)
                .ok_or_else(|| malformed("its copies take too much memory"))?;
            let copy = receipt.assumption_receipts[earlier].clone();
            receipt.assumption_receipts.push(copy);
            sizes.push(0);
            size += copied;
            continue;
        }
        let body = input.blob()?;
        let mut whole = body.len().max(1);
        receipt.assumption_receipts.push(match kind {
            COMPOSITE => {
                let (inner, expanded) = decode_composite(body, depth + 1, left)?;
                whole = expanded;
                InnerAssumptionReceipt::Composite(inner)
            }
            SUCCINCT => {
                InnerAssumptionReceipt::Succinct(from_borsh::<SuccinctReceipt<Unknown>>(body)?)
            }
            GROTH16 => {
                InnerAssumptionReceipt::Groth16(from_borsh::<Groth16Receipt<Unknown>>(body)?)
            }
            _ => return Err(malformed(&format!("unknown assumption kind {kind}"))),
        });
        size += whole - body.len().min(whole);
        sizes.push(whole);
    }
    input.end()?;
    Ok((receipt, size))
}

/// A composite receipt without parts. Its type is `non_exhaustive`, so another crate can make one
/// only by decoding it. In borsh it is two empty vectors and the digest.
fn empty_composite(verifier_parameters: [u8; 32]) -> Result<CompositeReceipt> {
    let mut bytes = vec![0u8; 8];
    bytes.extend_from_slice(Digest::from_bytes(verifier_parameters).as_bytes());
    from_borsh(&bytes)
}

fn borsh_bytes(value: &impl BorshSerialize) -> Result<Vec<u8>> {
    borsh::to_vec(value).map_err(|error| Error::Internal(format!("encoding a receipt: {error}")))
}

/// Decode a part that is all of `bytes`: bytes that are left over are an error.
fn from_borsh<T: BorshDeserialize>(bytes: &[u8]) -> Result<T> {
    borsh::from_slice(bytes).map_err(|error| malformed(&error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use risc0_zkvm::{FakeReceipt, MaybePruned};

    include!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../shared/src/mutation.rs"
    ));

    /// A segment with this seal and an empty claim. It proves nothing.
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

    /// A receipt of `levels` composites, each of which is the only assumption of the next.
    fn nested(levels: usize) -> Receipt {
        let inner = (1..levels).fold(composite(vec![]), |inner, _| {
            composite(vec![InnerAssumptionReceipt::Composite(inner)])
        });
        Receipt::new(InnerReceipt::Composite(inner), b"journal".to_vec())
    }

    /// A receipt with these composites as assumptions.
    fn assuming(inner: &[CompositeReceipt]) -> Receipt {
        let parts = inner.iter().cloned();
        let outer = composite(parts.map(InnerAssumptionReceipt::Composite).collect());
        Receipt::new(InnerReceipt::Composite(outer), b"journal".to_vec())
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
    fn what_is_assumed_several_times_is_written_once() {
        let (one, mut other) = (composite(vec![]), composite(vec![]));
        other.segments.pop();
        let twelve = assuming(&vec![one.clone(); 12]);
        let bytes = encode(&twelve).unwrap();
        let single = encode(&assuming(std::slice::from_ref(&one))).unwrap();
        assert_eq!(bytes.len(), single.len() + 11 * 5);
        let mixed = assuming(&[one.clone(), other.clone(), one.clone(), other, one]);
        for receipt in [twelve, mixed] {
            let bytes = encode(&receipt).unwrap();
            let back = decode(&bytes).unwrap();
            assert_eq!(
                borsh::to_vec(&back).unwrap(),
                borsh::to_vec(&receipt).unwrap()
            );
            // What earlier versions wrote is read as well, and is written anew in the short form.
            let written_out = encode_as(&receipt, false).unwrap();
            assert!(written_out.len() > bytes.len());
            assert_eq!(encode(&decode(&written_out).unwrap()).unwrap(), bytes);
            for length in 0..bytes.len() {
                assert_eq!(code(decode(&bytes[..length])), "malformed", "{length}");
            }
        }
    }

    #[test]
    fn a_receipt_is_copied_in_one_way_only() {
        let inner = vec![composite(vec![]); 3];
        let bytes = encode(&assuming(&inner)).unwrap();
        // The last two assumptions are 4, 0 and 4, 0 at the end.
        assert_eq!(&bytes[bytes.len() - 10..], [4, 0, 0, 0, 0, 4, 0, 0, 0, 0]);
        for number in [1, 2, 3, u32::MAX] {
            let mut bytes = bytes.clone();
            let at = bytes.len() - 4;
            bytes[at..].copy_from_slice(&number.to_le_bytes());
            assert_eq!(code(decode(&bytes)), "malformed", "{number}");
        }
        // A copy that is written out beside one that is named by its number.
        let part = encode_composite(&inner[0], 0, true).unwrap();
        let mut body = part[..part.len() - 4].to_vec();
        put_count(&mut body, 3).unwrap();
        for _ in 0..2 {
            body.push(COMPOSITE);
            put_blob(&mut body, &part);
        }
        body.push(SAME);
        put_count(&mut body, 0).unwrap();
        let mixed = encode_envelope(&RISC_ZERO, COMPOSITE, b"journal", &body);
        assert!(decode_any(&mixed).is_ok());
        assert_eq!(code(decode(&mixed)), "malformed");
    }

    #[test]
    fn copies_of_copies_take_bounded_memory() {
        // Each level assumes the one below 4095 times: 4095^16 receipts in a few kilobytes.
        let mut body = encode_composite(&composite(vec![]), 0, true).unwrap();
        for _ in 1..MAX_DEPTH {
            let mut around = vec![7; 32];
            put_count(&mut around, 0).unwrap();
            put_count(&mut around, 4095).unwrap();
            around.push(COMPOSITE);
            put_blob(&mut around, &body);
            for _ in 1..4095 {
                around.push(SAME);
                put_count(&mut around, 0).unwrap();
            }
            body = around;
        }
        let bytes = encode_envelope(&RISC_ZERO, COMPOSITE, b"", &body);
        let refused = decode(&bytes).err();
        assert_eq!(refused, Some(malformed("its copies take too much memory")));
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
        // These are the bytes that `encode` would write, were the deepest receipt that it accepts
        // one level deeper.
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

    #[test]
    fn what_decodes_is_encoded_in_the_same_bytes() {
        let data = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/native/data");
        let stored = std::fs::read(format!("{data}/fibonacci-10.receipt")).unwrap();
        let small = encode(&nested(3)).unwrap();
        let mut read = 0;
        for (whole, rounds) in [(stored, 1000), (small, 20_000)] {
            for round in 0..rounds {
                let bytes = mutated(&whole, round);
                if let Ok(receipt) = decode(&bytes) {
                    assert_eq!(encode(&receipt).unwrap(), bytes, "round {round}");
                    read += 1;
                }
            }
        }
        assert!(read > 500, "{read}");
    }
}
