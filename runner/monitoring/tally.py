"""The state of a running batch, which every display, the log and the status page show."""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.events import (
    Event,
    JobFailed,
    JobFinished,
    JobRetried,
    JobSplit,
    JobStarted,
    LoadMeasured,
    WorkersChanged,
)
from runner.model import ReceiptKind, Step
from runner.monitoring.hosts import HostTally
from runner.plan.time_left import Estimate, TimeLeft
from runner.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from runner.errors import JobFailedError
    from runner.model import Outcome, ProofJob
    from runner.plan.plan import Plan

__all__ = ["BatchState", "BusyWorker", "Tally"]


@dataclass(frozen=True, slots=True)
class BusyWorker:
    """A worker that does a job now.

    Attributes:
        worker: the worker's number, from 1. Which process that is shows only in the outcome.
        job: the job's name for people.
        level: the job's level of aggregation, 0 for a leaf.
        attempt: the number of this attempt at the job, from 1.
        since: the time at which the worker began, by the tally's clock.
    """

    worker: int
    job: str
    level: int
    attempt: int
    since: float


@dataclass(frozen=True, slots=True)
class BatchState:
    """The state of a batch at one moment.

    Attributes:
        levels: the number of jobs done and of all jobs, by level. The first level is the leaves'.
        busy: the workers that do a job, by number.
        active: the number of busy workers, as the executor counts them.
        queued: the number of jobs that could start now but have no worker.
        proofs: the number of proofs made in this run, of leaves and of aggregations.
        executions: the number of guest runs in execute mode, which prove nothing.
        hits: the number of jobs whose receipts came from the cache.
        segments: the number of segments that are proved or came from the cache, and of all segments
            of the runs that have several, as far as they are known.
        joins: the number of receipts of segments that are lifted or joined, and of all that will
            be, in the same way.
        retries: the number of failed attempts that are followed by another one.
        errors: the number of failed attempts, whether or not another one follows.
        last_error: the last of those errors in words, or an empty text if there was none.
        left: the estimate of the time left.
    """

    levels: tuple[tuple[int, int], ...]
    busy: tuple[BusyWorker, ...]
    active: int
    queued: int
    proofs: int
    executions: int
    hits: int
    segments: tuple[int, int]
    joins: tuple[int, int]
    retries: int
    errors: int
    last_error: str
    left: Estimate


class Tally:
    """Counts what happens in a batch. It is an observer, and any thread may read it.

    Args:
        plan: the plan of the batch.
        workers: the largest number of jobs that are done side by side.
        earlier: the mean seconds that a job took in earlier runs, by level, where that is known.
        clock: a clock of monotonic seconds.

    Attributes:
        workers: the largest number of jobs that are done side by side now.
        hosts: what each machine has done, where workers may be elsewhere.
        changes: a number that grows with everything that happens.
        clock: the clock of monotonic seconds.
        began: the time by that clock at which the tally was made.
    """

    def __init__(
        self,
        plan: Plan,
        workers: int,
        earlier: Mapping[int, float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.workers = workers
        self.hosts = HostTally()
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
        # Those that are made and all of each long run, by job.
        self._segments: dict[int, list[int]] = {}
        self._joins: dict[int, list[int]] = {}
        self._busy: dict[tuple[int, int], BusyWorker] = {}
        # The jobs that the engine has beyond its workers: short jobs are handed over ahead.
        self._ahead: OrderedDict[tuple[int, int], tuple[ProofJob, int]] = OrderedDict()
        self._left = TimeLeft(plan, workers, earlier)
        self._lock = threading.Lock()

    def go_on(self, plan: Plan) -> None:
        """Count another plan of the same batch, of which all leaves are done."""
        with self._lock:
            self._levels = {a.id: a.level for a in plan.aggregations}
            self._totals = Counter({0: plan.leaf_jobs})
            self._totals.update(self._levels.values())
            self._done = Counter({0: plan.leaf_jobs})
            self._left = TimeLeft(plan, self.workers, {})
            for leaf in range(plan.leaf_jobs):
                self._left.finished(leaf, None)
            self.changes += 1

    def level(self, job: ProofJob) -> int:
        """Return the level of a job, which is 0 for a leaf."""
        return self._levels.get(job.id, 0)

    def level_done(self, job: ProofJob) -> bool:
        """Say whether all jobs of a job's level are done."""
        level = self.level(job)
        return self._done[level] == self._totals[level]

    def state(self, left: Estimate | None = None) -> BatchState:
        """Return the state of the batch now.

        Args:
            left: an earlier estimate of the time left to use again. Without it a new one is made,
                which may take milliseconds.
        """
        with self._lock:
            active, queued = self._load
            # A worker does one job at a time, however many it has been handed.
            busy = min(active, self.workers)
            return BatchState(
                levels=tuple(
                    (self._done[level], self._totals[level]) for level in sorted(self._totals)
                ),
                busy=tuple(sorted(self._busy.values(), key=lambda one: one.worker)),
                active=busy,
                queued=queued + active - busy,
                segments=_sums(self._segments),
                joins=_sums(self._joins),
                last_error=self._last_error,
                left=left or self._left.estimate(self.clock()),
                **self._counts,
            )

    def notice(self, event: Event) -> None:
        """Count an event; see :class:`runner.events.Observer`."""
        with self._lock:
            match event:
                case WorkersChanged():
                    self.workers = event.workers
                    self.changes += 1
                case LoadMeasured():
                    self._measured(event.active, event.queued)
                case JobStarted():
                    self._ahead[event.job.key] = (event.job, event.attempt)
                    self._assign()
                case JobSplit():
                    self._segments[event.job.id] = [0, len(event.run.sizes)]
                    self._joins[event.job.id] = [0, event.run.lifts_and_joins]
                    self._left.split(event.job.id, event.run)
                    self._release(event.job)
                case JobFinished():
                    self._finished(event.job, event.outcome)
                case JobRetried():
                    self._retried(event.job, event.error)
                    if event.smaller:
                        self._segments.pop(event.job.id, None)
                        self._joins.pop(event.job.id, None)
                        self._left.cut_again(event.job.id)
                case JobFailed():
                    self._failed(event.job, event.error)

    # -- with the lock held -----------------------------------------------------------------------

    def _measured(self, active: int, queued: int) -> None:
        if self._load != (active, queued):
            self._load = (active, queued)
            self.changes += 1

    def _finished(self, job: ProofJob, outcome: Outcome) -> None:
        took = None if outcome.cached else outcome.finished - outcome.started
        if job.part is not None:
            made = self._segments if job.part.step is Step.SEGMENT else self._joins
            if not job.part.last and job.id in made:
                made[job.id][0] += 1
            self._left.part_finished(job, took)
            self._release(job)
            return
        if outcome.cached:
            what = "hits"
        else:
            what = "executions" if outcome.kind is ReceiptKind.EXECUTE else "proofs"
        if outcome.visit is not None:
            self.hosts.count(outcome.visit)
        self._done[self.level(job)] += 1
        self._counts[what] += 1
        # The parts of a long run have been counted already, each with its own time.
        self._left.finished(job.id, None if outcome.parts else took)
        self._release(job)

    def _retried(self, job: ProofJob, error: BaseException) -> None:
        self._counts["retries"] += 1
        self._counts["errors"] += 1
        self._last_error = f"{job.name}: {one_line(error)}"
        self._left.stopped(*job.key)
        self._release(job)

    def _failed(self, job: ProofJob, error: JobFailedError) -> None:
        self._counts["errors"] += 1
        self._last_error = one_line(error)
        self._left.failed(job.id)
        self._release(job)

    def _release(self, job: ProofJob) -> None:
        self._ahead.pop(job.key, None)
        self._busy.pop(job.key, None)
        self._assign()

    def _assign(self) -> None:
        """Give the free workers the jobs that were handed over first, as engines do."""
        self.changes += 1
        while self._ahead and len(self._busy) < self.workers:
            key, (job, attempt) = self._ahead.popitem(last=False)
            taken = {busy.worker for busy in self._busy.values()}
            worker = next(n for n in range(1, self.workers + 1) if n not in taken)
            now = self.clock()
            self._busy[key] = BusyWorker(worker, job.name, self.level(job), attempt, now)
            self._left.started(key[0], now, key[1])


def _sums(of_runs: Mapping[int, Sequence[int]]) -> tuple[int, int]:
    """What is made of all long runs, and all that there is to make."""
    made, whole = zip(*of_runs.values(), strict=True) if of_runs else ((), ())
    return sum(made), sum(whole)
