"""What a worker elsewhere does with one job.

Guests and the children's receipts come by their digests, and its own receipt goes to the store. So
no receipt passes through the runner, and what is finished is kept although the runner may be gone.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import time
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from runner.cache.shared import SharedProofs
from runner.engines.engine import Host, threads_for
from runner.engines.station import workers_here
from runner.errors import (
    ArtifactLostError,
    ReceiptRejectedError,
    SegmentLostError,
    StoreError,
)
from runner.jobs.entries import (
    found,
    job_key,
    job_origin,
    part_key,
    part_kind,
    part_origin,
    verify_entry,
)
from runner.limits import cores
from runner.model import ReceiptKind, Stored, Visit
from runner.provers.prover import load_prover
from runner.provers.verifying import verify_part
from runner.provers.worker import perform
from runner.store.keep import Keep

if TYPE_CHECKING:
    from runner.jobs.site import Site
    from runner.model import Child, Outcome, Part, ProofJob
    from runner.provers.prover import Prover, ProverSpec
    from runner.store.artifacts import Artifacts

__all__ = ["Arrived", "arrived", "perform_elsewhere"]


@dataclass(frozen=True, slots=True)
class Arrived:
    """A site as this process has it.

    Attributes:
        spec: The spec of the prover, with the folder of the guests on this machine.
        folder: That folder.
        prover: The prover.
        artifacts: The store, or None.
        keep: What this machine keeps on its own disk.
    """

    spec: ProverSpec
    folder: str
    prover: Prover
    artifacts: Artifacts | None
    keep: Keep


class _Way:
    """Counts the bytes of one job on their way, and what went wrong there."""

    def __init__(self, there: Arrived) -> None:
        self._there = there
        self.fetched = self.kept = self.sent = 0
        self.trouble: list[str] = []

    def get(self, stored: Stored) -> bytes:
        """A blob from this machine's disk, or else from the store. Raises StoreError."""
        data = self._there.keep.get(stored.sha256)
        if data is not None:
            self.kept += len(data)
            return data
        if self._there.artifacts is None:
            raise StoreError("", f"there is no store to take {stored.sha256} from")
        data = self._there.artifacts.get(stored.sha256, stored.size)
        self.fetched += len(data)
        # A second attempt, or another parent, finds it on this machine.
        with contextlib.suppress(OSError):
            self._there.keep.put(data)
        return data

    def visit(self) -> Visit:
        return Visit(platform.node(), self.fetched, self.kept, self.sent, "; ".join(self.trouble))


@lru_cache(maxsize=4)
def arrived(site: Site) -> Arrived:
    """What a process needs for the jobs of a site. It is made once.

    Raises:
        InputError: The prover cannot be made here.
        StoreError: The files of the guests could not be had.
    """
    keep, artifacts = Keep(), site.artifacts()
    spec = site.arrive(keep, artifacts)
    assert spec.guests is not None  # noqa: S101  # `arrive` has set it
    return Arrived(spec, spec.guests, load_prover(spec), artifacts, keep)


def perform_elsewhere(site: Site, job: ProofJob) -> Outcome:
    """Make one proof, or find it in the store.

    Args:
        site: What is the same for all jobs of the batch.
        job: The job. Children that are stored come without their receipts, and parts without their
            data.

    Returns:
        The outcome. Its receipt is in the store, or comes with it where there is no store or where
        the store did not take it.

    Raises:
        ReceiptRejectedError: The receipt of a child, or the new receipt, does not verify.
        ProverError: The guest failed, or the proof could not be made.
        SegmentLostError: What the store should have of some segments is gone.
        StoreError: What the job needs could not be had.
    """
    there = arrived(site)
    way = _Way(there)
    job = replace(job, guest=site.here(job.guest, there.folder), threads=_threads(job))
    known = _look_up(there, job, way) if site.caches else None
    if known is not None:
        return known
    if job.part is not None:
        job = replace(job, part=_with_data(job.part, job.id, way))
    children = tuple(_with_receipt(child, way) for child in job.children)
    outcome = perform(there.spec, replace(job, children=children))
    return _depart(site, there, job, outcome, way)


def _threads(job: ProofJob) -> int:
    """The job's share of this machine's cores, which the runner's machine knows nothing of."""
    here = workers_here()
    if not (here and job.beside):
        return job.threads
    return threads_for([Host("here", cores(), here)], job.beside)


def _look_up(there: Arrived, job: ProofJob, way: _Way) -> Outcome | None:
    # A run that is put together from its segments was looked up as a whole before it was cut.
    makes_run = job.part is not None and job.part.last
    if there.artifacts is None or job.kind is ReceiptKind.EXECUTE or makes_run:
        return None
    started, key = time.time(), _key(there.prover, job)
    shared = SharedProofs(there.artifacts)
    try:
        entry = shared.get(key)
    except StoreError as error:
        way.trouble.append(error.reason)
        return None
    if entry is None:
        return None
    way.fetched += len(entry.data)
    clock = time.perf_counter()
    try:
        if job.part is None:
            journal = verify_entry(there.prover, job, key, entry.data, entry.made_from)
        else:
            journal, part = b"", _with_data(job.part, job.id, way)
            verify_part(there.prover, part, entry.data, f"cache entry {key[:16]}")
    except ReceiptRejectedError as error:
        way.trouble.append(str(error))
        with contextlib.suppress(StoreError):
            shared.drop(key)
        return None
    outcome = found(job, entry, journal, started, time.perf_counter() - clock)
    with contextlib.suppress(OSError):
        there.keep.put(entry.data)
    digest = hashlib.sha256(entry.data).hexdigest()
    stored = Stored(digest, len(entry.data), platform.node())
    return replace(outcome, receipt=None, stored=stored, worker=os.getpid(), visit=way.visit())


def _key(prover: Prover, job: ProofJob) -> str:
    return job_key(prover, job) if (part := _own(job)) is None else part_key(prover, part)


def _own(job: ProofJob) -> Part | None:
    """The part that the job makes, unless its receipt is that of the run."""
    return job.part if job.part is not None and not job.part.last else None


def _with_data(part: Part, job_id: int, way: _Way) -> Part:
    """A part with its data, which are a segment or receipts of segments."""
    data = list(part.data)
    for position, stored in enumerate(part.stored):
        if stored is None:
            continue
        try:
            data[position] = way.get(stored)
        except ArtifactLostError as error:
            lost = part.takes[position]
            raise SegmentLostError(job_id, lost.first, error.reason, lost.count) from None
    return replace(part, data=tuple(data), stored=())


def _with_receipt(child: Child, way: _Way) -> Child:
    if child.stored is None:
        return child
    return replace(child, receipt=way.get(child.stored), stored=None)


def _depart(site: Site, there: Arrived, job: ProofJob, outcome: Outcome, way: _Way) -> Outcome:
    """Give the receipt to the store, and leave it out of what goes back to the runner."""
    receipt = outcome.receipt
    if receipt is None or there.artifacts is None:
        return replace(outcome, visit=way.visit())
    try:
        if site.caches:
            part = _own(job)
            digest = SharedProofs(there.artifacts).put(
                _key(there.prover, job),
                receipt,
                # An image id is a digest too, so that no guest has that of a part.
                image_id=outcome.image_id if part is None else part.digest,
                kind=outcome.kind if part is None else part_kind(part),
                cycles=outcome.cycles,
                prove_s=outcome.prove_s,
                origin=job_origin(there.prover, job)
                if part is None
                else part_origin(there.prover, job, part),
            )
        else:
            digest = there.artifacts.put(receipt, new=True)
    except StoreError as error:
        # The proof may have taken minutes, and nothing but the way that it goes is lost.
        way.trouble.append(error.reason)
        return replace(outcome, visit=way.visit())
    way.sent += len(receipt)
    with contextlib.suppress(OSError):
        there.keep.put(receipt)
    stored = Stored(digest, len(receipt), platform.node())
    return replace(outcome, receipt=None, stored=stored, visit=way.visit())
