//! The Python side of what is done with the parts of a run of several segments.

use std::{path::PathBuf, sync::atomic::AtomicBool};

use pyo3::{prelude::*, types::PyBytes};
use runner_shared::{Result, guarded};

use crate::{
    Execution, detached, digests, error::raised, execution::Limits, interruptible, joined, segment,
    session::Gpu, with_threads,
};

#[pyfunction]
#[pyo3(signature = (elf, stdin, assumptions=Vec::new(), *, seed, segment_po2=20, max_cycles=0))]
pub fn measure(
    py: Python<'_>,
    elf: &[u8],
    stdin: &[u8],
    assumptions: Vec<(Vec<u8>, Vec<u8>)>,
    seed: &[u8],
    segment_po2: u32,
    max_cycles: u64,
) -> PyResult<Execution> {
    let run = interruptible(py, |cancelled| {
        let limits = Limits {
            segment_po2,
            max_cycles,
            cancelled,
        };
        segment::measure(elf, stdin, &digests(assumptions)?, &limits, seed)
    })?;
    Ok(Execution::new(py, run))
}

#[pyfunction]
#[pyo3(signature = (elf, stdin, sink, assumptions=Vec::new(), *, seed, segment_po2=20))]
pub fn cut(
    py: Python<'_>,
    elf: &[u8],
    stdin: &[u8],
    sink: Py<PyAny>,
    assumptions: Vec<(Vec<u8>, Vec<u8>)>,
    seed: &[u8],
    segment_po2: u32,
) -> PyResult<Execution> {
    // The run ends with the exception that the sink raised, and not with the executor's error.
    let mut refused = None;
    let run = py.detach(|| {
        guarded(|| {
            let limits = Limits {
                segment_po2,
                max_cycles: 0,
                cancelled: &AtomicBool::new(false),
            };
            let give = |index: u32, bytes: Vec<u8>| {
                Python::attach(|py| sink.call1(py, (index, PyBytes::new(py, &bytes))))
                    .map(drop)
                    .map_err(|error| {
                        refused = Some(error);
                        anyhow::anyhow!("nobody takes the segment")
                    })
            };
            segment::cut(elf, stdin, &digests(assumptions)?, &limits, seed, give)
        })
    });
    match (run, refused) {
        (_, Some(error)) => Err(error),
        (Err(error), None) => Err(raised(error)),
        (Ok(run), None) => Ok(Execution::new(py, run)),
    }
}

#[pyfunction]
#[pyo3(signature = (segment, /, *, threads=0, gpu_lock=None))]
pub fn prove_segment<'py>(
    py: Python<'py>,
    segment: &[u8],
    threads: usize,
    gpu_lock: Option<PathBuf>,
) -> PyResult<(Bound<'py, PyBytes>, f64)> {
    made(py, threads, gpu_lock, |gpu| {
        segment::prove_segment(segment, gpu)
    })
}

#[pyfunction]
#[pyo3(signature = (segment, /))]
pub fn check_segment(py: Python<'_>, segment: &[u8]) -> PyResult<()> {
    detached(py, || segment::check_segment(segment))
}

#[pyfunction]
#[pyo3(signature = (receipt, segment, /))]
pub fn verify_segment(py: Python<'_>, receipt: &[u8], segment: &[u8]) -> PyResult<()> {
    detached(py, || segment::verify_segment(receipt, segment))
}

#[pyfunction]
#[pyo3(signature = (segments, journal, receipts=Vec::new(), *, kind="composite", threads=0, gpu_lock=None))]
pub fn assemble<'py>(
    py: Python<'py>,
    segments: Vec<Vec<u8>>,
    journal: Vec<u8>,
    receipts: Vec<Vec<u8>>,
    kind: &str,
    threads: usize,
    gpu_lock: Option<PathBuf>,
) -> PyResult<Bound<'py, PyBytes>> {
    let assembled = made(py, threads, gpu_lock, |gpu| {
        segment::assemble(&segments, &receipts, journal, kind, gpu)
    })?;
    Ok(assembled.0)
}

#[pyfunction]
#[pyo3(signature = (receipt, /, *, threads=0, gpu_lock=None))]
pub fn lift<'py>(
    py: Python<'py>,
    receipt: &[u8],
    threads: usize,
    gpu_lock: Option<PathBuf>,
) -> PyResult<(Bound<'py, PyBytes>, f64)> {
    made(py, threads, gpu_lock, |gpu| joined::lift(receipt, gpu))
}

#[pyfunction]
#[pyo3(signature = (left, right, /, *, threads=0, gpu_lock=None))]
pub fn join<'py>(
    py: Python<'py>,
    left: &[u8],
    right: &[u8],
    threads: usize,
    gpu_lock: Option<PathBuf>,
) -> PyResult<(Bound<'py, PyBytes>, f64)> {
    made(py, threads, gpu_lock, |gpu| joined::join(left, right, gpu))
}

#[pyfunction]
#[pyo3(signature = (lifted, receipt, /))]
pub fn verify_lifted(py: Python<'_>, lifted: &[u8], receipt: &[u8]) -> PyResult<()> {
    detached(py, || joined::verify_lifted(lifted, receipt))
}

#[pyfunction]
#[pyo3(signature = (joined, left, right, /))]
pub fn verify_joined(py: Python<'_>, joined: &[u8], left: &[u8], right: &[u8]) -> PyResult<()> {
    detached(py, || joined::verify_joined(joined, left, right))
}

#[pyfunction]
#[pyo3(signature = (joined, journal, receipts=Vec::new(), *, kind="succinct", threads=0, gpu_lock=None))]
pub fn resolve<'py>(
    py: Python<'py>,
    joined: &[u8],
    journal: Vec<u8>,
    receipts: Vec<Vec<u8>>,
    kind: &str,
    threads: usize,
    gpu_lock: Option<PathBuf>,
) -> PyResult<Bound<'py, PyBytes>> {
    let resolved = made(py, threads, gpu_lock, |gpu| {
        joined::resolve(joined, &receipts, journal, kind, gpu)
    })?;
    Ok(resolved.0)
}

/// What `work` makes on so many threads, and the seconds for which it had the GPU.
fn made<'py>(
    py: Python<'py>,
    threads: usize,
    gpu_lock: Option<PathBuf>,
    work: impl FnOnce(Option<&Gpu>) -> Result<Vec<u8>> + Send,
) -> PyResult<(Bound<'py, PyBytes>, f64)> {
    let gpu = gpu_lock.map(Gpu::new);
    let receipt = detached(py, || with_threads(threads, || work(gpu.as_ref())))?;
    let used_s = gpu.as_ref().map_or(0.0, Gpu::used_s);
    Ok((PyBytes::new(py, &receipt), used_s))
}
