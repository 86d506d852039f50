//! One error enum, one conversion to one Python exception.

use pyo3::{PyErr, create_exception, exceptions::PyException};

create_exception!(
    runner_openvm,
    NativeError,
    PyException,
    "Every failure of this module. `args` is `(code, message)`, both str; codes are stable:\n\
     bad_argument, bad_elf, guest_failed, malformed_receipt, verification_failed, unavailable,\n\
     prover_failed, bad_keys, internal."
);

#[derive(Debug)]
pub enum Error {
    /// An argument no run could accept: a digest of the wrong length.
    BadArgument(String),
    /// The program binary cannot be loaded.
    BadElf(String),
    /// The guest faulted, exited with a code, or committed nothing.
    GuestFailed(String),
    /// The bytes are not a receipt in this module's encoding.
    MalformedReceipt(String),
    /// A well-formed receipt that does not prove what was asked.
    VerificationFailed(String),
    /// No VM is loaded.
    Unavailable(String),
    /// Proving failed for a reason that is neither guest nor argument.
    ProverFailed(String),
    /// The keys cannot be read, written, or are of another VM.
    BadKeys(String),
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
            Error::BadKeys(message) => ("bad_keys", message),
            Error::Internal(message) => ("internal", message),
        };
        NativeError::new_err((code, message))
    }
}
