"""The batch: its leaves, its plan and the job behind each node of the plan."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from runner.model import Child, ProofJob, ReceiptKind
from runner.plan import merkle
from runner.plan.journal import AggregationResult, aggregator_stdin

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from runner.model import Guest, Leaf
    from runner.plan.plan import Plan
    from runner.provers.prover import ProverSpec

__all__ = ["Batch", "Root"]


# The class has no slots because ``_guests`` is computed once and kept on the instance.
@dataclass(frozen=True)
class Batch:
    """A batch that is to be proved.

    Attributes:
        guest: the guest that runs at every leaf that names no other.
        combiner: the guest that runs at every aggregation. It may be None if there is none.
        leaves: the leaves by their position in the batch.
        plan: the plan over the distinct runs among the leaves.
        prover: the prover that makes the receipts, as workers construct it.
        others: the further guests of the leaves that name one, by their names.
        assumptions: the verified receipts from elsewhere that a leaf's guest may take as proved, by
            the id of the leaf's job.
    """

    guest: Guest
    combiner: Guest | None
    leaves: Sequence[Leaf]
    plan: Plan
    prover: ProverSpec
    others: Mapping[str, Guest] = field(default_factory=dict)
    assumptions: Mapping[int, tuple[Child, ...]] = field(default_factory=dict)

    @property
    def guest_names(self) -> str:
        """The names of the leaves' guests for people."""
        return " and ".join([self.guest.name, *self.others])

    @cached_property
    def _guests(self) -> Sequence[Guest]:
        """The guest of each leaf job, by its id."""
        firsts = self.plan.first_positions() if self.others else ()
        return [self.others.get(self.leaves[first].guest, self.guest) for first in firsts]

    @property
    def aggregator(self) -> Guest:
        """The guest that runs at every aggregation, in a batch that has aggregations."""
        if self.combiner is None:
            raise TypeError("a batch with aggregations was made without an aggregator")
        return self.combiner

    @property
    def guests(self) -> tuple[Guest, ...]:
        """All guests of the batch, with the aggregator last if there is one."""
        combiner = () if self.combiner is None else (self.combiner,)
        return (self.guest, *self.others.values(), *combiner)

    def kind(self, job_id: int) -> ReceiptKind:
        """The kind of receipt that a job makes.

        Only the result of the batch is wrapped in Groth16. A Groth16 receipt cannot be an
        assumption, so the jobs below the root make succinct ones.
        """
        wanted = self.prover.kind
        if wanted is ReceiptKind.GROTH16 and self.plan.root not in (None, job_id):
            return ReceiptKind.SUCCINCT
        return wanted

    def program(self, job_id: int) -> Guest:
        """The guest that a job runs."""
        if job_id >= self.plan.leaf_jobs:
            return self.aggregator
        return self._guests[job_id] if self.others else self.guest

    def job(
        self, job_id: int, positions: Sequence[int], journal: Callable[[int], bytes]
    ) -> ProofJob:
        """Make a job, without its children's receipts.

        A job whose proof is in the cache never needs them.

        Args:
            job_id: the id of the job in the plan.
            positions: for each leaf job by its id, a batch position that asks for it.
            journal: a function that returns the journal of a child by the child's job id.
        """
        name, guest, kind = self.name(job_id), self.program(job_id), self.kind(job_id)
        children = self.plan.children(job_id)
        claims = [(self.program(child).image_id, journal(child)) for child in children]
        if job_id < self.plan.leaf_jobs:
            stdin = self.leaves[positions[job_id]].stdin
            claims += [(one.image_id, one.journal) for one in self.assumptions.get(job_id, ())]
            bare = tuple(Child(*claim, None) for claim in dict.fromkeys(claims))
            return ProofJob(job_id, name, guest, stdin, bare, kind)
        stdin = aggregator_stdin(guest.image_id, claims)
        bare = tuple(Child(*claim, None) for claim in dict.fromkeys(claims))
        # Each receipt is compared with this journal, so that a cached receipt of another
        # aggregation, or a machine that computes wrongly, is found before the root.
        expected = merkle.aggregate(guest.image_id, claims).encode()
        return ProofJob(job_id, name, guest, stdin, bare, kind, expected=expected)

    def name(self, job_id: int) -> str:
        """The name of a job for people."""
        return self.plan.job_name(job_id)


@dataclass(frozen=True, slots=True)
class Root:
    """The verified result of an aggregated batch.

    Attributes:
        result: the decoded journal of the root.
        journal: the bytes of that journal.
        receipt_bytes: the size of the encoded root receipt, or 0 in execute mode.
        verify_s: the seconds that its verification took, or 0.0 in execute mode.
    """

    result: AggregationResult
    journal: bytes
    receipt_bytes: int
    verify_s: float
