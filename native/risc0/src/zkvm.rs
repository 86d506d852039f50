//! Running and proving guests. Nothing here knows Python.

use std::sync::LazyLock;

use risc0_circuit_recursion::prove::zkr::get_zkr;
use risc0_zkvm::{
    AssumptionReceipt, Digest, NullSegmentRef, RECURSION_PO2, ReceiptKind, SegmentRef,
    SimpleSegmentRef, SystemState, get_prover_server, sha::Digestible,
};
use runner_shared::{Error, Result, guarded};

use crate::{
    execution::{Executed, Limits, Run, run_fitted, run_profiled, unresolved},
    keccak, program, receipt, segment,
    session::{self, Gpu},
    trace::Profile,
    verifier,
};

pub fn image_id(elf: &[u8]) -> Result<[u8; 32]> {
    let state = SystemState {
        pc: 0,
        merkle_root: program::image(elf)?.image_id(),
    };
    Ok(state.digest().into())
}

/// Run the guest and prove nothing. Its assumptions are claims `(image id, journal)`, which are
/// taken on trust.
pub fn execute(
    elf: &[u8],
    stdin: &[u8],
    claims: &[(Digest, Vec<u8>)],
    limits: &Limits<'_>,
) -> Result<Run> {
    let keep = || |_| Ok(Box::new(NullSegmentRef) as Box<dyn SegmentRef>);
    Ok(run_fitted(elf, stdin, &unresolved(claims), limits, keep)?.run)
}

/// Run the guest as [`execute`] does, and count where its cycles go.
pub fn profile(
    elf: &[u8],
    stdin: &[u8],
    claims: &[(Digest, Vec<u8>)],
    limits: &Limits<'_>,
) -> Result<(Run, Profile)> {
    let keep = |_| Ok(Box::new(NullSegmentRef) as Box<dyn SegmentRef>);
    run_profiled(elf, stdin, &unresolved(claims), limits, keep)
}

/// Run the guest and prove the run. The receipts become the guest's assumptions. The caller must
/// have verified each of them, because the executor matches them by claim alone. A build for GPUs
/// needs a GPU. Others take one too, for tests of how it is shared, and prove on the CPU.
pub fn prove(
    elf: &[u8],
    stdin: &[u8],
    receipts: &[Vec<u8>],
    kind: &str,
    limits: &Limits<'_>,
    gpu: Option<&Gpu>,
) -> Result<(Vec<u8>, Run)> {
    let (kind, assumptions) = checked(receipts, kind, gpu)?;
    let executed = keeping(elf, stdin, &assumptions, limits, usize::MAX)?;
    proved(executed, kind, gpu)
}

/// Run the guest, and prove the run as [`prove`] does unless it has more than `most` segments that
/// can be proved one by one. There is no receipt then.
pub fn prove_if_short(
    elf: &[u8],
    stdin: &[u8],
    receipts: &[Vec<u8>],
    kind: &str,
    limits: &Limits<'_>,
    most: usize,
    gpu: Option<&Gpu>,
) -> Result<(Option<Vec<u8>>, Run)> {
    let (kind, assumptions) = checked(receipts, kind, gpu)?;
    let mut executed = keeping(elf, stdin, &assumptions, limits, most)?;
    if executed.session.segments.len() > most {
        if !session::has_unresolved(&executed.session) {
            return Ok((None, executed.run));
        }
        executed = keeping(elf, stdin, &assumptions, limits, usize::MAX)?;
    }
    let (receipt, run) = proved(executed, kind, gpu)?;
    Ok((Some(receipt), run))
}

/// The kind of receipt to make, and the receipts as assumptions.
fn checked(
    receipts: &[Vec<u8>],
    kind: &str,
    gpu: Option<&Gpu>,
) -> Result<(ReceiptKind, Vec<AssumptionReceipt>)> {
    let kind = receipt_kind(kind)?;
    if cfg!(feature = "cuda") && gpu.is_none() {
        return Err(Error::BadArgument("this build proves on a GPU only".into()));
    }
    let assumptions = receipts
        .iter()
        .map(|bytes| receipt::decode(bytes).map(AssumptionReceipt::from))
        .collect::<Result<Vec<_>>>()?;
    Ok((kind, assumptions))
}

/// Prove a run.
fn proved(executed: Executed, kind: ReceiptKind, gpu: Option<&Gpu>) -> Result<(Vec<u8>, Run)> {
    let Executed { session, run, .. } = executed;
    if keccak::joins(&session) && !has_recursion() {
        return Err(Error::Unavailable(
            "the guest uses the keccak accelerator for more than one batch of permutations, and the \
             proofs of several batches are joined by a recursion program, which this build has not"
                .into(),
        ));
    }
    let options = segment::options(kind);
    // The prover and the context contain `Rc`s, so they are made on the thread that proves.
    let proved = match gpu {
        Some(gpu) => session::prove(&options, &verifier::context(), &session, gpu),
        None => guarded(|| {
            get_prover_server(&options)
                .and_then(|prover| prover.prove_session(&verifier::context(), &session))
                .map(|info| info.receipt)
                .map_err(|error| Error::ProverFailed(format!("{error:#}")))
        }),
    }?;
    Ok((receipt::encode(&proved)?, run))
}

/// Run the guest and keep its first `most` segments in memory.
fn keeping(
    elf: &[u8],
    stdin: &[u8],
    assumptions: &[AssumptionReceipt],
    limits: &Limits<'_>,
    most: usize,
) -> Result<Executed> {
    let keep = || {
        move |segment: risc0_zkvm::Segment| -> anyhow::Result<Box<dyn SegmentRef>> {
            Ok(if (segment.index as usize) < most {
                Box::new(SimpleSegmentRef::new(segment))
            } else {
                Box::new(NullSegmentRef)
            })
        }
    };
    run_fitted(elf, stdin, assumptions, limits, keep)
}

/// The kind of receipt of this name, if this build makes such receipts.
pub fn receipt_kind(name: &str) -> Result<ReceiptKind> {
    let kind = match name {
        "composite" => ReceiptKind::Composite,
        "succinct" => ReceiptKind::Succinct,
        "groth16" => ReceiptKind::Groth16,
        other => {
            return Err(Error::BadArgument(format!(
                "unknown receipt kind {other:?}"
            )));
        }
    };
    if kind != ReceiptKind::Composite {
        require_recursion()?;
    }
    Ok(kind)
}

/// Refuse what only the recursion programs can do in a build without them.
pub fn require_recursion() -> Result<()> {
    if has_recursion() {
        return Ok(());
    }
    Err(Error::Unavailable(
        "this build has no recursion programs, so it makes composite receipts only".into(),
    ))
}

/// Whether the recursion programs are compiled in. In a build without them, their archive is empty.
/// A program is unpacked to find out, which is done once.
pub fn has_recursion() -> bool {
    static FOUND: LazyLock<bool> = LazyLock::new(|| get_zkr("join.zkr", RECURSION_PO2).is_ok());
    *FOUND
}
