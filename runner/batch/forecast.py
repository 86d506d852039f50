"""What a run would take from the cache and what it would prove, job by job, and why.

Entries of the cache are verified as in a run, for only a receipt that verifies is a hit. A leaf's
journal is only known from its receipt; an aggregation's follows from its leaves' journals, and its
key from its children's. So an aggregation is looked up if all leaves below it are hits, whether or
not the aggregations below it are. The others are left open until their children are proved.
"""

from __future__ import annotations

import hashlib
import statistics
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

from runner.batch.lookup import job_key, verify_entry
from runner.errors import ReceiptRejectedError
from runner.plan.journal import aggregator_stdin
from runner.provers.guests import AGGREGATOR

if TYPE_CHECKING:
    from runner.batch.batch import Batch
    from runner.cache.cache import CacheView
    from runner.cache.origins import Made
    from runner.model import ProofJob, ReceiptKind
    from runner.provers.prover import Prover

__all__ = ["Decision", "Forecast", "Measured", "Why"]


class Why(StrEnum):
    """What is to become of a job, and why."""

    HIT = "hit"
    NO_ENTRY = "no_entry"
    DIFFERS = "differs"  # an entry for this input has another image id, kind or zkVM version
    DAMAGED = "damaged"
    REJECTED = "rejected"
    SET_ASIDE = "set_aside"  # earlier, because it was damaged or did not verify
    NOT_LOOKED_UP = "not_looked_up"
    CHILDREN_FIRST = "children_first"


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to become of one job.

    Attributes:
        job_id: of the plan.
        why: a hit, a reason to prove it, or ``children_first``: not known yet.
        detail: the reason in words, without the job's name.
        key: in the cache; None where it is not known, or nothing is looked up.
        differs: of :attr:`Why.DIFFERS`: ``image_id``, ``kind``, ``zkvm_version``.
        waits_for: of :attr:`Why.CHILDREN_FIRST`: the children whose journals are not known.
        journal: what it commits, where that is known.
    """

    job_id: int
    why: Why
    detail: str
    key: str | None = None
    differs: tuple[str, ...] = ()
    waits_for: tuple[int, ...] = ()
    journal: bytes | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """What earlier proofs like one took.

    Attributes:
        proofs: measured, the newest.
        mean_s: of their wall seconds; ``least_s`` and ``most_s`` likewise.
        exact: whether they had as many children; a leaf has none.
    """

    proofs: int
    mean_s: float
    least_s: float
    most_s: float
    exact: bool


class Forecast:
    """Decides about every job of a batch.

    Args:
        batch: to be run.
        prover: verifies entries.
        view: of the cache; None where a run looks nothing up.
        threads: that verify side by side.
    """

    def __init__(self, batch: Batch, prover: Prover, view: CacheView | None, threads: int) -> None:
        self._batch = batch
        self._prover = prover
        self._view = view
        self._threads = threads
        self._positions = batch.plan.first_positions()
        self._journals: dict[int, bytes] = {}
        self._times: dict[tuple[bytes, ReceiptKind, int], Measured | None] = {}

    def decide(self) -> list[Decision]:
        """A decision for every job, by id.

        Raises:
            CacheError: the cache cannot be read.
        """
        plan, view = self._batch.plan, self._view
        if view is None:
            detail = "nothing is looked up"
            return [Decision(job, Why.NOT_LOOKED_UP, detail) for job in range(plan.jobs)]
        levels: list[list[int]] = [list(range(plan.leaf_jobs))]
        for aggregation in plan.aggregations:
            if aggregation.level == len(levels):
                levels.append([])
            levels[aggregation.level].append(aggregation.id)
        found: list[Decision] = []
        with ThreadPoolExecutor(self._threads, "lookup") as pool:
            for jobs in levels:
                # Journals of a level are entered when all of it has been looked at.
                decisions = list(pool.map(lambda job: self._decide(view, job), jobs))
                for decision in decisions:
                    if decision.journal is not None:
                        self._journals[decision.job_id] = decision.journal
                found += decisions
        return sorted(found, key=lambda decision: decision.job_id)

    def measured(self, job_id: int) -> Measured | None:
        """What proofs like this job's took; None where none was measured."""
        plan, view = self._batch.plan, self._view
        if view is None:
            return None
        children = 0
        if job_id >= plan.leaf_jobs:
            children = len(set(plan.aggregation(job_id).children))
        like = (self._batch.program(job_id).image_id, self._batch.kind(job_id), children)
        if like not in self._times:
            times = view.prove_times(*like)
            exact = bool(times) or not children
            times = times or view.prove_times(*like[:2])
            self._times[like] = _summed_up(times, exact=exact)
        return self._times[like]

    def _decide(self, view: CacheView, job_id: int) -> Decision:
        if job_id >= self._batch.plan.leaf_jobs:
            children = dict.fromkeys(self._batch.plan.aggregation(job_id).children)
            unknown = tuple(child for child in children if child not in self._journals)
            if unknown:
                return Decision(
                    job_id, Why.CHILDREN_FIRST, "children must be proved first", waits_for=unknown
                )
        job = self._batch.job(job_id, self._positions, self._journals.__getitem__)
        key = job_key(self._prover, job)
        found = view.find(key)
        if found.fault:
            return Decision(job_id, Why.DAMAGED, found.fault, key, journal=job.expected)
        if found.data is None:
            why, detail, differs = self._explain(view, job, key)
            return Decision(job_id, why, detail, key, differs, journal=job.expected)
        try:
            journal = verify_entry(self._prover, job, key, found.data)
        except ReceiptRejectedError as error:
            return Decision(job_id, Why.REJECTED, error.reason, key, journal=job.expected)
        return Decision(job_id, Why.HIT, "in the cache, verified", key, journal=journal)

    def _explain(
        self, view: CacheView, job: ProofJob, key: str
    ) -> tuple[Why, str, tuple[str, ...]]:
        """Why there is no entry."""
        reason = view.set_aside(key)
        if reason is not None:
            return Why.SET_ASIDE, f"set aside earlier: {reason}", ()
        made = [*view.made(job.guest.name, hashlib.sha256(job.stdin).hexdigest())]
        if job.id >= self._batch.plan.leaf_jobs:
            for build in self._builds:
                stdin = self._stdin_for(job.id, build)
                made += view.made(job.guest.name, hashlib.sha256(stdin).hexdigest())
        told = [differences for one in made if (differences := self._differences(job, one))]
        if not told:
            return Why.NO_ENTRY, "no entry", ()
        nearest = min(told, key=len)
        return Why.DIFFERS, f"an entry has {', '.join(nearest.values())}", tuple(nearest)

    def _differences(self, job: ProofJob, made: Made) -> dict[str, str]:
        versions = self._prover.versions
        found = {}
        own = job.guest.image_id.hex()
        if made.image_id != own:
            found["image_id"] = f"image id {made.image_id[:8]}... (not {own[:8]}...)"
        if made.kind != job.kind.value:
            found["kind"] = f"a {made.kind} receipt (not {job.kind.value})"
        there = f"{made.zkvm} {made.zkvm_version}"
        here = f"{versions.zkvm} {versions.zkvm_version}"
        if there != here:
            found["zkvm_version"] = f"{there} (not {here})"
        return found

    @cached_property
    def _builds(self) -> list[bytes]:
        """Other builds of the aggregator whose proofs are in the cache."""
        view, own = self._view, self._batch.aggregator.image_id
        builds = [bytes.fromhex(build) for build in view.builds(AGGREGATOR)] if view else []
        return [build for build in builds if build != own and len(build) == 32]

    def _stdin_for(self, job_id: int, build: bytes) -> bytes:
        """What another build of the aggregator would read.

        It is told its own image id, which also stands in the journals of the aggregations below;
        nothing else is different.
        """
        own, claims = self._batch.aggregator.image_id, []
        for child in self._batch.plan.aggregation(job_id).children:
            image_id, journal = self._batch.program(child).image_id, self._journals[child]
            aggregates = image_id == own
            claims.append((build, build + journal[32:]) if aggregates else (image_id, journal))
        return aggregator_stdin(build, claims)


def _summed_up(times: list[float], *, exact: bool) -> Measured | None:
    if not times:
        return None
    return Measured(len(times), statistics.fmean(times), min(times), max(times), exact)
