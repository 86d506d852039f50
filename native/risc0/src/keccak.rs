//! The work of the keccak accelerator, which is proved in batches of its own beside the segments.
//!
//! The proofs of the batches are one assumption of the session, without a receipt yet. Its control
//! root is that of the keccak programs if there is one batch, and that of the recursion programs if
//! there are several. How many there are, and how large, the library's session keeps to itself.

use std::{cell::Cell, rc::Rc};

use risc0_circuit_recursion::control_id::ALLOWED_CONTROL_ROOT;
use risc0_zkvm::{AssumptionReceipt, CoprocessorCallback, Digest, ProveKeccakRequest, Session};

/// The control root of the assumption whose receipt a run still needs, if there is one.
fn unresolved(session: &Session) -> Option<Digest> {
    let found = session.assumptions.iter().map(|(_, receipt)| receipt);
    found
        .filter_map(|receipt| match receipt {
            AssumptionReceipt::Unresolved(assumption) => Some(assumption.control_root),
            AssumptionReceipt::Proven(_) => None,
        })
        // Claims that are taken on trust have none.
        .find(|root| *root != Digest::ZERO)
}

/// Whether a run used the accelerator.
pub fn used(session: &Session) -> bool {
    unresolved(session).is_some()
}

/// Whether the proofs of the batches of a run have to be joined.
pub fn joins(session: &Session) -> bool {
    unresolved(session) == Some(ALLOWED_CONTROL_ROOT)
}

/// Counts the cycles of the batches, with their padding, in place of keeping them for a proof.
pub struct Counter(Rc<Cell<u64>>);

impl Counter {
    /// A counter, and the number that it counts up.
    pub fn new() -> (Self, Rc<Cell<u64>>) {
        let cycles = Rc::new(Cell::new(0));
        (Counter(Rc::clone(&cycles)), cycles)
    }
}

impl CoprocessorCallback for Counter {
    fn prove_keccak(&mut self, request: ProveKeccakRequest) -> anyhow::Result<()> {
        self.0.set(self.0.get() + (1 << request.po2));
        Ok(())
    }
}
