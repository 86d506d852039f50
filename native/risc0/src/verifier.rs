//! Verifying a receipt, and reading what it says of itself.

use risc0_zkvm::{
    CompositeReceipt, Digest, InnerAssumptionReceipt, InnerReceipt, VerifierContext,
    sha::Digestible,
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
    // The library indexes into a seal before it knows that there is one, so it may also panic on a
    // bad receipt.
    let verified = guarded(|| {
        receipt
            .verify_with_context(&context, image_id)
            .map_err(|error| Error::VerificationFailed(error.to_string()))
    });
    match verified {
        Err(Error::Internal(panic)) => Err(Error::VerificationFailed(format!(
            "the verifier gave up on it: {panic}"
        ))),
        other => other,
    }?;
    if let InnerReceipt::Composite(inner) = &receipt.inner {
        check_unread_fields(inner, &Parameters::of(&context)?)?;
    }
    Ok(receipt.journal.bytes)
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

/// Check the fields that the library does not read when it verifies a composite receipt. Nothing
/// that is proved depends on them, but a receipt of which some bytes can be changed unnoticed
/// invites mistakes.
fn check_unread_fields(receipt: &CompositeReceipt, expected: &Parameters) -> Result<()> {
    let failed = |what: &str| Err(Error::VerificationFailed(what.into()));
    if receipt.verifier_parameters != expected.composite {
        return failed("made for another verifier (composite parameters differ)");
    }
    for (position, segment) in receipt.segments.iter().enumerate() {
        if segment.verifier_parameters != expected.segment {
            return failed("made for another verifier (segment parameters differ)");
        }
        if segment.index as usize != position {
            return failed("a segment's number is not its position");
        }
    }
    for assumption in &receipt.assumption_receipts {
        if let InnerAssumptionReceipt::Composite(inner) = assumption {
            check_unread_fields(inner, expected)?;
        }
    }
    Ok(())
}

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
