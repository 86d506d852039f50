"""The proof cache as a run uses it.

It is asked for jobs and gives verified outcomes, and it is given the proofs that the run makes.
"""

from __future__ import annotations

import contextlib
import logging
import time
from typing import TYPE_CHECKING

from runner.audit.observer import rejected
from runner.errors import CacheError, ProverError, ReceiptRejectedError, SegmentLostError
from runner.jobs.entries import (
    found,
    job_key,
    job_origin,
    segment_key,
    segment_origin,
    verify_entry,
)
from runner.model import ReceiptKind

if TYPE_CHECKING:
    from runner.audit.trail import Trail
    from runner.batch.counters import RunCounters
    from runner.batch.segment_store import SegmentStore
    from runner.cache.cache import Cache
    from runner.model import Outcome, Part, ProofJob
    from runner.provers.prover import Prover
    from runner.provers.segments import SegmentProver

__all__ = ["Lookup"]

log = logging.getLogger(__name__)


class Lookup:
    """The proofs of earlier runs, looked up by job.

    Args:
        cache: the proof cache.
        prover: the prover that verifies entries, and whose versions are part of their keys.
        counters: the counters of the run, which are told of hits and misses.
        trail: the audit trail of the run, which is told of entries that do not verify.
    """

    def __init__(self, cache: Cache, prover: Prover, counters: RunCounters, trail: Trail) -> None:
        self._cache = cache
        self._prover = prover
        self._counters = counters
        self._trail = trail

    def find(self, job: ProofJob) -> Outcome | None:
        """Look a job up. Any thread may call this.

        An entry whose receipt does not verify is set aside, and counts as a miss. So does an entry
        that the cache could not read.

        Returns:
            The outcome with its verified receipt, or None if the job has to be proved.
        """
        started = time.time()
        key = job_key(self._prover, job)
        try:
            entry = self._cache.get(key)
        except CacheError as error:
            log.warning("%s not looked up: %s", job.name, error.reason)
            self._counters.error()
            entry = None
        if entry is None:
            self._counters.missed()
            return None
        clock = time.perf_counter()
        try:
            journal = verify_entry(self._prover, job, key, entry.data, entry.made_from)
        except ReceiptRejectedError as error:
            log.warning("%s; set aside, proving anew", error)
            with contextlib.suppress(CacheError):
                self._cache.quarantine(key, str(error))
            self._counters.rejected(time.perf_counter() - clock)
            self._trail.add(rejected(error, job))
            return None
        self._counters.hit()
        return found(job, entry, journal, started, time.perf_counter() - clock)

    def find_segment(
        self, job: ProofJob, part: Part, prover: SegmentProver, store: SegmentStore
    ) -> Outcome | None:
        """Look the receipt of one segment up. Any thread may call this.

        Args:
            job: the job that would prove the segment.
            part: the part that the job makes.
            prover: the prover that verifies the receipt.
            store: the folder that has the segment.
        """
        started, clock = time.time(), time.perf_counter()
        key = segment_key(self._prover, part)
        try:
            entry = self._cache.get(key)
            segment = None if entry is None else store.segment(job.id, part.index or 0, part.digest)
        except (CacheError, SegmentLostError) as error:
            log.warning("%s not looked up: %s", job.name, error)
            self._counters.error()
            return None
        if entry is None or segment is None:
            self._counters.missed()
            return None
        try:
            prover.verify_segment(entry.data, segment)
        except ProverError as error:
            refused = ReceiptRejectedError(f"cache entry {key[:16]}", str(error))
            log.warning("%s; set aside, proving anew", refused)
            with contextlib.suppress(CacheError):
                self._cache.quarantine(key, str(refused))
            self._counters.rejected(time.perf_counter() - clock)
            self._trail.add(rejected(refused, job))
            return None
        self._counters.hit()
        return found(job, entry, b"", started, time.perf_counter() - clock)

    def keep_segment(self, job: ProofJob, outcome: Outcome, receipt: bytes) -> None:
        """Keep the receipt of a segment, as :meth:`keep` keeps that of a whole run."""
        assert job.part is not None  # noqa: S101  # the executor says so
        try:
            evicted = self._cache.put(
                segment_key(self._prover, job.part),
                receipt,
                # An image id is a digest too, so that no guest has this one.
                image_id=job.part.digest,
                kind=ReceiptKind.COMPOSITE,
                cycles=outcome.cycles,
                prove_s=outcome.prove_s,
                origin=segment_origin(self._prover, job, job.part),
            )
        except CacheError as error:
            log.warning("%s not cached: %s", job.name, error.reason)
            self._counters.error()
        else:
            self._counters.kept(evicted)

    def keep(self, job: ProofJob, outcome: Outcome, receipt: bytes) -> None:
        """Keep a proof in the cache. Where the cache fails, the batch goes on with its proof.

        Args:
            job: the job that was proved.
            outcome: the outcome of the job.
            receipt: the encoded receipt of the outcome.
        """
        try:
            evicted = self._cache.put(
                job_key(self._prover, job),
                receipt,
                image_id=outcome.image_id,
                kind=outcome.kind,
                cycles=outcome.cycles,
                prove_s=outcome.prove_s,
                origin=job_origin(self._prover, job),
            )
        except CacheError as error:
            log.warning("%s not cached: %s", job.name, error.reason)
            self._counters.error()
        else:
            self._counters.kept(evicted)
