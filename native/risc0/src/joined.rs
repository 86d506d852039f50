//! The receipts of a run's segments made into one of constant size: each is lifted, and neighbours
//! are joined in pairs until one is left, in which the run's assumptions are resolved.
//!
//! A lifted or joined receipt is encoded by borsh, as a segment's is. Lifting, joining and resolving
//! need the recursion programs. What they are given is checked first, so that a build without the
//! programs names a damaged receipt too.

use anyhow::bail;
use risc0_zkvm::{
    ExitCode, InnerAssumptionReceipt, InnerReceipt, ProverServer, Receipt, ReceiptClaim,
    ReceiptKind, SuccinctReceipt, get_prover_server, sha::Digestible,
};
use runner_shared::{Error, Result, envelope::malformed};

use crate::{
    receipt, segment,
    session::{self, Gpu, failed},
    verifier, zkvm,
};

/// The receipt of some segments of one run that follow each other.
type Joined = SuccinctReceipt<ReceiptClaim>;

/// Make the receipt of one segment one of constant size, which is verified.
pub fn lift(receipt: &[u8], gpu: Option<&Gpu>) -> Result<Vec<u8>> {
    let receipt = segment::numbered(0, segment::checked_receipt(receipt))?;
    proved(gpu, |prover| prover.lift(&receipt))
}

/// Make one receipt, which is verified, of two lifted or joined ones that follow each other.
pub fn join(left: &[u8], right: &[u8], gpu: Option<&Gpu>) -> Result<Vec<u8>> {
    let left = segment::numbered(0, checked(left))?;
    let right = segment::numbered(1, checked(right))?;
    claim_of_both(claim(&left)?, claim(&right)?)?;
    proved(gpu, |prover| prover.join(&left, &right))
}

/// Check that a receipt proves what that of a segment proves. The latter is not verified.
pub fn verify_lifted(lifted: &[u8], receipt: &[u8]) -> Result<()> {
    let lifted = checked(lifted)?;
    let expected = segment::decoded_receipt(receipt)?.claim;
    same(claim(&lifted)?, &expected)
}

/// Check that a receipt proves what two others prove together. These are not verified.
pub fn verify_joined(joined: &[u8], left: &[u8], right: &[u8]) -> Result<()> {
    let joined = checked(joined)?;
    let (left, right) = (decoded(left)?, decoded(right)?);
    let expected = claim_of_both(claim(&left)?, claim(&right)?)?;
    same(claim(&joined)?, &expected)
}

/// Make the receipt of a run from that of all its segments and those of its assumptions, in any
/// order. The caller verifies the receipt that is returned.
pub fn resolve(
    joined: &[u8],
    assumptions: &[Vec<u8>],
    journal: Vec<u8>,
    kind: &str,
    gpu: Option<&Gpu>,
) -> Result<Vec<u8>> {
    let joined = segment::numbered(0, checked(joined))?;
    let carried = segment::in_order(claim(&joined)?, assumptions)?;
    let kind = zkvm::receipt_kind(kind)?;
    if kind == ReceiptKind::Composite {
        return Err(Error::BadArgument(
            "a joined receipt does not become a composite one".into(),
        ));
    }
    let options = segment::options(kind);
    let prover = get_prover_server(&options).map_err(failed)?;
    let whole = session::on(gpu, || {
        let resolved = carried.iter().try_fold(joined, |conditional, assumption| {
            let assumption = match assumption {
                InnerAssumptionReceipt::Succinct(one) => one.clone(),
                InnerAssumptionReceipt::Composite(one) => {
                    prover.composite_to_succinct(one)?.into_unknown()
                }
                _ => bail!("a Groth16 receipt cannot be an assumption"),
            };
            prover.resolve(&conditional, &assumption)
        })?;
        prover.compress(
            &options,
            &Receipt::new(InnerReceipt::Succinct(resolved), journal),
        )
    })?;
    receipt::encode(&whole)
}

/// Make a receipt with a recursion program.
fn proved(
    gpu: Option<&Gpu>,
    work: impl FnOnce(&dyn ProverServer) -> anyhow::Result<Joined>,
) -> Result<Vec<u8>> {
    zkvm::require_recursion()?;
    if cfg!(feature = "cuda") && gpu.is_none() {
        return Err(Error::BadArgument("this build proves on a GPU only".into()));
    }
    let prover = get_prover_server(&segment::options(ReceiptKind::Succinct)).map_err(failed)?;
    let made = session::on(gpu, || work(&*prover))?;
    borsh::to_vec(&made).map_err(failed)
}

/// The claim of two receipts that follow each other.
fn claim_of_both(left: &ReceiptClaim, right: &ReceiptClaim) -> Result<ReceiptClaim> {
    let follows = left.exit_code == ExitCode::SystemSplit
        && left.post.digest() == right.pre.digest()
        && left.input.digest() == right.input.digest();
    if !follows {
        return Err(Error::VerificationFailed(
            "the second receipt does not begin where the first one ends".into(),
        ));
    }
    Ok(left.join(right))
}

fn same(found: &ReceiptClaim, expected: &ReceiptClaim) -> Result<()> {
    if found.digest() == expected.digest() {
        Ok(())
    } else {
        Err(Error::VerificationFailed("it proves other segments".into()))
    }
}

fn claim(joined: &Joined) -> Result<&ReceiptClaim> {
    joined
        .claim
        .as_value()
        .map_err(|_| malformed("a claim of which there is only the digest"))
}

fn decoded(bytes: &[u8]) -> Result<Joined> {
    borsh::from_slice(bytes).map_err(|error| malformed(&error.to_string()))
}

/// Decode a lifted or joined receipt and verify it.
fn checked(bytes: &[u8]) -> Result<Joined> {
    let joined = decoded(bytes)?;
    verifier::verify_joined(&joined)?;
    Ok(joined)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use risc0_zkvm::{Digest, MaybePruned, SegmentReceipt};

    use super::*;

    include!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../shared/src/mutation.rs"
    ));

    /// The stored receipt of a real proof of one segment.
    fn stored() -> SegmentReceipt {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/native/data");
        let bytes = std::fs::read(data.join("fibonacci-10.receipt")).unwrap();
        match receipt::decode(&bytes).unwrap().inner {
            InnerReceipt::Composite(mut inner) => inner.segments.remove(0),
            _ => panic!("the stored receipt is composite"),
        }
    }

    /// A joined receipt with a claim and a seal that proves nothing.
    fn unproved(claim: &MaybePruned<ReceiptClaim>) -> Vec<u8> {
        let parts = [
            borsh::to_vec(&[1u32, 2].as_slice()).unwrap(),
            borsh::to_vec(&Digest::ZERO).unwrap(),
            borsh::to_vec(claim).unwrap(),
            borsh::to_vec("poseidon2").unwrap(),
            borsh::to_vec(&Digest::ZERO).unwrap(),
            borsh::to_vec(&3u32).unwrap(),
            borsh::to_vec(&vec![Digest::ZERO; 8]).unwrap(),
        ];
        parts.concat()
    }

    /// Two claims of which the second begins where the first one ends.
    fn halves() -> (ReceiptClaim, ReceiptClaim) {
        let last = stored().claim;
        let first = ReceiptClaim {
            pre: last.post.clone(), // some other state
            post: last.pre.clone(),
            exit_code: ExitCode::SystemSplit,
            output: None.into(),
            ..last.clone()
        };
        (first, last)
    }

    fn code<T: std::fmt::Debug>(result: Result<T>) -> (&'static str, String) {
        result.unwrap_err().into_code_and_message()
    }

    #[test]
    fn a_good_receipt_is_lifted_or_the_missing_programs_are_named() {
        let receipt = borsh::to_vec(&stored()).unwrap();
        if zkvm::has_recursion() {
            let lifted = lift(&receipt, None).unwrap();
            assert_eq!(verify_lifted(&lifted, &receipt), Ok(()));
            assert!(verify_joined(&lifted, &lifted, &lifted).is_err());
            let journal =
                receipt::decode(&resolve(&lifted, &[], vec![], "succinct", None).unwrap());
            assert!(journal.is_ok());
        } else {
            let (code, message) = code(lift(&receipt, None));
            assert_eq!(code, "unavailable");
            assert!(message.contains("no recursion programs"), "{message}");
        }
    }

    #[test]
    fn a_changed_receipt_is_named_before_the_programs_are() {
        let genuine = borsh::to_vec(&stored()).unwrap();
        for at in (0..genuine.len()).step_by(1999) {
            let mut changed = genuine.clone();
            changed[at] ^= 1;
            let (code, message) = code(lift(&changed, None));
            assert_eq!(code, "bad_segment");
            assert!(message.starts_with("0: "), "{message}");
        }
        for cut in [0, 1, 100, genuine.len() - 1] {
            assert_eq!(code(lift(&genuine[..cut], None)).0, "bad_segment");
        }
    }

    #[test]
    fn a_receipt_that_proves_nothing_is_neither_joined_nor_resolved_nor_believed() {
        let (first, last) = halves();
        let left = unproved(&MaybePruned::Value(first));
        let right = unproved(&MaybePruned::Value(last));
        let segment = borsh::to_vec(&stored()).unwrap();
        assert_eq!(code(join(&left, &right, None)).0, "bad_segment");
        assert_eq!(
            code(resolve(&right, &[], vec![], "succinct", None)).0,
            "bad_segment"
        );
        assert_eq!(
            code(verify_lifted(&right, &segment)).0,
            "verification_failed"
        );
        assert_eq!(
            code(verify_joined(&right, &left, &right)).0,
            "verification_failed"
        );
        let pruned = unproved(&MaybePruned::Pruned(Digest::ZERO));
        assert_eq!(code(join(&pruned, &pruned, None)).0, "bad_segment");
    }

    #[test]
    fn whatever_the_bytes_nothing_is_believed_and_nothing_panics() {
        let (first, last) = halves();
        let genuine = [
            unproved(&MaybePruned::Value(first)),
            unproved(&MaybePruned::Value(last)),
            borsh::to_vec(&stored()).unwrap(),
        ];
        for round in 0..600 {
            let bytes = mutated(&genuine[round as usize % 3], round);
            assert_eq!(code(join(&bytes, &bytes, None)).0, "bad_segment");
            assert_eq!(
                code(resolve(&bytes, &[], vec![], "succinct", None)).0,
                "bad_segment"
            );
            assert!(verify_lifted(&bytes, &bytes).is_err());
            assert!(verify_joined(&bytes, &bytes, &bytes).is_err());
        }
    }

    #[test]
    fn two_claims_are_one_only_if_they_follow_each_other() {
        let (first, last) = halves();
        let both = claim_of_both(&first, &last).unwrap();
        assert_eq!(both.pre.digest(), first.pre.digest());
        assert_eq!(both.post.digest(), last.post.digest());
        assert_eq!(both.exit_code, last.exit_code);
        assert_eq!(both.output.digest(), last.output.digest());
        assert!(claim_of_both(&last, &first).is_err());
        assert!(claim_of_both(&last, &last).is_err());
        let elsewhere = ReceiptClaim {
            post: last.post.clone(),
            ..first.clone()
        };
        assert!(claim_of_both(&elsewhere, &last).is_err());
        assert!(same(&both, &last).is_err());
        assert_eq!(same(&both, &claim_of_both(&first, &last).unwrap()), Ok(()));
    }
}
