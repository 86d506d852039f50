//! The Python exception of this module.

use pyo3::{PyErr, create_exception, exceptions::PyException};
use runner_shared::Error;

create_exception!(
    runner_risc0,
    NativeError,
    PyException,
    "The one exception of this module. Its `args` are `(code, message)`, two str. The codes are\n\
     stable: bad_argument, bad_elf, guest_failed, malformed_receipt, verification_failed,\n\
     unavailable, prover_failed, cuda_failed, unprovable, bad_segment, internal."
);

/// The exception that Python gets for a failure.
pub fn raised(error: Error) -> PyErr {
    NativeError::new_err(error.into_code_and_message())
}
