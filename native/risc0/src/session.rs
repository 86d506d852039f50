//! Proving a session segment by segment, on a GPU that other processes use as well.
//!
//! A GPU proves one thing at a time, but a good part of the work on a segment is the CPU's. So the
//! CPU works on the next segment while the GPU proves one, and a process holds the GPU only while
//! the GPU works for it.

use std::{
    fmt::Display,
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc::sync_channel,
    },
    thread,
    time::{Duration, Instant},
};

use risc0_zkvm::{
    AssumptionReceipt, InnerReceipt, ProverOpts, ProverServer, Receipt, ReceiptKind,
    SegmentReceipt, Session, VerifierContext, get_prover_server, sha::Digestible,
};
use runner_shared::{Error, Result, guarded};

use crate::{segment, verifier};

/// A GPU, named by the file that is locked while a process uses it.
pub struct Gpu {
    lock: PathBuf,
    used_ns: AtomicU64,
}

impl Gpu {
    pub fn new(lock: PathBuf) -> Self {
        Gpu {
            lock,
            used_ns: AtomicU64::new(0),
        }
    }

    /// The seconds for which the GPU was had.
    pub fn used_s(&self) -> f64 {
        Duration::from_nanos(self.used_ns.load(Ordering::Relaxed)).as_secs_f64()
    }

    /// Wait for the GPU, work on it, and let it go. The kernel lets it go where the process dies.
    pub fn run<T, E: Display>(
        &self,
        work: impl FnOnce() -> std::result::Result<T, E>,
    ) -> Result<T> {
        let _held = self.hold().map_err(|error| {
            Error::Unavailable(format!("the GPU's lock {}: {error}", self.lock.display()))
        })?;
        let clock = Instant::now();
        // Some of the library's CUDA calls return their error and others panic with it.
        let done = guarded(|| work().map_err(failed));
        let used = u64::try_from(clock.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.used_ns.fetch_add(used, Ordering::Relaxed);
        done.map_err(|error| match error {
            Error::ProverFailed(what) | Error::Internal(what) if cfg!(feature = "cuda") => {
                Error::CudaFailed(without_backtrace(&what))
            }
            other => other,
        })
    }

    fn hold(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        let file = options.open(&self.lock)?;
        file.lock()?;
        Ok(file)
    }
}

/// Work on a GPU, or on the CPU where there is none.
pub fn on<T, E: Display>(
    gpu: Option<&Gpu>,
    work: impl FnOnce() -> std::result::Result<T, E>,
) -> Result<T> {
    match gpu {
        Some(gpu) => gpu.run(work),
        None => guarded(|| work().map_err(failed)),
    }
}

pub fn failed(error: impl Display) -> Error {
    // The alternate form of an `anyhow` error names its causes.
    Error::ProverFailed(format!("{error:#}"))
}

/// The library's panics quote an error in full, with the stack of the place where it came up.
fn without_backtrace(what: &str) -> String {
    let message = what.split("Stack backtrace:").next().unwrap_or_default();
    message.trim_end().to_owned()
}

/// Prove a session on a GPU.
pub fn prove(
    options: &ProverOpts,
    context: &VerifierContext,
    session: &Session,
    gpu: &Gpu,
) -> Result<Receipt> {
    let prover = get_prover_server(options).map_err(failed)?;
    if has_unresolved(session) {
        return gpu.run(|| {
            prover
                .prove_session(context, session)
                .map(|info| info.receipt)
        });
    }
    let segments = prove_segments(options, &*prover, session, gpu)?;
    let receipt = assemble(session, segments, context)?;
    match options.receipt_kind {
        ReceiptKind::Composite => Ok(receipt),
        _ => gpu.run(|| prover.compress(options, &receipt)),
    }
}

/// Whether the library proves a part of the session itself: an assumption without a receipt comes
/// from a list of the keccak accelerator's work that only the library can read.
pub fn has_unresolved(session: &Session) -> bool {
    session
        .assumptions
        .iter()
        .any(|(_, receipt)| matches!(receipt, AssumptionReceipt::Unresolved(_)))
}

fn prove_segments(
    options: &ProverOpts,
    prover: &dyn ProverServer,
    session: &Session,
    gpu: &Gpu,
) -> Result<Vec<SegmentReceipt>> {
    thread::scope(|scope| {
        // Three segments are in memory at most: one is proved, one waits, and one is prepared.
        let (ready, prepared) = sync_channel(1);
        let proving = scope.spawn(move || {
            #[cfg(simd)]
            crate::simd::enable_here();
            guarded(|| {
                // A prover and a context contain `Rc`s, so each thread has its own.
                let prover = get_prover_server(options).map_err(failed)?;
                let context = verifier::context();
                let proved = prepared
                    .iter()
                    .map(|traced| gpu.run(|| prover.prove_segment_core(&context, traced)));
                proved.collect::<Result<Vec<_>>>()
            })
        });
        let sent = session.segments.iter().try_for_each(|segment| {
            let segment = segment.resolve().map_err(failed)?;
            let traced = prover.segment_preflight(&segment).map_err(failed)?;
            // Nobody receives it where the other thread has failed, which then says why.
            ready.send(traced).map_err(failed)
        });
        drop(ready);
        let proved = proving
            .join()
            .map_err(|_| failed("the thread that proves is gone"))?;
        proved.and_then(|receipts| sent.map(|()| receipts))
    })
}

/// The composite receipt of a session from the receipts of its segments. Its last segment carries
/// the journal and the assumptions already, since the executor put them there.
fn assemble(
    session: &Session,
    segments: Vec<SegmentReceipt>,
    context: &VerifierContext,
) -> Result<Receipt> {
    let mut assumptions = Vec::with_capacity(session.assumptions.len());
    for (_, receipt) in &session.assumptions {
        let AssumptionReceipt::Proven(receipt) = receipt else {
            return Err(failed("an assumption has no receipt"));
        };
        assumptions.push(receipt.clone());
    }
    let composite = segment::composite(segments, assumptions, context)?;
    composite
        .verify_integrity_with_context(context)
        .map_err(failed)?;
    let (proved, ran) = (
        composite.claim().map_err(failed)?,
        session.claim().map_err(failed)?,
    );
    if proved.digest() != ran.digest() {
        return Err(failed(
            "the segments prove another claim than the session's",
        ));
    }
    let journal = session.journal.clone().unwrap_or_default().bytes;
    Ok(Receipt::new(InnerReceipt::Composite(composite), journal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_ends_before_the_stack_that_it_quotes() {
        let quoted =
            "allocation failed\n\nCaused by:\n    \"out of memory\"\n\nStack backtrace:\n   0: a";
        let message = "allocation failed\n\nCaused by:\n    \"out of memory\"";
        assert_eq!(without_backtrace(quoted), message);
        assert_eq!(without_backtrace(message), message);
    }

    #[test]
    fn a_failure_and_a_panic_end_the_use_of_the_gpu() {
        let lock = std::env::temp_dir().join(format!("runner-gpu-{}", std::process::id()));
        let gpu = Gpu::new(lock.clone());
        let failure = gpu.run(|| Err::<(), _>("no"));
        assert_eq!(failure, Err(Error::ProverFailed("no".into())));
        let panic = gpu.run(|| -> std::result::Result<(), String> { panic!("gone") });
        assert_eq!(panic, Err(Error::Internal("gone".into())));
        assert_eq!(gpu.run(|| Ok::<_, String>(1)), Ok(1));
        assert!(gpu.used_s() > 0.0);
        std::fs::remove_file(lock).expect("the lock is a file");
    }
}
