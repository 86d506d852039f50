"""The parts of long runs, as a run's jobs: their data, their receipts, and how they are cut."""

from __future__ import annotations

import functools
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from runner.batch.seed import seed_for
from runner.batch.segment_stream import RunStream
from runner.jobs.entries import job_key
from runner.model import ReceiptKind, Step
from runner.provers.segments import SegmentProver

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from runner.batch.lookup import Lookup
    from runner.batch.segment_store import SegmentStore
    from runner.model import LongRun, Outcome, Part, ProofJob, Span, Stored
    from runner.provers.prover import Prover

__all__ = ["SegmentJobs"]

log = logging.getLogger(__name__)


class SegmentJobs:
    """Makes the jobs of long runs whole, and keeps what they give.

    Args:
        prover: the prover, which may have no segments.
        segments: the folder that keeps segments and their receipts.
        lookup: the proof cache.
        secret: what the seeds of long runs are made from; None where no run is cut.

    Attributes:
        ahead: the number of segments that wait on the disk at most.
    """

    def __init__(
        self, prover: Prover, segments: SegmentStore, lookup: Lookup, secret: bytes | None
    ) -> None:
        self._prover = prover
        self._segments = segments
        self._lookup = lookup
        self._secret = secret
        # The parts of each run whose receipts no other one takes the place of in the cache.
        self._kept: dict[int, dict[Span, Part]] = {}
        self._most_po2 = 0  # the largest segment for which there may be the memory; 0 for any
        self.ahead = 0

    def seeded(self, job: ProofJob) -> ProofJob:
        """The job with the seed that lets its run be cut, if it may be cut."""
        if (
            self._secret is None
            or job.kind is ReceiptKind.EXECUTE
            or not isinstance(self._prover, SegmentProver)
        ):
            return job
        return replace(job, seed=seed_for(self._secret, job_key(self._prover, job)))

    def load(self, job: ProofJob, part: Part) -> ProofJob:
        """Add the data of a part. What only its run needs is left out.

        Raises:
            SegmentLostError: what was kept of some segments cannot be used.
        """
        part = self._with_data(job, part)
        if part.last:
            return replace(job, part=part)
        return replace(job, part=part, stdin=b"", children=())

    def lookup(self, job: ProofJob, part: Part) -> Outcome | None:
        """Look the receipt of a part up in the cache. Any thread may call this."""
        return self._lookup.find_part(job, part, lambda: self._with_data(job, part))

    def _with_data(self, job: ProofJob, part: Part) -> Part:
        """A part with its segment, or with the receipts that it takes, or where these are."""
        there: tuple[Stored | None, ...]
        if part.step is not Step.SEGMENT:
            data = self._segments.receipts(job.id, part.takes)
            there = self._segments.stored_receipts(job.id, part.takes)
        elif (stored := self._segments.stored(part.digest)) is not None:
            data, there = (b"",), (stored,)
        else:
            data = (self._segments.segment(job.id, part.span.first, part.digest),)
            there = ()
        return replace(part, data=data, stored=there if any(there) else ())

    def cut(self, job: ProofJob, run: LongRun, wanted: Container[int]) -> RunStream:
        """Begin to cut a run; see :meth:`runner.executor.Jobs.cut`."""
        assert isinstance(self._prover, SegmentProver)  # noqa: S101  # it has executed the run
        # A page of memory has 1024 bytes and takes more than 1024 cycles to load, so that a segment
        # has fewer bytes than cycles.
        most = self.ahead << max(run.sizes)
        log.info(
            "%s: at most %d segments wait on the disk, with at most %d MiB together",
            job.name,
            self.ahead,
            -(-most // 2**20),
        )
        keep = functools.partial(self._segments.put_segment, job.id)
        return RunStream(self._prover, job, run, wanted, keep)

    def smaller(self, job: ProofJob, whole: Callable[[int], ProofJob]) -> ProofJob | None:
        """The run of a job with smaller segments; see :meth:`runner.executor.Jobs.smaller`.

        Args:
            job: the job, which may be a part of the run.
            whole: makes the job of the whole run.
        """
        if not job.seed or not isinstance(self._prover, SegmentProver):
            return None
        sizes = self._prover.segment_sizes
        if job.part is None:  # the run may be smaller than its limit, and nobody knows how large
            now = min(sizes[-1] - job.halvings, job.most_po2 or sizes[-1])
        else:
            now = job.part.po2
        if now <= sizes[0]:
            return None
        if job.part is not None:
            self._learn(now - 1)
        most = now - 1 if job.part is not None or job.most_po2 else 0
        return replace(whole(job.id), halvings=job.halvings + 1, most_po2=most)

    def limited(self, job: ProofJob) -> ProofJob:
        """The job of a whole run, with the limit that other runs of the batch have met."""
        if not job.seed or not self._most_po2:
            return job
        return replace(job, most_po2=min(job.most_po2 or self._most_po2, self._most_po2))

    def split(self, run: LongRun, executed: Outcome) -> None:
        """Note that a run is cut, which may be smaller than the settings say."""
        if executed.halvings:
            self._learn(max(run.sizes))

    def _learn(self, most_po2: int) -> None:
        """Cut all runs that start from now on at most so large."""
        if not self._most_po2 or most_po2 < self._most_po2:
            self._most_po2 = most_po2
            log.warning(
                "memory was short: from now on, runs are cut into segments of at most 2^%d",
                most_po2,
            )

    def accept(self, job: ProofJob, part: Part, outcome: Outcome) -> None:
        """Keep the receipt that a part has made. What it is made from may leave the cache."""
        self._keep(job, part, outcome)
        kept = self._kept.setdefault(job.id, {})
        if part.step is not Step.SEGMENT:
            self._lookup.release([kept.pop(span) for span in part.takes if span in kept])
        kept[part.span] = replace(part, data=(), stored=())

    def _keep(self, job: ProofJob, part: Part, outcome: Outcome) -> None:
        if outcome.stored is not None:
            self._segments.refer(job, part, outcome.stored)
            return
        assert outcome.receipt is not None  # noqa: S101  # the worker has verified it
        # The cache comes first. If this run is stopped here, the next one still has the receipt.
        if not outcome.cached:
            self._lookup.keep_part(job, part, outcome, outcome.receipt)
        self._segments.put_receipt(job, part, outcome.receipt)

    def finish(self, job_id: int) -> None:
        """Remove what is kept of the parts of a job whose receipt is there."""
        if (kept := self._kept.pop(job_id, None)) is not None:
            self._lookup.release(kept.values())
        self._segments.drop(job_id)

    def forget(self, job_id: int) -> None:
        """Remove what is kept of a run that is cut anew. Its receipts stay in the cache."""
        self._kept.pop(job_id, None)
        self._segments.drop(job_id)
