//! One segment of a run, on its own: cut, proved, verified, and assembled with the others.
//!
//! A segment is encoded by postcard, and a segment's receipt by borsh, as the library does both.
//! A run that is cut again with the same seed gives the same bytes.

use risc0_zkvm::{
    CompositeReceipt, Digest, ExitCode, InnerAssumptionReceipt, InnerReceipt, ProverOpts,
    ProverServer, Receipt, ReceiptClaim, ReceiptKind, Segment, SegmentReceipt, VerifierContext,
    get_prover_server, sha::Digestible,
};
use runner_shared::{Error, Result, envelope::malformed, guarded};
use serde::Deserialize;

use crate::{
    execution::{Limits, Run, fitted, unresolved},
    receipt,
    seeded::{Cut, run_seeded},
    session::{self, Gpu, failed},
    verifier,
};

/// Run the guest with random numbers from `seed`, prove nothing, and choose the limit with which
/// every segment can be proved.
pub fn measure(
    elf: &[u8],
    stdin: &[u8],
    claims: &[(Digest, Vec<u8>)],
    limits: &Limits<'_>,
    seed: &[u8],
) -> Result<Run> {
    let assumptions = unresolved(claims);
    let attempt = |segment_po2| {
        let limits = limits.with(segment_po2);
        let mut last = None;
        let keep = |cut: Cut| {
            last = (cut.index > 0).then_some(cut);
            Ok(())
        };
        let run = run_seeded(elf, stdin, &assumptions, &limits, seed, keep)?;
        Ok((run, last))
    };
    let last = |(_, last): &(Run, Option<Cut>)| match last {
        Some(cut) => decoded(&postcard::to_stdvec(cut).map_err(failed)?).map(Some),
        None => Ok(None),
    };
    Ok(fitted(limits.segment_po2, attempt, |(run, _)| run, last)?.0)
}

/// Run the guest as [`measure`] did, and give each segment to `sink` with its position, as it is
/// cut. An error of `sink` ends the run.
pub fn cut(
    elf: &[u8],
    stdin: &[u8],
    claims: &[(Digest, Vec<u8>)],
    limits: &Limits<'_>,
    seed: &[u8],
    mut sink: impl FnMut(u32, Vec<u8>) -> anyhow::Result<()> + Send,
) -> Result<Run> {
    let give = |cut: Cut| sink(cut.index, postcard::to_stdvec(&cut)?);
    run_seeded(elf, stdin, &unresolved(claims), limits, seed, give)
}

/// Prove one segment, and return its receipt, which is verified.
pub fn prove_segment(segment: &[u8], gpu: Option<&Gpu>) -> Result<Vec<u8>> {
    if cfg!(feature = "cuda") && gpu.is_none() {
        return Err(Error::BadArgument("this build proves on a GPU only".into()));
    }
    let segment = decoded(segment)?;
    // The prover and the context contain `Rc`s, so they are made on the thread that proves.
    let prover = get_prover_server(&options(ReceiptKind::Composite)).map_err(failed)?;
    let traced = traced(&*prover, &segment)?;
    let context = verifier::context();
    let prove = || prover.prove_segment_core(&context, traced);
    let proved = session::on(gpu, prove)?;
    borsh::to_vec(&proved).map_err(failed)
}

/// Replay a segment, as a proof of it begins. This does not prove anything. What fails here would
/// fail again in the same way.
pub fn check_segment(segment: &[u8]) -> Result<()> {
    replay(&decoded(segment)?)
}

/// Replay a segment as [`check_segment`] does.
pub fn replay(segment: &Segment) -> Result<()> {
    let prover = get_prover_server(&options(ReceiptKind::Composite)).map_err(failed)?;
    traced(&*prover, segment).map(drop)
}

/// Check that a receipt proves the segment.
pub fn verify_segment(receipt: &[u8], segment: &[u8]) -> Result<()> {
    let parts: Cut = from_postcard(segment)?;
    let receipt = decoded_receipt(receipt)?;
    verified(&receipt, &verifier::context())?;
    let ended = parts.inner.claim.terminate_state.is_some();
    let claim = &receipt.claim;
    let same = receipt.index == parts.index
        && state(&claim.pre) == Some(parts.inner.claim.pre_state)
        && (claim.exit_code != ExitCode::SystemSplit) == ended
        && (ended || state(&claim.post) == Some(parts.inner.claim.post_state))
        && claim.output.digest() == parts.output.digest();
    if same {
        Ok(())
    } else {
        Err(Error::VerificationFailed(
            "it proves another segment".into(),
        ))
    }
}

/// Make the receipt of a run from those of its segments, in their order, and of its assumptions, in
/// any order. Each segment's is verified, and a failure names the one that is at fault. What they
/// prove together is left to the caller, who verifies the receipt that is returned.
pub fn assemble(
    receipts: &[Vec<u8>],
    assumptions: &[Vec<u8>],
    journal: Vec<u8>,
    kind: &str,
    gpu: Option<&Gpu>,
) -> Result<Vec<u8>> {
    let kind = crate::zkvm::receipt_kind(kind)?;
    let context = verifier::context();
    let mut segments = Vec::with_capacity(receipts.len());
    for (index, bytes) in receipts.iter().enumerate() {
        segments.push(numbered(index, checked_receipt(bytes))?);
    }
    let last = segments.last().ok_or_else(|| failed("no segments"))?;
    let carried = in_order(&last.claim, assumptions)?;
    let composite = composite(segments, carried, &context)?;
    let receipt = Receipt::new(InnerReceipt::Composite(composite), journal);
    let receipt = match kind {
        ReceiptKind::Composite => receipt,
        _ => {
            let options = options(kind);
            let prover = get_prover_server(&options).map_err(failed)?;
            session::on(gpu, || prover.compress(&options, &receipt))?
        }
    };
    receipt::encode(&receipt)
}

/// A composite receipt from its parts. Whether they fit together is not verified.
pub fn composite(
    segments: Vec<SegmentReceipt>,
    assumptions: Vec<InnerAssumptionReceipt>,
    context: &VerifierContext,
) -> Result<CompositeReceipt> {
    let parameters = context
        .composite_verifier_parameters()
        .ok_or_else(|| failed("the verifier's context has no parameters"))?
        .digest();
    // The library has no constructor for this type. Its encoding is that of its fields in a row.
    let encoded = borsh::to_vec(&(segments, assumptions, parameters)).map_err(failed)?;
    borsh::from_slice(&encoded).map_err(failed)
}

pub fn options(kind: ReceiptKind) -> ProverOpts {
    ProverOpts::composite()
        .with_receipt_kind(kind)
        .with_dev_mode(false)
}

/// A failure that names what was given by its number, from 0, so that it alone is made again.
pub fn numbered<T>(number: usize, checked: Result<T>) -> Result<T> {
    checked.map_err(|error| {
        let (_, message) = error.into_code_and_message();
        Error::BadSegment(format!("{number}: {message}"))
    })
}

/// Decode the receipt of a segment and verify it.
pub fn checked_receipt(bytes: &[u8]) -> Result<SegmentReceipt> {
    let receipt = decoded_receipt(bytes)?;
    verified(&receipt, &verifier::context())?;
    Ok(receipt)
}

/// The receipts of a run's assumptions in the order in which the claim of its end names them.
pub fn in_order(end: &ReceiptClaim, receipts: &[Vec<u8>]) -> Result<Vec<InnerAssumptionReceipt>> {
    let mut known = Vec::with_capacity(receipts.len());
    for bytes in receipts {
        let receipt = InnerAssumptionReceipt::from(receipt::decode(bytes)?.inner);
        known.push((receipt.claim_digest().map_err(failed)?, receipt));
    }
    let refused = || Error::VerificationFailed("an assumption has no receipt".into());
    let Some(output) = end.output.as_value().map_err(failed)?.as_ref() else {
        return Ok(Vec::new());
    };
    let named = output.assumptions.as_value().map_err(failed)?;
    named
        .iter()
        .map(|one| {
            let wanted = one.as_value().map_err(failed)?.claim;
            let found = known.iter().find(|(claim, _)| *claim == wanted);
            found
                .map(|(_, receipt)| receipt.clone())
                .ok_or_else(refused)
        })
        .collect()
}

fn decoded(bytes: &[u8]) -> Result<Segment> {
    let parts: Cut = from_postcard(bytes)?;
    // The library takes its word for the size, and makes room for it.
    if !(13..=22).contains(&parts.inner.po2) {
        return Err(malformed(
            "a segment of a size that the circuit does not have",
        ));
    }
    from_postcard(bytes)
}

fn from_postcard<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T> {
    match postcard::take_from_bytes(bytes) {
        Ok((found, [])) => Ok(found),
        Ok((_, left)) => Err(malformed(&format!("{} bytes after its end", left.len()))),
        Err(error) => Err(malformed(&error.to_string())),
    }
}

pub fn decoded_receipt(bytes: &[u8]) -> Result<SegmentReceipt> {
    borsh::from_slice(bytes).map_err(|error| malformed(&error.to_string()))
}

/// Replay a segment. A failure is the segment's, and not the machine's.
fn traced(prover: &dyn ProverServer, segment: &Segment) -> Result<risc0_zkvm::PreflightResults> {
    guarded(|| prover.segment_preflight(segment).map_err(failed)).map_err(|error| {
        let (_, message) = error.into_code_and_message();
        Error::Unprovable(format!(
            "segment {} of 2^{} cycles: {message}",
            segment.index,
            segment.po2()
        ))
    })
}

fn verified(receipt: &SegmentReceipt, context: &VerifierContext) -> Result<()> {
    verifier::verified(|| receipt.verify_integrity_with_context(context))
}

fn state(claim: &risc0_zkvm::MaybePruned<risc0_zkvm::SystemState>) -> Option<Digest> {
    claim.as_value().ok().map(|state| state.merkle_root)
}
