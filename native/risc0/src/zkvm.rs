//! The zkVM's calls as plain functions over bytes; nothing here knows Python.

use std::{
    cell::RefCell,
    io::{self, Write},
    rc::Rc,
};

use risc0_circuit_recursion::prove::zkr::get_zkr;
use risc0_zkvm::{
    Assumption, AssumptionReceipt, CompositeReceipt, Digest, ExecutorEnv, ExecutorImpl, ExitCode,
    InnerAssumptionReceipt, InnerReceipt, MaybePruned, NullSegmentRef, ProverOpts, RECURSION_PO2,
    ReceiptClaim, ReceiptKind, Segment, SegmentRef, Session, SimpleSegmentRef, SystemState,
    VerifierContext, get_prover_server, sha::Digestible,
};

use crate::{
    envelope,
    error::{Error, Result},
    guard::guarded,
    program,
    trace::{Profile, Profiler},
};

/// What guests may print before the rest is dropped; a log is for people.
const MAX_LOG_BYTES: usize = 64 * 1024;

/// Segment sizes the circuit has control ids for (`risc0_zkp::MIN_CYCLES_PO2` to the default
/// verifier's limit, `DEFAULT_MAX_PO2`).
const SEGMENT_PO2: std::ops::RangeInclusive<u32> = 13..=22;

pub struct Run {
    pub journal: Vec<u8>,
    pub user_cycles: u64,
    pub paging_cycles: u64,
    pub reserved_cycles: u64,
    pub total_cycles: u64,
    pub segments: usize,
    pub log: String,
}

pub struct Description {
    pub kind: &'static str,
    pub seal_bytes: usize,
    pub segments: usize,
    pub assumptions: usize,
    pub journal: Vec<u8>,
}

pub fn image_id(elf: &[u8]) -> Result<[u8; 32]> {
    let state = SystemState {
        pc: 0,
        merkle_root: program::image(elf)?.image_id(),
    };
    Ok(state.digest().into())
}

/// Run the guest and prove nothing. Assumptions are claims `(image id, journal)`, taken on trust.
pub fn execute(
    elf: &[u8],
    stdin: &[u8],
    claims: &[(Digest, Vec<u8>)],
    segment_po2: u32,
) -> Result<Run> {
    let keep = |_| Box::new(NullSegmentRef) as Box<dyn SegmentRef>;
    let (session, log) = run(elf, stdin, unresolved(claims), segment_po2, keep, None)?;
    Ok(figures(&session, log))
}

/// As [`execute`], and count where the cycles go.
pub fn profile(
    elf: &[u8],
    stdin: &[u8],
    claims: &[(Digest, Vec<u8>)],
    segment_po2: u32,
) -> Result<(Run, Profile)> {
    let profiler = Rc::new(RefCell::new(Profiler::default()));
    let keep = |_| Box::new(NullSegmentRef) as Box<dyn SegmentRef>;
    let trace = Some(Rc::clone(&profiler));
    let (session, log) = run(elf, stdin, unresolved(claims), segment_po2, keep, trace)?;
    let profile = profiler.take().finish(session.user_cycles);
    Ok((figures(&session, log), profile))
}

fn unresolved(claims: &[(Digest, Vec<u8>)]) -> impl Iterator<Item = AssumptionReceipt> {
    claims.iter().map(|(image_id, journal)| {
        let claim = ReceiptClaim::ok(*image_id, MaybePruned::Pruned(journal.digest()));
        AssumptionReceipt::Unresolved(Assumption {
            claim: claim.digest(),
            control_root: Digest::ZERO,
        })
    })
}

/// Run the guest and prove it. The receipts given become its assumptions; each must already have
/// been verified by the caller, since the executor matches them by claim alone.
pub fn prove(
    elf: &[u8],
    stdin: &[u8],
    receipts: &[Vec<u8>],
    kind: &str,
    segment_po2: u32,
) -> Result<(Vec<u8>, Run)> {
    let kind = match kind {
        "composite" => ReceiptKind::Composite,
        "succinct" => ReceiptKind::Succinct,
        "groth16" => ReceiptKind::Groth16,
        other => {
            return Err(Error::BadArgument(format!(
                "unknown receipt kind {other:?}"
            )));
        }
    };
    if kind != ReceiptKind::Composite && !has_recursion() {
        return Err(Error::Unavailable(
            "this build has no recursion programs, so it makes composite receipts only".into(),
        ));
    }
    let assumptions = receipts
        .iter()
        .map(|bytes| envelope::decode(bytes).map(AssumptionReceipt::from))
        .collect::<Result<Vec<_>>>()?;
    let keep = |segment| Box::new(SimpleSegmentRef::new(segment)) as Box<dyn SegmentRef>;
    let (session, log) = run(elf, stdin, assumptions, segment_po2, keep, None)?;
    let options = ProverOpts::composite()
        .with_receipt_kind(kind)
        .with_dev_mode(false);
    // Both are `Rc` inside: made here, on the thread that proves, and never sent anywhere.
    let info = guarded(|| {
        get_prover_server(&options)
            .and_then(|prover| prover.prove_session(&context(), &session))
            .map_err(|error| Error::ProverFailed(format!("{error:#}")))
    })
    .map_err(|error| match error {
        // Some of the library's CUDA calls return their error, others panic with it.
        Error::ProverFailed(what) | Error::Internal(what) if cfg!(feature = "cuda") => {
            Error::CudaFailed(what)
        }
        other => other,
    })?;
    Ok((envelope::encode(&info.receipt)?, figures(&session, log)))
}

/// Check that the receipt proves a successful run of `image_id`, and return what it committed.
pub fn verify(receipt: &[u8], image_id: Digest) -> Result<Vec<u8>> {
    let receipt = envelope::decode(receipt)?;
    let context = context();
    // The library indexes into a seal before it knows that there is one, so a bad receipt may also
    // show as a panic.
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
        check_labels(inner, &Labels::of(&context)?)?;
    }
    Ok(receipt.journal.bytes)
}

/// What the parts of a composite receipt say of the verifier they were made for.
struct Labels {
    composite: Digest,
    segment: Digest,
}

impl Labels {
    fn of(context: &VerifierContext) -> Result<Self> {
        let composite = context.composite_verifier_parameters();
        let segment = context.segment_verifier_parameters.as_ref();
        let (Some(composite), Some(segment)) = (composite, segment) else {
            return Err(Error::Internal("the verifier has no parameters".into()));
        };
        Ok(Labels {
            composite: composite.digest(),
            segment: segment.digest(),
        })
    }
}

/// The library verifies composite receipts without reading these fields. Nothing that is proved
/// depends on them, but a receipt of which some bytes can be changed unnoticed invites mistakes.
fn check_labels(receipt: &CompositeReceipt, labels: &Labels) -> Result<()> {
    let failed = |what: &str| Err(Error::VerificationFailed(what.into()));
    if receipt.verifier_parameters != labels.composite {
        return failed("made for another verifier (composite parameters differ)");
    }
    for (position, segment) in receipt.segments.iter().enumerate() {
        if segment.verifier_parameters != labels.segment {
            return failed("made for another verifier (segment parameters differ)");
        }
        if segment.index as usize != position {
            return failed("a segment's number is not its position");
        }
    }
    for assumption in &receipt.assumption_receipts {
        if let InnerAssumptionReceipt::Composite(inner) = assumption {
            check_labels(inner, labels)?;
        }
    }
    Ok(())
}

/// Read off what a receipt says of itself. Nothing is verified.
pub fn describe(receipt: &[u8]) -> Result<Description> {
    let receipt = envelope::decode(receipt)?;
    let (segments, assumptions) = match &receipt.inner {
        InnerReceipt::Composite(inner) => (inner.segments.len(), inner.assumption_receipts.len()),
        _ => (1, 0),
    };
    Ok(Description {
        kind: envelope::kind_name(&receipt),
        seal_bytes: seal_bytes(&receipt.inner),
        segments,
        assumptions,
        journal: receipt.journal.bytes,
    })
}

/// Whether the recursion programs are compiled in. A build without them has an empty archive.
pub fn has_recursion() -> bool {
    get_zkr("join.zkr", RECURSION_PO2).is_ok()
}

/// Dev mode is off whatever the environment says.
fn context() -> VerifierContext {
    VerifierContext::default().with_dev_mode(false)
}

fn run<'a>(
    elf: &[u8],
    stdin: &'a [u8],
    assumptions: impl IntoIterator<Item = AssumptionReceipt>,
    segment_po2: u32,
    keep: impl Fn(Segment) -> Box<dyn SegmentRef> + Send + Sync,
    profiler: Option<Rc<RefCell<Profiler>>>,
) -> Result<(Session, String)> {
    if !SEGMENT_PO2.contains(&segment_po2) {
        return Err(Error::BadArgument(format!(
            "segment_po2 is {segment_po2}, must be from {} to {}",
            SEGMENT_PO2.start(),
            SEGMENT_PO2.end()
        )));
    }
    let image = program::image(elf)?;
    let log = Log::default();
    let mut builder = ExecutorEnv::builder();
    builder
        .stdin(stdin)
        .stdout(log.clone())
        .stderr(log.clone())
        .segment_limit_po2(segment_po2);
    for assumption in assumptions {
        builder.add_assumption(assumption);
    }
    // Without a callback the executor makes no events.
    if let Some(profiler) = profiler {
        builder.trace_callback(move |event| {
            profiler.borrow_mut().record(&event);
            Ok(())
        });
    }
    let env = builder
        .build()
        .map_err(|error| Error::BadArgument(format!("{error:#}")))?;
    let mut executor =
        ExecutorImpl::new(env, image).map_err(|error| Error::BadArgument(format!("{error:#}")))?;
    let session = guarded(|| {
        executor
            .run_with_callback(|segment| Ok(keep(segment)))
            .map_err(|error| Error::GuestFailed(one_line(&format!("{error:#}"))))
    });
    let session = match session {
        // One instruction and the pages it touches have to fit into a segment; the executor asserts.
        Err(Error::Internal(panic)) if panic.starts_with("segment limit (") => {
            Err(Error::BadArgument(format!(
                "segment_po2 {segment_po2} is too small for this guest: {panic}"
            )))
        }
        other => other,
    }?;
    if session.exit_code != ExitCode::Halted(0) {
        return Err(Error::GuestFailed(format!(
            "the guest ended with {:?}",
            session.exit_code
        )));
    }
    Ok((session, log.text()))
}

fn figures(session: &Session, log: String) -> Run {
    Run {
        journal: session.journal.clone().unwrap_or_default().bytes,
        user_cycles: session.user_cycles,
        paging_cycles: session.paging_cycles,
        reserved_cycles: session.reserved_cycles,
        total_cycles: session.total_cycles,
        segments: session.segments.len(),
        log,
    }
}

fn seal_bytes(inner: &InnerReceipt) -> usize {
    // The library's own sum leaves out what composite receipts carry as assumptions.
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

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What the guest printed, bounded.
#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.borrow()).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut kept = self.0.borrow_mut();
        let room = MAX_LOG_BYTES.saturating_sub(kept.len());
        kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
