//! Running and proving guests. Nothing here knows Python.

use std::{
    cell::RefCell,
    io::{self, Write},
    rc::Rc,
    sync::LazyLock,
};

use risc0_circuit_recursion::prove::zkr::get_zkr;
use risc0_zkvm::{
    Assumption, AssumptionReceipt, Digest, ExecutorEnv, ExecutorImpl, ExitCode, MaybePruned,
    NullSegmentRef, ProverOpts, RECURSION_PO2, ReceiptClaim, ReceiptKind, Segment, SegmentRef,
    Session, SimpleSegmentRef, SystemState, get_prover_server, sha::Digestible,
};
use runner_shared::{Error, Result, guarded};

use crate::{
    program, receipt,
    session::{self, Gpu},
    trace::{Profile, Profiler},
    verifier,
};

/// How much of a guest's output is kept. The rest is dropped, for a log is for people.
const MAX_LOG_BYTES: usize = 64 * 1024;

/// The segment sizes that the circuit has control ids for: from `risc0_zkp::MIN_CYCLES_PO2` to the
/// default verifier's limit, `DEFAULT_MAX_PO2`.
const SEGMENT_PO2: std::ops::RangeInclusive<u32> = 13..=22;

/// A successful run of a guest.
pub struct Run {
    pub journal: Vec<u8>,
    pub user_cycles: u64,
    pub paging_cycles: u64,
    pub reserved_cycles: u64,
    pub total_cycles: u64,
    pub segments: usize,
    pub log: String,
}

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
    segment_po2: u32,
) -> Result<Run> {
    let keep = |_| Box::new(NullSegmentRef) as Box<dyn SegmentRef>;
    let (session, log) = run(elf, stdin, unresolved(claims), segment_po2, keep, None)?;
    Ok(figures(&session, log))
}

/// Run the guest as [`execute`] does, and count where its cycles go.
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

/// Run the guest and prove the run. The receipts become the guest's assumptions. The caller must
/// have verified each of them, because the executor matches them by claim alone. A build for GPUs
/// needs a GPU. Others take one too, for tests of how it is shared, and prove on the CPU.
pub fn prove(
    elf: &[u8],
    stdin: &[u8],
    receipts: &[Vec<u8>],
    kind: &str,
    segment_po2: u32,
    gpu: Option<&Gpu>,
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
    if cfg!(feature = "cuda") && gpu.is_none() {
        return Err(Error::BadArgument("this build proves on a GPU only".into()));
    }
    let assumptions = receipts
        .iter()
        .map(|bytes| receipt::decode(bytes).map(AssumptionReceipt::from))
        .collect::<Result<Vec<_>>>()?;
    let keep = |segment| Box::new(SimpleSegmentRef::new(segment)) as Box<dyn SegmentRef>;
    let (session, log) = run(elf, stdin, assumptions, segment_po2, keep, None)?;
    let options = ProverOpts::composite()
        .with_receipt_kind(kind)
        .with_dev_mode(false);
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
    Ok((receipt::encode(&proved)?, figures(&session, log)))
}

/// Whether the recursion programs are compiled in. In a build without them, their archive is empty.
/// A program is unpacked to find out, which is done once.
pub fn has_recursion() -> bool {
    static FOUND: LazyLock<bool> = LazyLock::new(|| get_zkr("join.zkr", RECURSION_PO2).is_ok());
    *FOUND
}

fn run(
    elf: &[u8],
    stdin: &[u8],
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
    // Without a callback, the executor produces no events.
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
        // One instruction and the pages that it touches must fit into a segment. The executor
        // asserts that they do.
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

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What the guest printed, up to [`MAX_LOG_BYTES`].
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
