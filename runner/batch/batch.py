"""One batch from leaves to a verified result, over the protocols of its parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.model import Child, ProofJob, ReceiptKind
from runner.plan import merkle
from runner.plan.journal import AggregationResult, aggregator_stdin

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runner.model import Guest, Leaf
    from runner.plan.plan import Plan
    from runner.provers.prover import ProverSpec

__all__ = ["Batch", "Root"]


@dataclass(frozen=True, slots=True)
class Batch:
    """What is to be done.

    Attributes:
        guest: runs at every leaf.
        aggregator: runs at every inner node.
        leaves: by position.
        plan: over the leaves' distinct runs.
        prover: makes the receipts.
    """

    guest: Guest
    aggregator: Guest
    leaves: Sequence[Leaf]
    plan: Plan
    prover: ProverSpec

    def kind(self, job_id: int) -> ReceiptKind:
        """The receipt a job makes: only the batch's results are wrapped in Groth16.

        A Groth16 receipt cannot be an assumption, so what lies below the root is succinct.
        """
        wanted = self.prover.kind
        if wanted is ReceiptKind.GROTH16 and self.plan.root not in (None, job_id):
            return ReceiptKind.SUCCINCT
        return wanted

    def program(self, job_id: int) -> Guest:
        """What a job runs."""
        return self.guest if job_id < self.plan.leaf_jobs else self.aggregator

    def job(
        self, job_id: int, positions: Sequence[int], journal: Callable[[int], bytes]
    ) -> ProofJob:
        """A job without its children's receipts: one that is in the cache never needs them.

        Args:
            job_id: of the plan.
            positions: for each leaf job, a batch position that asks for it.
            journal: of a child, by its job id.
        """
        name, guest, kind = self.name(job_id), self.program(job_id), self.kind(job_id)
        if job_id < self.plan.leaf_jobs:
            stdin = self.leaves[positions[job_id]].stdin
            return ProofJob(job_id, name, guest, stdin, (), kind)
        children = self.plan.aggregation(job_id).children
        claims = [(self.program(child).image_id, journal(child)) for child in children]
        stdin = aggregator_stdin(guest.image_id, claims)
        bare = tuple(Child(*claim, None) for claim in dict.fromkeys(claims))
        # A cached receipt of another aggregation, or a machine that computes wrongly, shows here
        # and not only at the root.
        expected = merkle.aggregate(guest.image_id, claims).encode()
        return ProofJob(job_id, name, guest, stdin, bare, kind, expected=expected)

    def name(self, job_id: int) -> str:
        """A job's name for people."""
        if job_id < self.plan.leaf_jobs:
            return f"leaf {job_id}"
        return f"aggregation {job_id} (level {self.plan.aggregation(job_id).level})"


@dataclass(frozen=True, slots=True)
class Root:
    """The verified result of an aggregated batch.

    Attributes:
        result: what the root's journal says.
        journal: its bytes.
        receipt_bytes: size of the encoded root receipt; 0 in execute mode.
        verify_s: seconds its verification took; 0.0 in execute mode.
    """

    result: AggregationResult
    journal: bytes
    receipt_bytes: int
    verify_s: float
