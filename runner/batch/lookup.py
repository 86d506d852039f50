"""The proof cache as a run uses it.

It is asked for jobs and gives verified outcomes, and it is given the proofs that the run makes.
"""

from __future__ import annotations

import contextlib
import logging
import time
from typing import TYPE_CHECKING

from runner.audit.observer import rejected
from runner.errors import CacheError, ReceiptRejectedError, SegmentLostError
from runner.jobs.entries import (
    found,
    job_key,
    job_origin,
    part_key,
    part_kind,
    part_origin,
    verify_entry,
)
from runner.provers.verifying import verify_part

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from runner.audit.trail import Trail
    from runner.batch.counters import RunCounters
    from runner.cache.cache import Cache
    from runner.cache.origins import Origin
    from runner.model import Outcome, Part, ProofJob, ReceiptKind
    from runner.provers.prover import Prover

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
        except ReceiptRejectedError as refused:
            self._refuse(job, key, refused, clock)
            return None
        self._counters.hit()
        return found(job, entry, journal, started, time.perf_counter() - clock)

    def find_part(self, job: ProofJob, part: Part, with_data: Callable[[], Part]) -> Outcome | None:
        """Look the receipt of a part of a run up. Any thread may call this.

        Args:
            job: the job that would make the part.
            part: the part.
            with_data: a function that returns the part with what its receipt is verified against.
                It may raise SegmentLostError.
        """
        started, clock = time.time(), time.perf_counter()
        key = part_key(self._prover, part)
        try:
            entry = self._cache.get(key)
            part = part if entry is None else with_data()
        except (CacheError, SegmentLostError) as error:
            log.warning("%s not looked up: %s", job.name, error)
            self._counters.error()
            return None
        if entry is None:
            self._counters.missed()
            return None
        try:
            verify_part(self._prover, part, entry.data, f"cache entry {key[:16]}")
        except ReceiptRejectedError as refused:
            self._refuse(job, key, refused, clock)
            return None
        self._counters.hit()
        return found(job, entry, b"", started, time.perf_counter() - clock)

    def _refuse(self, job: ProofJob, key: str, refused: ReceiptRejectedError, clock: float) -> None:
        """Set an entry aside that does not verify. The look-up began at ``clock``."""
        log.warning("%s; set aside, proving anew", refused)
        with contextlib.suppress(CacheError):
            self._cache.quarantine(key, str(refused))
        self._counters.rejected(time.perf_counter() - clock)
        self._trail.add(rejected(refused, job))

    def keep_part(self, job: ProofJob, part: Part, outcome: Outcome, receipt: bytes) -> None:
        """Keep the receipt of a part, as :meth:`keep` keeps that of a whole run."""
        self._put(
            job,
            part_key(self._prover, part),
            receipt,
            # An image id is a digest too, so that no guest has this one.
            image_id=part.digest,
            kind=part_kind(part),
            outcome=outcome,
            origin=part_origin(self._prover, job, part),
        )

    def release(self, parts: Iterable[Part]) -> None:
        """Let the receipts of parts go first that the cache has as a part of others."""
        if not self._cache.keeps:
            return
        try:
            self._cache.release([part_key(self._prover, part) for part in parts])
        except CacheError as error:
            log.warning("the receipts of segments stay in the cache: %s", error.reason)
            self._counters.error()

    def keep(self, job: ProofJob, outcome: Outcome, receipt: bytes) -> None:
        """Keep a proof in the cache. Where the cache fails, the batch goes on with its proof.

        Args:
            job: the job that was proved.
            outcome: the outcome of the job.
            receipt: the encoded receipt of the outcome.
        """
        self._put(
            job,
            job_key(self._prover, job),
            receipt,
            image_id=outcome.image_id,
            kind=outcome.kind,
            outcome=outcome,
            origin=job_origin(self._prover, job),
        )

    def _put(  # noqa: PLR0913  # what an entry has, all by keyword
        self,
        job: ProofJob,
        key: str,
        receipt: bytes,
        *,
        image_id: bytes,
        kind: ReceiptKind,
        outcome: Outcome,
        origin: Origin,
    ) -> None:
        try:
            evicted = self._cache.put(
                key,
                receipt,
                image_id=image_id,
                kind=kind,
                cycles=outcome.cycles,
                prove_s=outcome.prove_s,
                origin=origin,
            )
        except CacheError as error:
            log.warning("%s not cached: %s", job.name, error.reason)
            self._counters.error()
        else:
            self._counters.kept(evicted)
