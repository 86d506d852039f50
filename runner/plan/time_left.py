"""A model of how long the rest of a batch takes, over measured times.

The model is list scheduling (Graham 1969) of the jobs that are left, in the executor's order: a
free worker takes an aggregation whose children are done, or else the next leaf. Each job is assumed
to take the mean time of the jobs of its level, measured in this run or else in earlier ones. The
parts of a run of several segments (``parts_left.py``) are only counted, over all workers. The model
therefore accounts for workers that are idle at the end of a level and for the chain of aggregations
up to the root. A level that was never measured is left out, and the estimate is then marked as a
lower bound.
"""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.plan.parts_left import PartsLeft
from runner.text import duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runner.model import LongRun, ProofJob
    from runner.plan.plan import Plan

__all__ = [
    "Estimate",
    "TimeLeft",
]

_LAID_OUT = 1000
"""The number of last leaves that are scheduled one by one. The leaves before them keep all workers
busy in any order, so it is enough to count them."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """An estimate of the time that a batch still takes.

    Attributes:
        seconds: the estimated seconds, or None when no level that is left was ever measured.
        complete: whether ``seconds`` covers all that is left. Otherwise it is a lower bound.
        jobs: the number of jobs that are not finished.
    """

    seconds: float | None
    complete: bool
    jobs: int

    def text(self) -> str:
        """Return the estimate in words."""
        if not self.jobs:
            return "nothing left"
        if self.seconds is None or (not self.complete and self.seconds < 1.0):
            return "time left unknown"
        if self.seconds <= 0.0:
            return "due, takes longer than measured so far"
        return f"{'about' if self.complete else 'at least'} {duration(self.seconds)} left"


class TimeLeft:
    """Estimates the time that a plan still takes, while it is told of every job.

    Args:
        plan: the plan that is run.
        workers: the number of jobs that run at the same time.
        earlier: the mean seconds that a job took in earlier runs, by level (0 for leaves), for the
            levels where that is known.
    """

    def __init__(self, plan: Plan, workers: int, earlier: Mapping[int, float]) -> None:
        self._plan = plan
        self._workers = workers
        self._earlier = dict(earlier)
        self._levels = [0] * plan.leaf_jobs + [a.level for a in plan.aggregations]
        self._spent: dict[int, tuple[float, int]] = {}
        self._started: dict[tuple[int, int], float] = {}
        self._parts = PartsLeft()
        # The keys are the jobs that are scheduled one by one. Each has the children that it waits
        # for among these jobs. All other jobs are only counted.
        first = max(0, plan.leaf_jobs - _LAID_OUT)
        self._children: dict[int, frozenset[int]] = {
            leaf: frozenset(need for need in plan.children(leaf) if need >= first)
            for leaf in range(first, plan.leaf_jobs)
        }
        for node in plan.aggregations:
            below = frozenset(child for child in node.children if child in self._children)
            if below:
                self._children[node.id] = below
        self._open = bytearray(b"\x01") * plan.jobs  # a flag for each job that is not done
        self._left = plan.jobs
        self._remaining = Counter(self._levels)
        self._bulk = Counter(
            level for job, level in enumerate(self._levels) if job not in self._children
        )

    def started(self, job: int, now: float, part: int = -1) -> None:
        """Note that a worker began a job, or a part of it, at ``now`` (monotonic seconds).

        Args:
            job: the job's id.
            now: the time.
            part: the number of the part, as in the job's key.
        """
        self._started[job, part] = now

    def stopped(self, job: int, part: int = -1) -> None:
        """Note that a job, or a part of it, ended without a result and may start again."""
        self._started.pop((job, part), None)

    def split(self, job: int, run: LongRun) -> None:
        """Note that a job is a run of several segments."""
        self._started.pop((job, -1), None)
        self._parts.split(job, run)

    def cut_again(self, job: int) -> None:
        """Note that a run will be cut in another way, so that nothing of it is done."""
        self._parts.drop(job)

    def part_finished(self, job: ProofJob, took: float | None) -> None:
        """Note that a part of such a job is done.

        Args:
            job: the job of the part.
            took: the seconds that it took, as for :meth:`finished`.
        """
        self._started.pop(job.key, None)
        if job.part is not None:
            self._parts.finished(job.id, job.part, took)

    def finished(self, job: int, took: float | None) -> None:
        """Note that a job is done.

        Args:
            job: the job's id.
            took: the seconds that the job took by the worker's own clock, without the start of the
                worker. None for a job from the cache, which measures nothing.
        """
        self._started.pop((job, -1), None)
        if took is not None:
            level = self._levels[job]
            spent, count = self._spent.get(level, (0.0, 0))
            self._spent[level] = (spent + max(0.0, took), count + 1)
        self._close(job)

    def failed(self, job: int) -> None:
        """Note that a job failed for good. Neither it nor any job that needs it will be done."""
        self._started.pop((job, -1), None)
        todo = [job]
        while todo:
            gone = todo.pop()
            if self._open[gone]:
                self._close(gone)
                todo += self._plan.parents[gone]

    def estimate(self, now: float) -> Estimate:
        """Return the estimate at ``now`` (monotonic seconds)."""
        if not self._left:
            return Estimate(0.0, complete=True, jobs=0)
        means = {level: self._mean(level) for level, jobs in self._remaining.items() if jobs}
        known = {level: mean for level, mean in means.items() if mean is not None}
        begun = sum(now - since for key, since in self._started.items() if key[1] >= 0)
        work, all_measured = self._parts.work()
        parts = max(0.0, work - begun) / self._workers
        if not known and not parts:
            return Estimate(None, complete=False, jobs=self._left)
        seconds = self._counted(known, now) + self._scheduled(known, now) + parts
        complete = len(known) == len(means) and all_measured
        return Estimate(seconds, complete=complete, jobs=self._left)

    def _close(self, job: int) -> None:
        self._parts.drop(job)
        if self._open[job]:
            self._open[job], self._left = 0, self._left - 1
            self._remaining[self._levels[job]] -= 1
            if job not in self._children:
                self._bulk[self._levels[job]] -= 1

    def _mean(self, level: int) -> float | None:
        if level in self._spent:
            spent, count = self._spent[level]
            return spent / count
        return self._earlier.get(level)

    def _counted(self, means: Mapping[int, float], now: float) -> float:
        """Return the seconds for the jobs that are only counted: their work, over all workers."""
        work = sum(count * means.get(level, 0.0) for level, count in self._bulk.items())
        for (job, part), begun in self._started.items():
            if part < 0 and job not in self._children:
                work -= min(now - begun, means.get(self._levels[job], 0.0))
        return max(0.0, work) / self._workers

    def _scheduled(self, means: Mapping[int, float], now: float) -> float:  # noqa: C901  # one loop
        """Return the seconds until the last of the other jobs ends, by list scheduling."""
        missing: dict[int, int] = {}
        ready: list[tuple[bool, int]] = []
        running: list[tuple[float, int]] = []
        for job, children in self._children.items():
            if not self._open[job]:
                continue
            waits = sum(self._open[child] for child in children)
            if waits:
                missing[job] = waits
            elif self._parts.has(job):
                running.append((0.0, job))  # its parts are counted
            elif (begun := self._started.get((job, -1))) is not None:
                mean = means.get(self._levels[job], 0.0)
                running.append((max(0.0, mean - (now - begun)), job))
            else:
                ready.append((job < self._plan.leaf_jobs, job))
        heapq.heapify(ready)
        heapq.heapify(running)
        at = 0.0
        while ready or running:
            while ready and len(running) < self._workers:
                job = heapq.heappop(ready)[1]
                heapq.heappush(running, (at + means.get(self._levels[job], 0.0), job))
            at, job = heapq.heappop(running)
            for parent in self._plan.parents[job]:
                if parent in missing:
                    missing[parent] -= 1
                    if not missing[parent]:
                        heapq.heappush(ready, (parent < self._plan.leaf_jobs, parent))
        return at
