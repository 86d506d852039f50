"""The jobs of a batch that is being run: what each one is given, and what it has made."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from runner.batch.outcomes import Outcomes
from runner.model import Child, ProofJob, ReceiptKind

if TYPE_CHECKING:
    from collections.abc import Container

    from runner.batch.batch import Batch
    from runner.batch.lookup import Lookup
    from runner.batch.partial import Rest
    from runner.batch.remarks import Remarks
    from runner.batch.segment_jobs import SegmentJobs
    from runner.batch.segment_stream import RunStream
    from runner.batch.spool import Spool
    from runner.model import LongRun, Outcome

__all__ = ["BatchJobs"]


class BatchJobs:
    """The source of a batch's jobs and the sink of their outcomes; see :class:`~.executor.Jobs`.

    Args:
        batch: the batch.
        spool: the folder that keeps the receipts of this run until its end.
        lookup: the proof cache.
        parts: the parts of long runs.
        remarks: who is told what is worth knowing of a job.

    Attributes:
        batch: the batch, or what is left of it; see :meth:`go_on`.
        outcomes: the outcomes of the finished jobs.
    """

    def __init__(
        self, batch: Batch, spool: Spool, lookup: Lookup, parts: SegmentJobs, remarks: Remarks
    ) -> None:
        self.batch = batch
        self._spool = spool
        self._lookup = lookup
        self._parts = parts
        self._remarks = remarks
        self._positions = batch.plan.first_positions()
        self.outcomes = Outcomes()

    def go_on(self, rest: Rest) -> None:
        """Go on with what is left of the batch, of which all leaves have finished.

        Raises:
            OSError: a receipt of this run cannot be renamed.
        """
        self._spool.keep_only(rest.jobs)
        self.outcomes = self.outcomes.only({old: new for new, old in enumerate(rest.jobs)})
        self.batch, self._positions = rest.batch, rest.batch.plan.first_positions()

    def leaf_number(self, job_id: int) -> int | None:
        """The number of a job's leaf in the batch; None for an aggregation."""
        if job_id >= self.batch.plan.leaf_jobs:
            return None
        return self.batch.leaves[self._positions[job_id]].index

    # -- what the executor asks for ---------------------------------------------------------------

    def build(self, job_id: int) -> ProofJob:
        """Make a job; see :meth:`runner.executor.Jobs.build`."""
        job = self.batch.job(job_id, self._positions, lambda child: self.outcomes[child].journal)
        return self._parts.seeded(job)

    def load(self, job: ProofJob) -> ProofJob:
        """Add the data of a job; see :meth:`runner.executor.Jobs.load`."""
        job = self._parts.limited(job) if job.part is None else self._parts.load(job, job.part)
        if not job.children or job.kind is ReceiptKind.EXECUTE:
            return job
        elsewhere = self.batch.assumptions.get(job.id, ())
        children = {(one.image_id, one.journal): one for one in elsewhere}
        for child in self.batch.plan.children(job.id):
            done = self.outcomes[child]
            claim = (done.image_id, done.journal)
            if claim not in children:
                stored = self._spool.stored(child)
                receipt = self._spool.get(child) if stored is None else None
                children[claim] = Child(*claim, receipt, stored)
        return replace(job, children=tuple(children.values()))

    def lookup(self, job: ProofJob) -> Outcome | None:
        """Look a job up in the cache; see :meth:`runner.executor.Jobs.lookup`."""
        if job.part is None:
            return self._lookup.find(job)
        return self._parts.lookup(job, job.part)

    def cut(self, job: ProofJob, run: LongRun, wanted: Container[int]) -> RunStream:
        """Begin to cut a run; see :meth:`runner.executor.Jobs.cut`."""
        return self._parts.cut(job, run, wanted)

    def smaller(self, job: ProofJob) -> ProofJob | None:
        """The run of a job with smaller segments; see :meth:`runner.executor.Jobs.smaller`."""
        return self._parts.smaller(job, self.build)

    def forget(self, job_id: int) -> None:
        """Remove what is kept of a run; see :meth:`runner.executor.Jobs.forget`."""
        self._parts.forget(job_id)

    # -- what the executor gives ------------------------------------------------------------------

    def accept_part(self, job: ProofJob, outcome: Outcome) -> None:
        """Keep the receipt of a part; see :meth:`runner.executor.Jobs.accept_part`."""
        assert job.part is not None  # noqa: S101  # the executor says so
        self._remarks.made(job.name, outcome, looked_up=True)
        self._parts.accept(job, job.part, outcome)

    def accept(self, outcome: Outcome) -> None:
        """Keep an outcome; see :meth:`runner.executor.Jobs.accept`."""
        job_id = outcome.job_id
        name = self.batch.name(job_id)
        # A run of several segments was looked up before it was cut.
        self._remarks.made(name, outcome, looked_up=not outcome.parts)
        self._remarks.printed(name, self.leaf_number(job_id), outcome.printed)
        if outcome.stored is not None:
            self._spool.refer(job_id, outcome.stored)
            self.outcomes.receipt_bytes[job_id] = outcome.stored.size
        elif outcome.receipt is not None:
            # The cache comes first. If this run is stopped here, the next one still has the proof.
            if not outcome.cached:
                self._lookup.keep(self.build(job_id), outcome, outcome.receipt)
            self._spool.put(job_id, outcome.receipt)
            self.outcomes.receipt_bytes[job_id] = len(outcome.receipt)
        self._parts.finish(job_id)
        self.outcomes.put(outcome)
