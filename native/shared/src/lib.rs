//! What the extensions for RISC Zero and OpenVM have in common.
//!
//! Nothing here knows a zkVM or Python: each extension has its own Python exception, which it
//! raises for an [`Error`].

pub mod elf;
pub mod envelope;
mod error;
mod guard;

pub use error::{Error, Result};
pub use guard::{guarded, install_hook};
