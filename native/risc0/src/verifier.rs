//! Verifying a receipt, and reading what it says of itself.

use std::fmt::Display;

use risc0_zkvm::{
    CompositeReceipt, Digest, ExitCode, InnerAssumptionReceipt, InnerReceipt, MaybePruned,
    ReceiptClaim, SuccinctReceipt, VerifierContext, sha::Digestible,
};
use runner_shared::{Error, Result, guarded};

use crate::receipt;

/// What a receipt says of itself.
pub struct Description {
    pub kind: &'static str,
    pub seal_bytes: usize,
    pub segments: usize,
    pub assumptions: usize,
    pub journal: Vec<u8>,
}

/// Check that a receipt proves a successful run of `image_id`, and return the journal of that run.
pub fn verify(receipt: &[u8], image_id: Digest) -> Result<Vec<u8>> {
    let receipt = receipt::decode(receipt)?;
    let context = context();
    verified(|| receipt.verify_with_context(&context, image_id))?;
    check_unread_fields(&receipt.inner, &Parameters::of(&context)?)
        .map_err(|what| Error::VerificationFailed(what.into()))?;
    Ok(receipt.journal.bytes)
}

/// Check that a receipt proves what it claims of some segments of a run, which may be all of them.
pub fn verify_joined(receipt: &SuccinctReceipt<ReceiptClaim>) -> Result<()> {
    verified(|| receipt.verify_integrity_with_context(&context()))?;
    let path = &receipt.control_inclusion_proof;
    let claim = receipt.claim.as_value().map_err(|_| FORM);
    check_path(path.index, path.digests.len())
        .and_then(|()| check_form(claim?, claim?.exit_code != ExitCode::SystemSplit))
        .map_err(|what| Error::VerificationFailed(what.into()))
}

/// The library indexes into a seal before it knows that there is one, so it may also panic on a bad
/// receipt.
pub fn verified<E: Display>(work: impl FnOnce() -> std::result::Result<(), E>) -> Result<()> {
    match guarded(|| work().map_err(|error| Error::VerificationFailed(error.to_string()))) {
        Err(Error::Internal(panic)) => Err(Error::VerificationFailed(format!(
            "the verifier gave up on it: {panic}"
        ))),
        other => other,
    }
}

/// Digests of this build's verifier parameters. The parts of a composite receipt name those that
/// they were made for.
struct Parameters {
    composite: Digest,
    segment: Digest,
}

impl Parameters {
    fn of(context: &VerifierContext) -> Result<Self> {
        let composite = context.composite_verifier_parameters();
        let segment = context.segment_verifier_parameters.as_ref();
        let (Some(composite), Some(segment)) = (composite, segment) else {
            return Err(Error::Internal("the verifier has no parameters".into()));
        };
        Ok(Parameters {
            composite: composite.digest(),
            segment: segment.digest(),
        })
    }
}

/// Why a receipt that proves what it should is refused.
type Unread = std::result::Result<(), &'static str>;

/// Check what the library does not read when it verifies a receipt, or reads in more than one way.
/// Nothing that is proved depends on it, but a receipt of which some bytes can be changed unnoticed
/// invites mistakes. What remains is compared by the library: hash functions, the verifier
/// parameters of succinct and Groth16 receipts, control ids and their paths, and the values in
/// claims.
fn check_unread_fields(receipt: &InnerReceipt, expected: &Parameters) -> Unread {
    match receipt {
        InnerReceipt::Composite(inner) => check_composite(inner, expected),
        InnerReceipt::Succinct(inner) => {
            let path = &inner.control_inclusion_proof;
            check_path(path.index, path.digests.len())?;
            check_opened(&inner.claim)
        }
        InnerReceipt::Groth16(inner) => check_opened(&inner.claim),
        _ => Err("of a kind that proves nothing"),
    }
}

fn check_composite(receipt: &CompositeReceipt, expected: &Parameters) -> Unread {
    if receipt.verifier_parameters != expected.composite {
        return Err("made for another verifier (composite parameters differ)");
    }
    for (position, segment) in receipt.segments.iter().enumerate() {
        if segment.verifier_parameters != expected.segment {
            return Err("made for another verifier (segment parameters differ)");
        }
        if segment.index as usize != position {
            return Err("a segment's number is not its position");
        }
        check_form(&segment.claim, position + 1 == receipt.segments.len())?;
    }
    for assumption in &receipt.assumption_receipts {
        // The claim of an assumption that is not composite is a digest, which has one form.
        match assumption {
            InnerAssumptionReceipt::Composite(inner) => check_composite(inner, expected)?,
            InnerAssumptionReceipt::Succinct(inner) => {
                let path = &inner.control_inclusion_proof;
                check_path(path.index, path.digests.len())?;
            }
            InnerAssumptionReceipt::Groth16(_) => (),
            _ => return Err("an assumption of a kind that proves nothing"),
        }
    }
    Ok(())
}

/// Check that the position of a control id lies in its tree. The library reads as many of its bits
/// as the tree has levels, which are eight of the 32.
fn check_path(position: u32, levels: usize) -> Unread {
    if levels < 32 && position >> levels != 0 {
        return Err("the position of a control id is outside of its tree");
    }
    Ok(())
}

fn check_opened(claim: &MaybePruned<ReceiptClaim>) -> Unread {
    match claim {
        MaybePruned::Value(claim) => check_form(claim, true),
        MaybePruned::Pruned(_) => Err(FORM),
    }
}

/// Check that a claim has the form in which the prover writes it: every part is there itself, and
/// not as the digest of it, but for the input, of which there is only a digest. The library takes
/// either for the other. Only the last segment's claim has an output.
fn check_form(claim: &ReceiptClaim, last: bool) -> Unread {
    let output = match claim.output.as_value() {
        Ok(Some(output)) => {
            let assumptions = output.assumptions.as_value();
            last && output.journal.as_value().is_ok()
                && assumptions.is_ok_and(|list| list.iter().all(|one| one.as_value().is_ok()))
        }
        Ok(None) => !last,
        Err(_) => false,
    };
    let states = claim.pre.as_value().is_ok() && claim.post.as_value().is_ok();
    let digest = claim.input.as_value().is_err();
    (states && digest && output).then_some(()).ok_or(FORM)
}

const FORM: &str = "a claim does not have the form in which claims are written";

/// Read what a receipt says of itself. Nothing is verified.
pub fn describe(receipt: &[u8]) -> Result<Description> {
    let receipt = receipt::decode(receipt)?;
    let (segments, assumptions) = match &receipt.inner {
        InnerReceipt::Composite(inner) => (inner.segments.len(), inner.assumption_receipts.len()),
        _ => (1, 0),
    };
    Ok(Description {
        kind: receipt::kind_name(&receipt),
        seal_bytes: seal_bytes(&receipt.inner),
        segments,
        assumptions,
        journal: receipt.journal.bytes,
    })
}

/// What a receipt is verified with. Dev mode is off whatever the environment says.
pub fn context() -> VerifierContext {
    VerifierContext::default().with_dev_mode(false)
}

fn seal_bytes(inner: &InnerReceipt) -> usize {
    // The library's own sum leaves out the assumptions that a composite receipt carries.
    match inner {
        InnerReceipt::Composite(inner) => composite_seal_bytes(inner),
        other => other.seal_size(),
    }
}

fn composite_seal_bytes(receipt: &CompositeReceipt) -> usize {
    use InnerAssumptionReceipt as Inner;
    let own: usize = receipt
        .segments
        .iter()
        .map(|segment| segment.seal_size())
        .sum();
    let carried: usize = receipt
        .assumption_receipts
        .iter()
        .map(|assumption| match assumption {
            Inner::Composite(inner) => composite_seal_bytes(inner),
            Inner::Succinct(inner) => inner.seal_size(),
            Inner::Groth16(inner) => inner.seal_size(),
            _ => 0,
        })
        .sum();
    own + carried
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use borsh::{BorshDeserialize, BorshSerialize};
    use risc0_zkvm::{Groth16Receipt, Output, Receipt, SegmentReceipt, Unknown};

    use super::*;

    const OUTSIDE: Unread = Err("the position of a control id is outside of its tree");

    /// The stored receipt of a real proof, and the image id of its program.
    fn stored() -> (Vec<u8>, Digest) {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/native/data");
        let name = std::fs::read_to_string(data.join("fibonacci-10.image_id")).unwrap();
        let bytes: Vec<u8> = (0..64)
            .step_by(2)
            .map(|at| u8::from_str_radix(&name[at..at + 2], 16).unwrap())
            .collect();
        let receipt = std::fs::read(data.join("fibonacci-10.receipt")).unwrap();
        (receipt, Digest::try_from(bytes.as_slice()).unwrap())
    }

    fn composite() -> CompositeReceipt {
        let (bytes, _) = stored();
        match receipt::decode(&bytes).unwrap().inner {
            InnerReceipt::Composite(inner) => inner,
            _ => panic!("the stored receipt is composite"),
        }
    }

    fn expected() -> Parameters {
        Parameters::of(&context()).unwrap()
    }

    /// A succinct receipt of eight levels that proves nothing.
    fn succinct<C: BorshSerialize + BorshDeserialize>(
        claim: &MaybePruned<C>,
        position: u32,
    ) -> SuccinctReceipt<C> {
        let parts = [
            borsh::to_vec(&[1u32, 2].as_slice()).unwrap(),
            borsh::to_vec(&Digest::ZERO).unwrap(),
            borsh::to_vec(claim).unwrap(),
            borsh::to_vec("poseidon2").unwrap(),
            borsh::to_vec(&Digest::ZERO).unwrap(),
            borsh::to_vec(&position).unwrap(),
            borsh::to_vec(&vec![Digest::ZERO; 8]).unwrap(),
        ];
        borsh::from_slice(&parts.concat()).unwrap()
    }

    /// The forms of a claim in which one part is replaced by its digest, or the input's digest by
    /// what it stands for. The library takes them all for the claim. It refuses only the digest of
    /// the output itself, and that in composite receipts.
    fn other_forms(claim: &ReceiptClaim) -> Vec<ReceiptClaim> {
        let output = claim.output.as_value().unwrap().clone().unwrap();
        let with = |output: Output| ReceiptClaim {
            output: Some(output).into(),
            ..claim.clone()
        };
        vec![
            ReceiptClaim {
                pre: MaybePruned::Pruned(claim.pre.digest()),
                ..claim.clone()
            },
            ReceiptClaim {
                post: MaybePruned::Pruned(claim.post.digest()),
                ..claim.clone()
            },
            ReceiptClaim {
                input: None.into(),
                ..claim.clone()
            },
            with(Output {
                journal: MaybePruned::Pruned(output.journal.digest()),
                ..output.clone()
            }),
            with(Output {
                assumptions: MaybePruned::Pruned(output.assumptions.digest()),
                ..output.clone()
            }),
        ]
    }

    #[test]
    fn a_claim_has_one_form() {
        let (bytes, program) = stored();
        let genuine = composite();
        let claim = &genuine.segments[0].claim;
        assert!(verify(&bytes, program).is_ok());
        for form in other_forms(claim) {
            assert_eq!(form.digest(), claim.digest());
            let mut changed = genuine.clone();
            changed.segments[0].claim = form.clone();
            let journal = receipt::decode(&bytes).unwrap().journal.bytes;
            let changed = Receipt::new(InnerReceipt::Composite(changed), journal);
            assert!(changed.verify_with_context(&context(), program).is_ok());
            let changed = receipt::encode(&changed).unwrap();
            let refused = verify(&changed, program);
            assert_eq!(refused, Err(Error::VerificationFailed(FORM.into())));

            let whole = MaybePruned::Value(form);
            let refused =
                check_unread_fields(&InnerReceipt::Succinct(succinct(&whole, 3)), &expected());
            assert_eq!(refused, Err(FORM));
            let groth16 = Groth16Receipt::new(vec![], whole, Digest::ZERO);
            let refused = check_unread_fields(&InnerReceipt::Groth16(groth16), &expected());
            assert_eq!(refused, Err(FORM));
        }
    }

    #[test]
    fn a_claim_is_no_digest_and_its_output_neither() {
        let claim = composite().segments[0].claim.clone();
        let whole = MaybePruned::<ReceiptClaim>::Pruned(claim.digest());
        let part = MaybePruned::Value(ReceiptClaim {
            output: MaybePruned::Pruned(claim.output.digest()),
            ..claim.clone()
        });
        assert_eq!(check_opened(&MaybePruned::Value(claim)), Ok(()));
        assert_eq!(check_opened(&whole), Err(FORM));
        assert_eq!(check_opened(&part), Err(FORM));
    }

    #[test]
    fn only_the_last_segment_has_an_output() {
        let last = composite().segments[0].claim.clone();
        let earlier = ReceiptClaim {
            exit_code: ExitCode::SystemSplit,
            output: None.into(),
            ..last.clone()
        };
        assert_eq!(check_form(&last, true), Ok(()));
        assert_eq!(check_form(&earlier, false), Ok(()));
        assert_eq!(check_form(&last, false), Err(FORM));
        assert_eq!(check_form(&earlier, true), Err(FORM));
    }

    #[test]
    fn the_position_of_a_control_id_lies_in_its_tree() {
        let claim = MaybePruned::Value(composite().segments[0].claim.clone());
        let unknown = MaybePruned::<Unknown>::Pruned(claim.digest());
        let check = |position, depth| {
            let assumption = InnerAssumptionReceipt::Succinct(succinct(&unknown, position));
            let around = (0..depth).fold(assumption, |inside, _| {
                let mut around = composite();
                around.assumption_receipts = vec![inside];
                InnerAssumptionReceipt::Composite(around)
            });
            let mut whole = composite();
            whole.assumption_receipts = vec![around];
            check_unread_fields(&InnerReceipt::Composite(whole), &expected())
        };
        let alone = |position| {
            let receipt = InnerReceipt::Succinct(succinct(&claim, position));
            check_unread_fields(&receipt, &expected())
        };
        for position in [0, 3, 255] {
            assert_eq!(alone(position), Ok(()));
            assert_eq!(check(position, 0), Ok(()));
            assert_eq!(check(position, 2), Ok(()));
        }
        for position in [256, 3 + (1 << 8), 3 + (1 << 16), 3 + (1 << 31)] {
            assert_eq!(alone(position), OUTSIDE);
            assert_eq!(check(position, 0), OUTSIDE);
            assert_eq!(check(position, 2), OUTSIDE);
        }
    }

    #[test]
    fn labels_are_compared_at_every_depth() {
        let mut inner = composite();
        let genuine = inner.clone();
        let check = |inside: &CompositeReceipt| {
            let mut whole = genuine.clone();
            whole.assumption_receipts = vec![InnerAssumptionReceipt::Composite(inside.clone())];
            check_unread_fields(&InnerReceipt::Composite(whole), &expected())
        };
        assert_eq!(check(&inner), Ok(()));
        inner.segments[0].index = 1;
        let position = "a segment's number is not its position";
        assert_eq!(check(&inner), Err(position));
        inner = genuine.clone();
        inner.segments[0].verifier_parameters = Digest::ZERO;
        let segment = "made for another verifier (segment parameters differ)";
        assert_eq!(check(&inner), Err(segment));
        inner = genuine.clone();
        inner.verifier_parameters = Digest::ZERO;
        let composite = "made for another verifier (composite parameters differ)";
        assert_eq!(check(&inner), Err(composite));
    }

    /// Every byte that is not in the seal, and a sample of the seal.
    #[test]
    fn no_byte_of_a_receipt_can_be_changed() {
        let (bytes, program) = stored();
        let seal = |segment: &SegmentReceipt| 4 * segment.seal.len();
        let length = seal(&composite().segments[0]);
        // The body ends with a claim, which is shorter than a page.
        let end = (bytes.len() - 400..bytes.len())
            .find(|at| bytes[*at..].starts_with(b"poseidon2"))
            .unwrap()
            - 8;
        let start = end - length;
        let outside = (0..start).chain(end..bytes.len());
        let inside = (start..end).step_by(1999);
        for at in outside.chain(inside) {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            assert!(verify(&changed, program).is_err(), "byte {at}");
        }
    }
}
