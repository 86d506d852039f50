//! Running a guest in the library's executor, within limits, and what the run cost.

use std::{
    cell::RefCell,
    io::{self, Write},
    ops::RangeInclusive,
    rc::Rc,
    sync::atomic::{AtomicBool, Ordering},
};

use risc0_zkvm::{
    Assumption, AssumptionReceipt, Digest, ExecutorEnv, ExecutorEnvBuilder, ExecutorImpl, ExitCode,
    MaybePruned, NullSegmentRef, ReceiptClaim, Segment, SegmentRef, Session, sha::Digestible,
};
use runner_shared::{Error, Result, guarded};

use crate::{
    keccak, program,
    segment::replay,
    trace::{Profile, Profiler},
};

/// How much of a guest's output is kept. The rest is dropped, for a log is for people.
const MAX_LOG_BYTES: usize = 64 * 1024;

/// How much of the message of a failure is kept. A guest may panic with megabytes.
const MAX_MESSAGE_CHARS: usize = 2000;

/// The segment sizes that a run may be cut into. The circuit has control ids from 2^13 to 2^22.
/// Below 2^14 there is no room for a segment that is not the last, and none of 2^13 can be lifted.
const SEGMENT_PO2: RangeInclusive<u32> = 14..=22;

/// The smallest segment that is proved, as a power of two. The executor may cut a last segment of
/// 2^13, for which the library's prover and its recursion programs have no room.
const LEAST_PO2: u32 = 14;

/// What the executor's error starts with when a run is longer than it may be.
const TOO_LONG: &str = "Session limit exceeded";

/// What ends an execution that nobody waits for any more.
pub const CANCELLED: &str = "the execution was ended";

/// How a guest is run.
pub struct Limits<'a> {
    /// The size of the largest segment, as a power of two.
    pub segment_po2: u32,
    /// The user cycles after which the run is given up; 0 for no limit.
    pub max_cycles: u64,
    /// Whether nobody waits for the run any more. It then ends with its next segment.
    pub cancelled: &'a AtomicBool,
}

impl Limits<'_> {
    /// The same limits with segments of another size.
    pub fn with(&self, segment_po2: u32) -> Self {
        Limits {
            segment_po2,
            ..*self
        }
    }
}

/// A successful run of a guest.
pub struct Run {
    pub journal: Vec<u8>,
    pub user_cycles: u64,
    pub paging_cycles: u64,
    pub reserved_cycles: u64,
    /// With the padding, and with what the keccak accelerator proves beside the segments.
    pub total_cycles: u64,
    /// The size of each segment, as a power of two.
    pub segment_po2s: Vec<u32>,
    /// The limit that the run was cut with.
    pub segment_po2: u32,
    pub log: String,
}

/// A run, with what a proof of it needs.
pub struct Executed {
    pub session: Session,
    pub run: Run,
    /// The last segment, if there are several.
    last: Option<Segment>,
}

/// Claims `(image id, journal)` that are taken on trust, as assumptions.
pub fn unresolved(claims: &[(Digest, Vec<u8>)]) -> Vec<AssumptionReceipt> {
    claims
        .iter()
        .map(|(image_id, journal)| {
            let claim = ReceiptClaim::ok(*image_id, MaybePruned::Pruned(journal.digest()));
            AssumptionReceipt::Unresolved(Assumption {
                claim: claim.digest(),
                control_root: Digest::ZERO,
            })
        })
        .collect()
}

/// Run a guest so that every segment can be proved: where the last one cannot, the run is cut with
/// another limit. `attempt` runs it with a limit, `shape` says what the run cost, and `last` gives
/// the last segment if there are several.
///
/// The executor's count for the last segment is at times too low for what the prover then makes of
/// it, at any size, so that segment is replayed as a proof begins.
pub fn fitted<T>(
    wanted: u32,
    attempt: impl Fn(u32) -> Result<T>,
    shape: impl Fn(&T) -> &Run,
    last: impl Fn(&T) -> Result<Option<Segment>>,
) -> Result<T> {
    let can = |run: &T, any_size: bool| -> Result<bool> {
        Ok(fits(shape(run), wanted, any_size)
            && last(run)?.is_none_or(|segment| replay(&segment).is_ok()))
    };
    let first = attempt(wanted)?;
    if can(&first, false)? {
        return Ok(first);
    }
    for (other, any_size) in others(wanted) {
        match attempt(other) {
            Ok(run) if can(&run, any_size)? => return Ok(run),
            // The guest has an instruction that does not fit into such a small segment.
            Ok(_) | Err(Error::BadArgument(_)) => (),
            Err(error) => return Err(error),
        }
    }
    Err(Error::Unprovable(format!(
        "whatever size its segments have, the last one of this run cannot be proved: it is smaller \
         than 2^{LEAST_PO2}, or has more cycles than it was cut for"
    )))
}

/// Run a guest so that every segment can be proved. `keep` makes the function that takes each
/// segment of an attempt.
pub fn run_fitted<K>(
    elf: &[u8],
    stdin: &[u8],
    assumptions: &[AssumptionReceipt],
    limits: &Limits<'_>,
    keep: impl Fn() -> K,
) -> Result<Executed>
where
    K: FnMut(Segment) -> anyhow::Result<Box<dyn SegmentRef>> + Send,
{
    let attempt = |segment_po2| {
        let limits = limits.with(segment_po2);
        run(elf, stdin, assumptions, &limits, keep(), None)
    };
    let last = |executed: &Executed| Ok(executed.last.clone());
    fitted(limits.segment_po2, attempt, |executed| &executed.run, last)
}

/// Whether all segments of a run have sizes that can be proved, and take no more memory than those of 2^`wanted`.
fn fits(run: &Run, wanted: u32, any_size: bool) -> bool {
    let most = if any_size { u32::MAX } else { wanted };
    run.segment_po2s
        .iter()
        .all(|po2| (LEAST_PO2..=most).contains(po2))
}

/// The limits that are tried in place of `wanted`, each with whether its segments may be larger.
/// With a limit above `wanted` a run may well be one segment of 2^`wanted`, because the executor
/// leaves room for one long instruction below each limit. The smaller limits come next, which cut
/// the run into more segments, and larger segments come last.
fn others(wanted: u32) -> impl Iterator<Item = (u32, bool)> {
    let (least, most) = (*SEGMENT_PO2.start(), *SEGMENT_PO2.end());
    let smaller = (least..wanted).rev();
    let same = (wanted + 1..=most).take(1).chain(smaller);
    let same = same.map(|limit| (limit, false));
    same.chain((wanted + 1..=most).map(|limit| (limit, true)))
}

/// Run the guest once. `keep` is called for each segment, in order and on another thread. While it
/// does not return, the executor gets no more than a few segments ahead.
pub fn run(
    elf: &[u8],
    stdin: &[u8],
    assumptions: &[AssumptionReceipt],
    limits: &Limits<'_>,
    mut keep: impl FnMut(Segment) -> anyhow::Result<Box<dyn SegmentRef>> + Send,
    profiler: Option<Rc<RefCell<Profiler>>>,
) -> Result<Executed> {
    let image = program::image(elf)?;
    let log = Log::default();
    let mut builder = builder(stdin, assumptions, limits, &log)?;
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
    let mut segment_po2s = Vec::new();
    let mut last = None;
    let session = guarded(|| {
        executor
            .run_with_callback(|segment| {
                anyhow::ensure!(!limits.cancelled.load(Ordering::Relaxed), CANCELLED);
                segment_po2s.push(u32::try_from(segment.po2())?);
                last = (segment.index > 0).then(|| segment.clone());
                keep(segment)
            })
            .map_err(guest_failed)
    });
    let session = session.map_err(|error| with_log(explained(error, limits), &log))?;
    if session.exit_code != ExitCode::Halted(0) {
        let message = format!("the guest ended with {:?}", session.exit_code);
        return Err(with_log(Error::GuestFailed(message), &log));
    }
    let beside = match keccak::used(&session) {
        true => keccak_cycles(elf, stdin, assumptions, limits)?,
        false => 0,
    };
    let run = Run {
        journal: session.journal.clone().unwrap_or_default().bytes,
        user_cycles: session.user_cycles,
        paging_cycles: session.paging_cycles,
        reserved_cycles: session.reserved_cycles,
        total_cycles: session.total_cycles + beside,
        segment_po2s,
        segment_po2: limits.segment_po2,
        log: log.text(),
    };
    Ok(Executed { session, run, last })
}

/// The cycles of the keccak accelerator's batches in a run. The session does not tell them, so the
/// guest is run once more, which takes little beside the proof of a batch.
fn keccak_cycles(
    elf: &[u8],
    stdin: &[u8],
    assumptions: &[AssumptionReceipt],
    limits: &Limits<'_>,
) -> Result<u64> {
    let (counter, cycles) = keccak::Counter::new();
    let mut builder = builder(stdin, assumptions, limits, &Log::default())?;
    let env = builder.coprocessor_callback(counter).build();
    guarded(|| {
        ExecutorImpl::new(env.map_err(guest_failed)?, program::image(elf)?)
            .and_then(|mut executor| {
                executor.run_with_callback(|_| {
                    anyhow::ensure!(!limits.cancelled.load(Ordering::Relaxed), CANCELLED);
                    Ok(Box::new(NullSegmentRef))
                })
            })
            .map_err(guest_failed)
    })?;
    Ok(cycles.get())
}

/// What a guest runs in, within the limits.
pub fn builder<'a>(
    stdin: &'a [u8],
    assumptions: &[AssumptionReceipt],
    limits: &Limits<'_>,
    log: &Log,
) -> Result<ExecutorEnvBuilder<'a>> {
    let po2 = limits.segment_po2;
    if !SEGMENT_PO2.contains(&po2) {
        return Err(Error::BadArgument(format!(
            "segment_po2 is {po2}, must be from {} to {}",
            SEGMENT_PO2.start(),
            SEGMENT_PO2.end()
        )));
    }
    let mut builder = ExecutorEnv::builder();
    builder
        .stdin(stdin)
        .stdout(log.clone())
        .stderr(log.clone())
        .segment_limit_po2(po2);
    if limits.max_cycles > 0 {
        builder.session_limit(Some(limits.max_cycles));
    }
    for assumption in assumptions {
        builder.add_assumption(assumption.clone());
    }
    Ok(builder)
}

/// Run the guest once, and count where its cycles go.
pub fn run_profiled(
    elf: &[u8],
    stdin: &[u8],
    assumptions: &[AssumptionReceipt],
    limits: &Limits<'_>,
    keep: impl FnMut(Segment) -> anyhow::Result<Box<dyn SegmentRef>> + Send,
) -> Result<(Run, Profile)> {
    let profiler = Rc::new(RefCell::new(Profiler::default()));
    let trace = Some(Rc::clone(&profiler));
    let Executed { run, .. } = run(elf, stdin, assumptions, limits, keep, trace)?;
    let profile = profiler.take().finish(run.user_cycles);
    Ok((run, profile))
}

/// An error of the executor in the terms of whoever set the limits.
pub fn explained(error: Error, limits: &Limits<'_>) -> Error {
    match error {
        // One instruction and the pages that it touches must fit into a segment. The executor
        // asserts that they do.
        Error::Internal(panic) if panic.starts_with("segment limit (") => {
            Error::BadArgument(format!(
                "segment_po2 {} is too small for this guest: {panic}",
                limits.segment_po2
            ))
        }
        Error::GuestFailed(message) if message.starts_with(TOO_LONG) => {
            Error::GuestFailed(format!(
                "the guest has not ended after {} cycles, and may run no longer (max_cycles)",
                limits.max_cycles
            ))
        }
        other => other,
    }
}

/// The error of a run that the executor gave up, on one line.
pub fn guest_failed(error: anyhow::Error) -> Error {
    Error::GuestFailed(one_line(&format!("{error:#}")))
}

/// The failure of a guest, with what it had printed, if that is anything. Others stay as they are.
pub fn with_log(error: Error, log: &Log) -> Error {
    match (error, log.text()) {
        (Error::GuestFailed(message), log) if !log.is_empty() => {
            Error::GuestPrinted { message, log }
        }
        (error, _) => error,
    }
}

/// The words of a text with one space between them, and of a long text only the start.
fn one_line(text: &str) -> String {
    let start: String = text.chars().take(4 * MAX_MESSAGE_CHARS).collect();
    let line = start.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MAX_MESSAGE_CHARS) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

/// What the guest printed, up to [`MAX_LOG_BYTES`].
#[derive(Clone, Default)]
pub struct Log(Rc<RefCell<Vec<u8>>>);

impl Log {
    pub fn text(&self) -> String {
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
