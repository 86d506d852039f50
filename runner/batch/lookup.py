"""The proof cache as a run uses it.

It is asked for jobs and gives verified outcomes, and it is given the proofs that the run makes.
"""

from __future__ import annotations

import contextlib
import logging
import time
from typing import TYPE_CHECKING

from runner.audit.observer import rejected
from runner.errors import CacheError, ReceiptRejectedError
from runner.jobs.entries import found, job_key, job_origin, verify_entry

if TYPE_CHECKING:
    from runner.audit.trail import Trail
    from runner.batch.counters import RunCounters
    from runner.cache.cache import Cache
    from runner.model import Outcome, ProofJob
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
        except ReceiptRejectedError as error:
            log.warning("%s; set aside, proving anew", error)
            with contextlib.suppress(CacheError):
                self._cache.quarantine(key, str(error))
            self._counters.rejected(time.perf_counter() - clock)
            self._trail.add(rejected(error, job))
            return None
        self._counters.hit()
        return found(job, entry, journal, started, time.perf_counter() - clock)

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
