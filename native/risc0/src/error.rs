//! The Python exception of this module.

use pyo3::{PyErr, create_exception, exceptions::PyException};
use runner_shared::Error;

create_exception!(
    runner_risc0,
    NativeError,
    PyException,
    "The one exception of this module. Its `args` are `(code, message)`, two str, and for a guest\n\
     that failed after it had printed something, what that is. The codes are stable: bad_argument,\n\
     bad_elf, guest_failed, malformed_receipt, verification_failed, unavailable, prover_failed,\n\
     cuda_failed, unprovable, bad_segment, internal."
);

/// The exception that Python gets for a failure.
pub fn raised(error: Error) -> PyErr {
    if let Error::GuestPrinted { message, log } = error {
        return NativeError::new_err(("guest_failed", message, log));
    }
    NativeError::new_err(error.into_code_and_message())
}
