//! The failures of an extension, and the stable code of each.

/// A failure, with a message for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// No run could accept an argument, such as a digest of the wrong length.
    BadArgument(String),
    /// The program binary cannot be loaded.
    BadElf(String),
    /// The guest panicked, faulted, exited with a code, or committed nothing.
    GuestFailed(String),
    /// The same, with what the guest had printed by then.
    GuestPrinted { message: String, log: String },
    /// The bytes are not a receipt in the encoding of [`crate::envelope`].
    MalformedReceipt(String),
    /// The receipt is well-formed and does not prove what was asked.
    VerificationFailed(String),
    /// This build or this process cannot do what was asked.
    Unavailable(String),
    /// Proving failed for a reason that is neither the guest nor an argument.
    ProverFailed(String),
    /// Proving failed in a CUDA build (RISC Zero): the driver, the device or its memory.
    CudaFailed(String),
    /// The proving keys (OpenVM) cannot be read, cannot be written, or belong to another VM.
    BadKeys(String),
    /// The zkVM has no proof for this run (RISC Zero): another attempt would fail in the same way.
    Unprovable(String),
    /// The receipt of one segment does not verify (RISC Zero). The message starts with its number.
    BadSegment(String),
    /// The zkVM's code panicked.
    Internal(String),
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The code that Python programs tell failures apart by, and the message. A code never changes.
    pub fn into_code_and_message(self) -> (&'static str, String) {
        match self {
            Error::BadArgument(message) => ("bad_argument", message),
            Error::BadElf(message) => ("bad_elf", message),
            Error::GuestFailed(message) | Error::GuestPrinted { message, .. } => {
                ("guest_failed", message)
            }
            Error::MalformedReceipt(message) => ("malformed_receipt", message),
            Error::VerificationFailed(message) => ("verification_failed", message),
            Error::Unavailable(message) => ("unavailable", message),
            Error::ProverFailed(message) => ("prover_failed", message),
            Error::CudaFailed(message) => ("cuda_failed", message),
            Error::BadKeys(message) => ("bad_keys", message),
            Error::Unprovable(message) => ("unprovable", message),
            Error::BadSegment(message) => ("bad_segment", message),
            Error::Internal(message) => ("internal", message),
        }
    }
}
