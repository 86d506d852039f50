"""Where a running batch stands: what every display, the log and the status page show."""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.model import ReceiptKind
from runner.plan.time_left import Estimate, TimeLeft
from runner.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runner.errors import JobFailedError
    from runner.model import Outcome, ProofJob
    from runner.plan.plan import Plan

__all__ = ["Busy", "Standing", "Tally"]


@dataclass(frozen=True, slots=True)
class Busy:
    """A worker and its job.

    Attributes:
        worker: from 1. Which process that is, only its outcome tells.
        job: its name for people.
        level: 0 for a leaf.
        attempt: from 1.
        since: by the tally's clock, when the worker began.
    """

    worker: int
    job: str
    level: int
    attempt: int
    since: float


@dataclass(frozen=True, slots=True)
class Standing:
    """One moment of a batch.

    Attributes:
        levels: jobs done and all jobs, by level; the first is the leaves'.
        busy: the workers that do something, by number.
        active: how many those are, by the executor's own count.
        queued: jobs that could start now but have no worker.
        proofs: made in this run, leaves and aggregations.
        executions: guest runs in execute mode, which prove nothing.
        hits: jobs taken from the cache.
        retries: failed attempts that are made again.
        errors: failed attempts, tried again or not.
        last_error: the last of them in words; empty if there was none.
        left: the estimate of the time left.
    """

    levels: tuple[tuple[int, int], ...]
    busy: tuple[Busy, ...]
    active: int
    queued: int
    proofs: int
    executions: int
    hits: int
    retries: int
    errors: int
    last_error: str
    left: Estimate


class Tally:
    """Counts along with a batch; see :class:`runner.executor.Observer`. Read from any thread.

    Args:
        plan: of the batch.
        workers: at most.
        earlier: mean seconds a job took in earlier runs, by level, where known.
        clock: monotonic seconds.

    Attributes:
        workers: at most.
        changes: grows with everything that happens.
    """

    def __init__(
        self,
        plan: Plan,
        workers: int,
        earlier: Mapping[int, float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.workers = workers
        self.changes = 0
        self.clock = clock
        self.began = clock()
        self._levels = {a.id: a.level for a in plan.aggregations}
        self._totals = Counter({0: plan.leaf_jobs})
        self._totals.update(self._levels.values())
        self._done: Counter[int] = Counter()
        self._counts = dict.fromkeys(("proofs", "executions", "hits", "retries", "errors"), 0)
        self._last_error = ""
        self._load = (0, 0)
        self._busy: dict[int, Busy] = {}
        # Handed over to the engine, but beyond its workers: short jobs are sent ahead.
        self._ahead: OrderedDict[int, tuple[ProofJob, int]] = OrderedDict()
        self._left = TimeLeft(plan, workers, earlier)
        self._lock = threading.Lock()

    def level(self, job: ProofJob) -> int:
        """Of a job; 0 for a leaf."""
        return self._levels.get(job.id, 0)

    def level_done(self, job: ProofJob) -> bool:
        """Whether all jobs of a job's level are done."""
        level = self.level(job)
        return self._done[level] == self._totals[level]

    def standing(self, left: Estimate | None = None) -> Standing:
        """How things are now.

        Args:
            left: an estimate to go on with; a new one may cost milliseconds.
        """
        with self._lock:
            active, queued = self._load
            # A worker does one job, however many it has been handed.
            busy = min(active, self.workers)
            return Standing(
                levels=tuple(
                    (self._done[level], self._totals[level]) for level in sorted(self._totals)
                ),
                busy=tuple(sorted(self._busy.values(), key=lambda one: one.worker)),
                active=busy,
                queued=queued + active - busy,
                last_error=self._last_error,
                left=left or self._left.estimate(self.clock()),
                **self._counts,
            )

    # -- what happens ---------------------------------------------------------------------------

    def started(self, job: ProofJob, attempt: int) -> None:
        """See :class:`runner.executor.Observer`; likewise the others."""
        with self._lock:
            self._ahead[job.id] = (job, attempt)
            self._assign()

    def finished(self, job: ProofJob, outcome: Outcome) -> None:  # noqa: D102
        if outcome.cached:
            what = "hits"
        else:
            what = "executions" if outcome.kind is ReceiptKind.EXECUTE else "proofs"
        took = None if outcome.cached else outcome.finished - outcome.started
        with self._lock:
            self._done[self.level(job)] += 1
            self._counts[what] += 1
            self._left.finished(job.id, took)
            self._release(job)

    def retrying(self, job: ProofJob, error: BaseException, wait_s: float) -> None:  # noqa: ARG002, D102
        with self._lock:
            self._counts["retries"] += 1
            self._counts["errors"] += 1
            self._last_error = f"{job.name}: {one_line(error)}"
            self._left.stopped(job.id)
            self._release(job)

    def failed(self, job: ProofJob, error: JobFailedError) -> None:  # noqa: D102
        with self._lock:
            self._counts["errors"] += 1
            self._last_error = one_line(error)
            self._left.failed(job.id)
            self._release(job)

    def load(self, active: int, queued: int) -> None:  # noqa: D102
        with self._lock:
            if self._load != (active, queued):
                self._load = (active, queued)
                self.changes += 1

    def _release(self, job: ProofJob) -> None:
        self._ahead.pop(job.id, None)
        self._busy.pop(job.id, None)
        self._assign()

    def _assign(self) -> None:
        """Give free workers the jobs that were handed over first, as engines do."""
        self.changes += 1
        while self._ahead and len(self._busy) < self.workers:
            job_id, (job, attempt) = self._ahead.popitem(last=False)
            taken = {busy.worker for busy in self._busy.values()}
            worker = next(n for n in range(1, self.workers + 1) if n not in taken)
            now = self.clock()
            self._busy[job_id] = Busy(worker, job.name, self.level(job), attempt, now)
            self._left.started(job_id, now)
