//! OpenVM for the batch runner: bytes in, bytes out, the GIL released while the zkVM works.
//!
//! `runner_openvm.pyi` documents the Python side.

mod envelope;
mod error;
mod guard;
mod keys;
mod memory;
mod parameters;
mod pipeline;
mod program;
mod vm;
mod zkvm;

use std::path::PathBuf;

use pyo3::{
    prelude::*,
    types::{PyBytes, PyDict},
};

use crate::{
    error::{Error, NativeError, Result},
    guard::guarded,
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

/// The vector instructions this build may use: none of them makes every proof several times slower.
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
    let (executable, machine) = py.detach(|| guarded(|| zkvm::commitments(elf)))?;
    Ok((PyBytes::new(py, &executable), PyBytes::new(py, &machine)))
}

#[pyfunction]
#[pyo3(signature = (executable, vm, /))]
fn image_id<'py>(py: Python<'py>, executable: &[u8], vm: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let id = program::image_id(&digest(executable)?, &digest(vm)?);
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
    let run = py.detach(|| {
        with_threads(threads, || {
            guarded(|| {
                let claims = claims
                    .into_iter()
                    .map(|(executable, vm, journal)| {
                        Ok((digest(&executable)?, digest(&vm)?, journal))
                    })
                    .collect::<Result<Vec<_>>>()?;
                zkvm::execute(elf, stdin, &claims)
            })
        })
    })?;
    Ok(Execution::new(py, run))
}

#[pyfunction]
#[pyo3(signature = (elf, stdin, receipts=Vec::new(), *, keys, threads=0))]
fn prove(
    py: Python<'_>,
    elf: &[u8],
    stdin: &[u8],
    receipts: Vec<Vec<u8>>,
    keys: PathBuf,
    threads: usize,
) -> PyResult<Proof> {
    let (receipt, run) = py.detach(|| {
        with_threads(threads, || {
            guarded(|| {
                memory::keep_freed();
                zkvm::prove(&keys, elf, stdin, &receipts)
            })
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
    let journal = py.detach(|| guarded(|| zkvm::verify(receipt, &digest(image_id)?)))?;
    Ok(PyBytes::new(py, &journal))
}

#[pyfunction]
#[pyo3(signature = (receipt, /))]
fn describe(py: Python<'_>, receipt: &[u8]) -> PyResult<ReceiptInfo> {
    let info = py.detach(|| guarded(|| zkvm::describe(receipt)))?;
    Ok(ReceiptInfo {
        seal_bytes: info.proof_bytes,
        journal: PyBytes::new(py, &info.journal).unbind(),
    })
}

#[pyfunction]
#[pyo3(signature = (folder, /))]
fn make_keys(py: Python<'_>, folder: PathBuf) -> PyResult<bool> {
    Ok(py.detach(|| guarded(|| keys::ensure(&folder)))?)
}

#[pyfunction]
#[pyo3(signature = (definition, /))]
fn load_vm<'py>(py: Python<'py>, definition: &[u8]) -> PyResult<Bound<'py, PyDict>> {
    py.detach(|| guarded(|| vm::load(definition)))?;
    let loaded = vm::definition()?;
    let info = PyDict::new(py);
    let commitment = vm::digest_bytes(&loaded.commitment);
    info.set_item("commitment", PyBytes::new(py, &commitment))?;
    info.set_item("parameters", loaded.parameters.to_json()?)?;
    info.set_item("security_bits", loaded.security_bits)?;
    Ok(info)
}

#[pyfunction]
#[pyo3(signature = (parameters, /))]
fn make_vm<'py>(py: Python<'py>, parameters: &str) -> PyResult<Bound<'py, PyBytes>> {
    let bytes = py.detach(|| {
        guarded(|| {
            let parameters = Parameters::from_json(parameters)?;
            vm::Definition::of(&keys::make(parameters)?, parameters)?.encode()
        })
    })?;
    Ok(PyBytes::new(py, &bytes))
}

fn digest(bytes: &[u8]) -> Result<[u8; 32]> {
    bytes
        .try_into()
        .map_err(|_| Error::BadArgument(format!("a digest is 32 bytes, not {}", bytes.len())))
}

/// Run on a pool of `threads`; 0 means the process's own pool, one thread a core.
fn with_threads<T: Send>(threads: usize, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    if threads == 0 {
        return work();
    }
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|error| Error::BadArgument(format!("{threads} threads: {error}")))?
        .install(work)
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
        super::guard::install_hook();
        Ok(())
    }
}
