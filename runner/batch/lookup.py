"""The proof cache as a run sees it: jobs in, verified outcomes out."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import time
from typing import TYPE_CHECKING

from runner.audit.observer import rejected
from runner.cache.keys import proof_key
from runner.cache.origins import Origin
from runner.errors import CacheError, ReceiptRejectedError
from runner.model import Outcome
from runner.provers.worker import verify_receipt

if TYPE_CHECKING:
    from runner.audit.trail import Trail
    from runner.batch.recording import Recording
    from runner.cache.cache import Cache
    from runner.model import ProofJob
    from runner.provers.prover import Prover

__all__ = ["Lookup", "job_key", "verify_entry"]

log = logging.getLogger(__name__)


class Lookup:
    """Finished proofs of earlier runs, by job.

    Args:
        cache: where they are kept.
        prover: verifies them, and tells what versions they are of.
        recording: of the run.
        trail: is told of entries that do not hold.
    """

    def __init__(self, cache: Cache, prover: Prover, recording: Recording, trail: Trail) -> None:
        self._cache = cache
        self._prover = prover
        self._recording = recording
        self._trail = trail

    def find(self, job: ProofJob) -> Outcome | None:
        """A hit is a receipt that verifies, nothing less; safe from any thread."""
        started = time.time()
        key = job_key(self._prover, job)
        try:
            entry = self._cache.get(key)
        except CacheError as error:
            log.warning("%s not looked up: %s", job.name, error.reason)
            self._recording.error()
            entry = None
        if entry is None:
            self._recording.missed()
            return None
        clock = time.perf_counter()
        try:
            journal = verify_entry(self._prover, job, key, entry.data)
        except ReceiptRejectedError as error:
            log.warning("%s; set aside, proving anew", error)
            with contextlib.suppress(CacheError):
                self._cache.quarantine(key, str(error))
            self._recording.rejected(time.perf_counter() - clock)
            self._trail.add(rejected(error, job))
            return None
        self._recording.hit()
        return Outcome(
            job_id=job.id,
            image_id=job.guest.image_id,
            journal=journal,
            receipt=entry.data,
            kind=job.kind,
            cycles=entry.cycles,
            prove_s=0.0,
            verify_s=time.perf_counter() - clock,
            verifications=1,
            worker=0,
            started=started,
            finished=time.time(),
            cached=True,
            attempts=0,
        )

    def keep(self, job: ProofJob, outcome: Outcome, receipt: bytes) -> None:
        """Into the cache; a cache that fails must not cost a batch its finished proof."""
        try:
            evicted = self._cache.put(
                job_key(self._prover, job),
                receipt,
                image_id=outcome.image_id,
                kind=outcome.kind,
                cycles=outcome.cycles,
                prove_s=outcome.prove_s,
                origin=self._origin(job),
            )
        except CacheError as error:
            log.warning("%s not cached: %s", job.name, error.reason)
            self._recording.error()
        else:
            self._recording.kept(evicted)

    def _origin(self, job: ProofJob) -> Origin:
        versions = self._prover.versions
        return Origin(
            guest=job.guest.name,
            stdin=hashlib.sha256(job.stdin).hexdigest(),
            zkvm=versions.zkvm,
            zkvm_version=versions.zkvm_version,
            children=len(job.children),
        )


def job_key(prover: Prover, job: ProofJob) -> str:
    """What the cache calls the proof of a job."""
    versions = prover.versions
    return proof_key(
        zkvm=versions.zkvm,
        zkvm_version=versions.zkvm_version,
        kind=job.kind,
        image_id=job.guest.image_id,
        stdin=job.stdin,
    )


def verify_entry(prover: Prover, job: ProofJob, key: str, data: bytes) -> bytes:
    """The journal of a cache entry that is the proof of a job, and nothing less.

    Raises:
        ReceiptRejectedError: it does not verify, or is of another kind.
    """
    what = f"cache entry {key[:16]}"
    journal = verify_receipt(prover, data, job.guest.image_id, job.expected, what)
    found = prover.describe(data).kind
    if found != job.kind.value:
        raise ReceiptRejectedError(what, f"it is a {found} receipt")
    return journal
