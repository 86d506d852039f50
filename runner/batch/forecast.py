"""What a run would take from the cache and what it would prove, job by job, and why.

Entries of the cache are verified as in a run, because only a receipt that verifies is a hit. What
can be looked up depends on which journals are known. A leaf's journal is known only from its
receipt. The journal of an aggregation follows from those of its leaves, and its key in the cache
from those of its children. Therefore an aggregation is looked up if all leaves below it are hits,
whether or not the aggregations below it are. What becomes of the other aggregations is not known
until their children are proved.
"""

from __future__ import annotations

import hashlib
import statistics
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

from runner.errors import ReceiptRejectedError
from runner.jobs.entries import job_key, verify_entry
from runner.plan.journal import aggregator_stdin
from runner.provers.guests import AGGREGATOR

if TYPE_CHECKING:
    from runner.batch.batch import Batch
    from runner.cache.cache import CacheView
    from runner.cache.origins import ProofVariant
    from runner.model import ProofJob, ReceiptKind
    from runner.provers.prover import Prover

__all__ = ["Decision", "Forecast", "MeasuredTimes", "Reason"]


class Reason(StrEnum):
    """Why a job would be proved, why it would not, or why that is not known.

    Attributes:
        HIT: the cache has the job's proof, and it verifies.
        NO_ENTRY: the cache has no entry for the job.
        DIFFERS: the cache has a proof for the same input, but of another image id, kind of receipt
            or zkVM version.
        DAMAGED: the entry is damaged.
        REJECTED: the entry does not verify.
        SET_ASIDE: the entry was set aside earlier, because it was damaged or did not verify.
        NOT_LOOKED_UP: the run looks nothing up in a cache.
        CHILDREN_FIRST: the job cannot be looked up before some of its children are proved.
    """

    HIT = "hit"
    NO_ENTRY = "no_entry"
    DIFFERS = "differs"
    DAMAGED = "damaged"
    REJECTED = "rejected"
    SET_ASIDE = "set_aside"
    NOT_LOOKED_UP = "not_looked_up"
    CHILDREN_FIRST = "children_first"


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of one job, and why.

    Attributes:
        job_id: the id of the job in the plan.
        reason: why the job is proved or not, or why that is not known.
        detail: the reason in words, without the job's name.
        key: the key of the job's proof in the cache, or None if it is not known or nothing is
            looked up.
        differs: what is different in the nearest entry, for :attr:`Reason.DIFFERS`: one or more of
            ``image_id``, ``kind`` and ``zkvm_version``.
        waits_for: the job ids of the children whose journals are not known, for
            :attr:`Reason.CHILDREN_FIRST`.
        journal: the journal that the job commits, or None if it is not known.
    """

    job_id: int
    reason: Reason
    detail: str
    key: str | None = None
    differs: tuple[str, ...] = ()
    waits_for: tuple[int, ...] = ()
    journal: bytes | None = None


@dataclass(frozen=True, slots=True)
class MeasuredTimes:
    """The times of the newest measured proofs that are like a job's.

    Attributes:
        proofs: the number of these proofs.
        mean_s: the mean of their wall seconds.
        least_s: the wall seconds of the shortest of them.
        most_s: the wall seconds of the longest of them.
        exact: whether they had as many children as the job has. A leaf has none.
    """

    proofs: int
    mean_s: float
    least_s: float
    most_s: float
    exact: bool


class Forecast:
    """Decides what would become of every job of a batch.

    Args:
        batch: the batch that would be run.
        prover: the prover that verifies entries of the cache.
        view: the view of the cache, or None if the run would look nothing up.
        threads: the number of threads that look entries up and verify them.
    """

    def __init__(self, batch: Batch, prover: Prover, view: CacheView | None, threads: int) -> None:
        self._batch = batch
        self._prover = prover
        self._view = view
        self._threads = threads
        self._positions = batch.plan.first_positions()
        self._journals: dict[int, bytes] = {}
        self._times: dict[tuple[bytes, ReceiptKind, int], MeasuredTimes | None] = {}

    def decide(self) -> list[Decision]:
        """Decide about every job, in the order of the job ids.

        Raises:
            CacheError: the cache cannot be read.
        """
        plan, view = self._batch.plan, self._view
        if view is None:
            detail = "nothing is looked up"
            return [Decision(job, Reason.NOT_LOOKED_UP, detail) for job in range(plan.jobs)]
        levels = plan.leaf_waves()
        below = len(levels) - 1
        for aggregation in plan.aggregations:
            if below + aggregation.level == len(levels):
                levels.append([])
            levels[below + aggregation.level].append(aggregation.id)
        found: list[Decision] = []
        with ThreadPoolExecutor(self._threads, "lookup") as pool:
            for jobs in levels:
                # The threads read the journals of the levels below while they decide about this
                # one, so its own journals are added when all threads are done.
                decisions = list(pool.map(lambda job: self._decide(view, job), jobs))
                for decision in decisions:
                    if decision.journal is not None:
                        self._journals[decision.job_id] = decision.journal
                found += decisions
        return sorted(found, key=lambda decision: decision.job_id)

    def measured(self, job_id: int) -> MeasuredTimes | None:
        """The times of proofs like a job's, or None if none was measured.

        Proofs of the same guest and kind with as many children are preferred to those with any
        number of children.
        """
        plan, view = self._batch.plan, self._view
        if view is None:
            return None
        children = len(set(plan.children(job_id))) + len(self._batch.assumptions.get(job_id, ()))
        like = (self._batch.program(job_id).image_id, self._batch.kind(job_id), children)
        if like not in self._times:
            times = view.prove_times(*like)
            exact = bool(times) or not children
            times = times or view.prove_times(*like[:2])
            self._times[like] = _summed_up(times, exact=exact)
        return self._times[like]

    def _decide(self, view: CacheView, job_id: int) -> Decision:
        children = dict.fromkeys(self._batch.plan.children(job_id))
        unknown = tuple(child for child in children if child not in self._journals)
        if unknown:
            detail = "children must be proved first"
            return Decision(job_id, Reason.CHILDREN_FIRST, detail, waits_for=unknown)
        job = self._batch.job(job_id, self._positions, self._journals.__getitem__)
        key = job_key(self._prover, job)
        found = view.find(key)
        if found.fault:
            return Decision(job_id, Reason.DAMAGED, found.fault, key, journal=job.expected)
        if found.data is None:
            reason, detail, differs = self._explain(view, job, key)
            return Decision(job_id, reason, detail, key, differs, journal=job.expected)
        try:
            journal = verify_entry(self._prover, job, key, found.data, found.made_from)
        except ReceiptRejectedError as error:
            return Decision(job_id, Reason.REJECTED, error.reason, key, journal=job.expected)
        return Decision(job_id, Reason.HIT, "in the cache, verified", key, journal=journal)

    def _explain(
        self, view: CacheView, job: ProofJob, key: str
    ) -> tuple[Reason, str, tuple[str, ...]]:
        """Find out why the cache has no entry for a job.

        Returns:
            The reason, the reason in words, and what is different in the nearest entry.
        """
        fault = view.quarantine_reason(key)
        if fault is not None:
            return Reason.SET_ASIDE, f"set aside earlier: {fault}", ()
        variants = [*view.variants(job.guest.name, hashlib.sha256(job.stdin).hexdigest())]
        if job.id >= self._batch.plan.leaf_jobs:
            for build in self._builds:
                stdin = self._stdin_for(job.id, build)
                variants += view.variants(job.guest.name, hashlib.sha256(stdin).hexdigest())
        told = [differences for one in variants if (differences := self._differences(job, one))]
        if not told:
            return Reason.NO_ENTRY, "no entry", ()
        nearest = min(told, key=len)
        return Reason.DIFFERS, f"an entry has {', '.join(nearest.values())}", tuple(nearest)

    def _differences(self, job: ProofJob, entry: ProofVariant) -> dict[str, str]:
        """What is different between a job and an entry for the same input, in words."""
        versions = self._prover.versions
        found = {}
        own = job.guest.image_id.hex()
        if entry.image_id != own:
            found["image_id"] = f"image id {entry.image_id[:8]}... (not {own[:8]}...)"
        if entry.kind != job.kind.value:
            found["kind"] = f"a {entry.kind} receipt (not {job.kind.value})"
        there = f"{entry.zkvm} {entry.zkvm_version}"
        here = f"{versions.zkvm} {versions.zkvm_version}"
        if there != here:
            found["zkvm_version"] = f"{there} (not {here})"
        return found

    @cached_property
    def _builds(self) -> list[bytes]:
        """The image ids of other builds of the aggregator whose proofs are in the cache."""
        view, own = self._view, self._batch.aggregator.image_id
        builds = [bytes.fromhex(build) for build in view.builds(AGGREGATOR)] if view else []
        return [build for build in builds if build != own and len(build) == 32]

    def _stdin_for(self, job_id: int, build: bytes) -> bytes:
        """The input that another build of the aggregator would have had for the same job.

        The aggregator reads its own image id, which is also in the journals of the aggregations
        below. Nothing else in its input depends on the build.

        Args:
            job_id: the id of the aggregation.
            build: the image id of the other build.
        """
        own, claims = self._batch.aggregator.image_id, []
        for child in self._batch.plan.aggregation(job_id).children:
            image_id, journal = self._batch.program(child).image_id, self._journals[child]
            aggregates = image_id == own
            claims.append((build, build + journal[32:]) if aggregates else (image_id, journal))
        return aggregator_stdin(build, claims)


def _summed_up(times: list[float], *, exact: bool) -> MeasuredTimes | None:
    if not times:
        return None
    return MeasuredTimes(len(times), statistics.fmean(times), min(times), max(times), exact)
