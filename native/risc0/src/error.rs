//! One error enum, one conversion to one Python exception.

use pyo3::{PyErr, create_exception, exceptions::PyException};

create_exception!(
    runner_risc0,
    NativeError,
    PyException,
    "Every failure of this module. `args` is `(code, message)`, both str; codes are stable:\n\
     bad_argument, bad_elf, guest_failed, malformed_receipt, verification_failed, unavailable,\n\
     prover_failed, cuda_failed, internal."
);

#[derive(Debug)]
pub enum Error {
    /// An argument no run could accept: a digest of the wrong length, an unknown receipt kind.
    BadArgument(String),
    /// The program binary cannot be loaded.
    BadElf(String),
    /// The guest panicked, faulted, exited with a code, or asked for an unknown assumption.
    GuestFailed(String),
    /// The bytes are not a receipt in this module's encoding.
    MalformedReceipt(String),
    /// A well-formed receipt that does not prove what was asked.
    VerificationFailed(String),
    /// This build or machine cannot make the receipt kind.
    Unavailable(String),
    /// Proving failed for a reason that is neither guest nor argument.
    ProverFailed(String),
    /// Proving failed in a CUDA build: the driver, the device or its memory.
    CudaFailed(String),
    /// A panic in the zkVM's code, caught.
    Internal(String),
}

pub type Result<T> = std::result::Result<T, Error>;

impl From<Error> for PyErr {
    fn from(error: Error) -> PyErr {
        let (code, message) = match error {
            Error::BadArgument(message) => ("bad_argument", message),
            Error::BadElf(message) => ("bad_elf", message),
            Error::GuestFailed(message) => ("guest_failed", message),
            Error::MalformedReceipt(message) => ("malformed_receipt", message),
            Error::VerificationFailed(message) => ("verification_failed", message),
            Error::Unavailable(message) => ("unavailable", message),
            Error::ProverFailed(message) => ("prover_failed", message),
            Error::CudaFailed(message) => ("cuda_failed", message),
            Error::Internal(message) => ("internal", message),
        };
        NativeError::new_err((code, message))
    }
}
