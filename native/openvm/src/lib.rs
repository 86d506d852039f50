//! OpenVM for the batch runner: functions from bytes to bytes, which release the GIL while the zkVM
//! works.
//!
//! `runner_openvm.pyi` documents the Python side.

mod error;
mod key_file;
mod keys;
mod layout;
mod memory;
mod parameters;
mod pipeline;
mod program;
mod receipt;
mod vm;
mod zkvm;

use std::path::PathBuf;

use pyo3::{
    prelude::*,
    types::{PyBytes, PyDict},
};
use runner_shared::{Error, Result, envelope, guarded};

use crate::{
    error::{NativeError, raised},
    parameters::Parameters,
};

#[pyclass(frozen, get_all, module = "runner_openvm")]
struct Execution {
    journal: Py<PyBytes>,
    instructions: u64,
    segments: usize,
}

#[pyclass(frozen, get_all, module = "runner_openvm")]
struct Proof {
    receipt: Py<PyBytes>,
    execution: Py<Execution>,
}

#[pyclass(frozen, get_all, module = "runner_openvm")]
struct ReceiptInfo {
    seal_bytes: usize,
    journal: Py<PyBytes>,
}

impl Execution {
    fn new(py: Python<'_>, run: zkvm::Run) -> Self {
        Execution {
            journal: PyBytes::new(py, &run.journal).unbind(),
            instructions: run.instructions,
            segments: run.segments,
        }
    }
}

/// The vector instructions that this build may use. Without them, every proof takes several times
/// as long.
const fn vectors() -> &'static str {
    if cfg!(target_feature = "avx512f") {
        "avx512"
    } else if cfg!(target_feature = "avx2") {
        "avx2"
    } else if cfg!(target_feature = "neon") {
        "neon"
    } else {
        "none"
    }
}

/// Run `work` without the GIL. Its failure, or its panic, is raised as this module's exception.
fn detached<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T> + Send) -> PyResult<T> {
    py.detach(|| guarded(work)).map_err(raised)
}

#[pyfunction]
fn build_info(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let info = PyDict::new(py);
    info.set_item("module_version", env!("CARGO_PKG_VERSION"))?;
    info.set_item("openvm", vm::OPENVM_VERSION)?;
    info.set_item("vectors", vectors())?;
    info.set_item("envelope_version", envelope::VERSION)?;
    Ok(info)
}

#[pyfunction]
#[pyo3(signature = (elf, /))]
fn commitments<'py>(
    py: Python<'py>,
    elf: &[u8],
) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
    let (executable, machine) = detached(py, || zkvm::commitments(elf))?;
    Ok((PyBytes::new(py, &executable), PyBytes::new(py, &machine)))
}

#[pyfunction]
#[pyo3(signature = (executable, vm, /))]
fn image_id<'py>(py: Python<'py>, executable: &[u8], vm: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let id = detached(py, || {
        Ok(program::image_id(&digest(executable)?, &digest(vm)?))
    })?;
    Ok(PyBytes::new(py, &id))
}

#[pyfunction]
#[pyo3(signature = (elf, stdin, claims=Vec::new(), *, threads=0))]
fn execute(
    py: Python<'_>,
    elf: &[u8],
    stdin: &[u8],
    claims: Vec<(Vec<u8>, Vec<u8>, Vec<u8>)>,
    threads: usize,
) -> PyResult<Execution> {
    let run = detached(py, || {
        with_threads(threads, || {
            let claims = claims
                .into_iter()
                .map(|(executable, vm, journal)| Ok((digest(&executable)?, digest(&vm)?, journal)))
                .collect::<Result<Vec<_>>>()?;
            zkvm::execute(elf, stdin, &claims)
        })
    })?;
    Ok(Execution::new(py, run))
}

#[pyfunction]
#[pyo3(signature = (elf, stdin, receipts=Vec::new(), *, keys, segment_memory, threads=0))]
fn prove(
    py: Python<'_>,
    elf: &[u8],
    stdin: &[u8],
    receipts: Vec<Vec<u8>>,
    keys: PathBuf,
    segment_memory: usize,
    threads: usize,
) -> PyResult<Proof> {
    let (receipt, run) = detached(py, || {
        with_threads(threads, || {
            memory::keep_freed();
            zkvm::prove(&keys, elf, stdin, &receipts, segment_memory)
        })
    })?;
    Ok(Proof {
        receipt: PyBytes::new(py, &receipt).unbind(),
        execution: Py::new(py, Execution::new(py, run))?,
    })
}

#[pyfunction]
#[pyo3(signature = (receipt, image_id, /))]
fn verify<'py>(py: Python<'py>, receipt: &[u8], image_id: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let journal = detached(py, || zkvm::verify(receipt, &digest(image_id)?))?;
    Ok(PyBytes::new(py, &journal))
}

#[pyfunction]
#[pyo3(signature = (receipt, /))]
fn describe(py: Python<'_>, receipt: &[u8]) -> PyResult<ReceiptInfo> {
    let info = detached(py, || zkvm::describe(receipt))?;
    Ok(ReceiptInfo {
        seal_bytes: info.proof_bytes,
        journal: PyBytes::new(py, &info.journal).unbind(),
    })
}

#[pyfunction]
#[pyo3(signature = (folder, /))]
fn make_keys(py: Python<'_>, folder: PathBuf) -> PyResult<bool> {
    detached(py, || keys::ensure(&folder))
}

#[pyfunction]
#[pyo3(signature = (definition, /))]
fn load_vm<'py>(py: Python<'py>, definition: &[u8]) -> PyResult<Bound<'py, PyDict>> {
    let (loaded, parameters) = detached(py, || {
        vm::load(definition)?;
        let loaded = vm::definition()?;
        Ok((loaded, loaded.parameters.to_json()?))
    })?;
    let info = PyDict::new(py);
    let commitment = vm::digest_bytes(&loaded.commitment);
    info.set_item("commitment", PyBytes::new(py, &commitment))?;
    info.set_item("parameters", parameters)?;
    info.set_item("security_bits", loaded.security_bits)?;
    Ok(info)
}

#[pyfunction]
#[pyo3(signature = (parameters, /))]
fn make_vm<'py>(py: Python<'py>, parameters: &str) -> PyResult<Bound<'py, PyBytes>> {
    let bytes = detached(py, || {
        let parameters = Parameters::from_json(parameters)?;
        vm::Definition::of(&keys::make(parameters)?, parameters)?.encode()
    })?;
    Ok(PyBytes::new(py, &bytes))
}

fn digest(bytes: &[u8]) -> Result<[u8; 32]> {
    bytes
        .try_into()
        .map_err(|_| Error::BadArgument(format!("a digest is 32 bytes, not {}", bytes.len())))
}

/// Run `work` on a pool of `threads`, where 0 means the process's own pool with one thread a core.
/// A pool of its own needs a panic guard of its own, for a guard covers one thread.
fn with_threads<T: Send>(threads: usize, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    if threads == 0 {
        return work();
    }
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|error| Error::BadArgument(format!("{threads} threads: {error}")))?
        .install(|| guarded(work))
}

#[pymodule(gil_used = false)]
mod runner_openvm {
    #[pymodule_export]
    use super::{
        Execution, NativeError, Proof, ReceiptInfo, build_info, commitments, describe, execute,
        image_id, load_vm, make_keys, make_vm, prove, verify,
    };

    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(_module: &Bound<'_, PyModule>) -> PyResult<()> {
        runner_shared::install_hook();
        super::memory::share_arenas();
        Ok(())
    }
}
