//! RISC Zero for the batch runner: functions from bytes to bytes, which release the GIL while the
//! zkVM works.
//!
//! `runner_risc0.pyi` documents the Python side.

mod error;
mod execution;
mod joined;
mod keccak;
mod parts;
mod program;
mod receipt;
mod seeded;
mod segment;
mod session;
#[cfg(simd)]
mod simd;
mod trace;
mod verifier;
mod zkvm;

use std::{
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::Duration,
};

use pyo3::{
    prelude::*,
    types::{PyBytes, PyDict},
};
use risc0_zkvm::Digest;
use runner_shared::{Error, Result, envelope, guarded};

use crate::{
    error::{NativeError, raised},
    execution::{Limits, Run},
    session::Gpu,
};

#[pyclass(frozen, get_all, module = "runner_risc0")]
struct Execution {
    journal: Py<PyBytes>,
    user_cycles: u64,
    paging_cycles: u64,
    reserved_cycles: u64,
    total_cycles: u64,
    segments: usize,
    segment_po2s: Vec<u32>,
    segment_po2: u32,
    log: String,
}

#[pyclass(frozen, get_all, module = "runner_risc0")]
struct Proof {
    receipt: Py<PyBytes>,
    execution: Py<Execution>,
    gpu_s: f64,
}

#[pyclass(frozen, get_all, module = "runner_risc0")]
struct ReceiptInfo {
    kind: &'static str,
    seal_bytes: usize,
    segments: usize,
    assumptions: usize,
    journal: Py<PyBytes>,
}

type Call = (u32, u32);
type Cost = (u32, u32, u64, u64, u64);

#[pyclass(frozen, get_all, module = "runner_risc0")]
struct GuestProfile {
    execution: Py<Execution>,
    calls: Vec<Call>,
    costs: Vec<Cost>,
}

impl Execution {
    fn new(py: Python<'_>, run: Run) -> Self {
        Execution {
            journal: PyBytes::new(py, &run.journal).unbind(),
            user_cycles: run.user_cycles,
            paging_cycles: run.paging_cycles,
            reserved_cycles: run.reserved_cycles,
            total_cycles: run.total_cycles,
            segments: run.segment_po2s.len(),
            segment_po2s: run.segment_po2s,
            segment_po2: run.segment_po2,
            log: run.log,
        }
    }
}

impl Proof {
    fn new(py: Python<'_>, receipt: &[u8], run: Run, gpu: Option<&Gpu>) -> PyResult<Self> {
        Ok(Proof {
            gpu_s: gpu.map_or(0.0, Gpu::used_s),
            receipt: PyBytes::new(py, receipt).unbind(),
            execution: Py::new(py, Execution::new(py, run))?,
        })
    }
}

/// Run `work` without the GIL. Its failure, or its panic, is raised as this module's exception.
fn detached<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T> + Send) -> PyResult<T> {
    py.detach(|| guarded(work)).map_err(raised)
}

/// How often a long call looks whether the user has pressed Ctrl-C.
const SIGNALS: Duration = Duration::from_millis(50);

/// Run `work` on a thread of its own, and end it where a signal's handler raises an exception.
fn interruptible<T: Send>(
    py: Python<'_>,
    work: impl FnOnce(&AtomicBool) -> Result<T> + Send,
) -> PyResult<T> {
    let cancelled = AtomicBool::new(false);
    py.detach(|| {
        thread::scope(|scope| {
            let (done, result) = channel();
            let flag = &cancelled;
            scope.spawn(move || {
                // Nobody receives it where this call was interrupted.
                let _ = done.send(guarded(|| work(flag)));
            });
            loop {
                match result.recv_timeout(SIGNALS) {
                    Ok(found) => return found.map_err(raised),
                    Err(RecvTimeoutError::Disconnected) => {
                        return Err(raised(Error::Internal("its thread is gone".into())));
                    }
                    Err(RecvTimeoutError::Timeout) => {
                        if let Err(error) = Python::attach(|py| py.check_signals()) {
                            cancelled.store(true, Ordering::Relaxed);
                            return Err(error);
                        }
                    }
                }
            }
        })
    })
}

#[pyfunction]
fn build_info(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let recursion = py.detach(zkvm::has_recursion);
    let mut kinds = vec!["composite"];
    if recursion {
        kinds.extend(["succinct", "groth16"]);
    }
    let info = PyDict::new(py);
    info.set_item("module_version", env!("CARGO_PKG_VERSION"))?;
    info.set_item("risc0_zkvm", risc0_zkvm::VERSION)?;
    info.set_item("receipt_kinds", kinds)?;
    info.set_item("recursion", recursion)?;
    info.set_item("cuda", cfg!(feature = "cuda"))?;
    info.set_item("all_kernels", cfg!(feature = "all-kernels"))?;
    info.set_item("simd", simd_instructions())?;
    info.set_item("envelope_version", envelope::VERSION)?;
    Ok(info)
}

/// The vector instructions that proofs use on this CPU.
fn simd_instructions() -> Option<&'static str> {
    #[cfg(simd)]
    return simd::instructions();
    #[cfg(not(simd))]
    None
}

#[pyfunction]
#[pyo3(signature = (elf, /))]
fn image_id<'py>(py: Python<'py>, elf: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let id = detached(py, || zkvm::image_id(elf))?;
    Ok(PyBytes::new(py, &id))
}

#[pyfunction]
#[pyo3(signature = (elf, stdin, assumptions=Vec::new(), *, segment_po2=20, max_cycles=0))]
fn execute(
    py: Python<'_>,
    elf: &[u8],
    stdin: &[u8],
    assumptions: Vec<(Vec<u8>, Vec<u8>)>,
    segment_po2: u32,
    max_cycles: u64,
) -> PyResult<Execution> {
    let run = interruptible(py, |cancelled| {
        let limits = Limits {
            segment_po2,
            max_cycles,
            cancelled,
        };
        zkvm::execute(elf, stdin, &digests(assumptions)?, &limits)
    })?;
    Ok(Execution::new(py, run))
}

#[pyfunction]
#[pyo3(signature = (elf, stdin, assumptions=Vec::new(), *, segment_po2=20))]
fn profile(
    py: Python<'_>,
    elf: &[u8],
    stdin: &[u8],
    assumptions: Vec<(Vec<u8>, Vec<u8>)>,
    segment_po2: u32,
) -> PyResult<GuestProfile> {
    let (run, profile) = interruptible(py, |cancelled| {
        let limits = Limits {
            segment_po2,
            max_cycles: 0,
            cancelled,
        };
        zkvm::profile(elf, stdin, &digests(assumptions)?, &limits)
    })?;
    Ok(GuestProfile {
        execution: Py::new(py, Execution::new(py, run))?,
        calls: profile.calls,
        costs: profile
            .costs
            .into_iter()
            .map(|(node, pc, cost)| (node, pc, cost.user, cost.page_in, cost.page_out))
            .collect(),
    })
}

#[pyfunction]
#[pyo3(signature = (elf, stdin, receipts=Vec::new(), *, kind="composite", segment_po2=20, max_cycles=0, threads=0, gpu_lock=None))]
#[expect(clippy::too_many_arguments, reason = "most are keywords in Python")]
fn prove(
    py: Python<'_>,
    elf: &[u8],
    stdin: &[u8],
    receipts: Vec<Vec<u8>>,
    kind: &str,
    segment_po2: u32,
    max_cycles: u64,
    threads: usize,
    gpu_lock: Option<PathBuf>,
) -> PyResult<Proof> {
    let gpu = gpu_lock.map(Gpu::new);
    let (receipt, run) = detached(py, || {
        with_threads(threads, || {
            let limits = Limits {
                segment_po2,
                max_cycles,
                cancelled: &AtomicBool::new(false),
            };
            zkvm::prove(elf, stdin, &receipts, kind, &limits, gpu.as_ref())
        })
    })?;
    Proof::new(py, &receipt, run, gpu.as_ref())
}

#[pyfunction]
#[pyo3(signature = (elf, stdin, receipts=Vec::new(), *, most_segments=1, kind="composite", segment_po2=20, max_cycles=0, threads=0, gpu_lock=None))]
#[expect(clippy::too_many_arguments, reason = "most are keywords in Python")]
fn prove_if_short(
    py: Python<'_>,
    elf: &[u8],
    stdin: &[u8],
    receipts: Vec<Vec<u8>>,
    most_segments: usize,
    kind: &str,
    segment_po2: u32,
    max_cycles: u64,
    threads: usize,
    gpu_lock: Option<PathBuf>,
) -> PyResult<Py<PyAny>> {
    let gpu = gpu_lock.map(Gpu::new);
    let (receipt, run) = detached(py, || {
        with_threads(threads, || {
            let limits = Limits {
                segment_po2,
                max_cycles,
                cancelled: &AtomicBool::new(false),
            };
            let most = most_segments;
            zkvm::prove_if_short(elf, stdin, &receipts, kind, &limits, most, gpu.as_ref())
        })
    })?;
    Ok(match receipt {
        Some(receipt) => {
            let proof = Proof::new(py, &receipt, run, gpu.as_ref())?;
            Py::new(py, proof)?.into_any()
        }
        None => Py::new(py, Execution::new(py, run))?.into_any(),
    })
}

#[pyfunction]
#[pyo3(signature = (receipt, image_id, /))]
fn verify<'py>(py: Python<'py>, receipt: &[u8], image_id: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let journal = detached(py, || verifier::verify(receipt, digest(image_id)?))?;
    Ok(PyBytes::new(py, &journal))
}

#[pyfunction]
#[pyo3(signature = (receipt, /))]
fn describe(py: Python<'_>, receipt: &[u8]) -> PyResult<ReceiptInfo> {
    let info = detached(py, || verifier::describe(receipt))?;
    Ok(ReceiptInfo {
        kind: info.kind,
        seal_bytes: info.seal_bytes,
        segments: info.segments,
        assumptions: info.assumptions,
        journal: PyBytes::new(py, &info.journal).unbind(),
    })
}

fn digests(claims: Vec<(Vec<u8>, Vec<u8>)>) -> Result<Vec<(Digest, Vec<u8>)>> {
    claims
        .into_iter()
        .map(|(image_id, journal)| Ok((digest(&image_id)?, journal)))
        .collect()
}

fn digest(bytes: &[u8]) -> Result<Digest> {
    Digest::try_from(bytes)
        .map_err(|_| Error::BadArgument(format!("an image id is 32 bytes, not {}", bytes.len())))
}

/// The stack of a thread that proves: the vector code's frames alone take 2.4 MB of it.
const STACK_BYTES: usize = 8 << 20;

fn pool() -> rayon::ThreadPoolBuilder {
    let builder = rayon::ThreadPoolBuilder::new().stack_size(STACK_BYTES);
    #[cfg(simd)]
    let builder = builder.start_handler(|_| simd::enable_here());
    builder
}

/// Run `work` on a pool of `threads`, where 0 means the process's own pool with one thread a core.
/// A pool of its own needs a panic guard of its own, for a guard covers one thread.
fn with_threads<T: Send>(threads: usize, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    if threads == 0 {
        // This fails where an earlier call made the pool already.
        let _ = pool().build_global();
        return work();
    }
    pool()
        .num_threads(threads)
        .build()
        .map_err(|error| Error::BadArgument(format!("{threads} threads: {error}")))?
        .install(|| guarded(work))
}

#[pymodule(gil_used = false)]
#[cfg_attr(feature = "cuda", pyo3(name = "runner_risc0_cuda"))]
mod runner_risc0 {
    #[pymodule_export]
    use super::{
        Execution, GuestProfile, NativeError, Proof, ReceiptInfo, build_info, describe, execute,
        image_id,
        parts::{
            assemble, check_segment, cut, join, lift, measure, prove_segment, resolve,
            verify_joined, verify_lifted, verify_segment,
        },
        profile, prove, prove_if_short, verify,
    };

    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(_module: &Bound<'_, PyModule>) -> PyResult<()> {
        runner_shared::install_hook();
        Ok(())
    }
}
