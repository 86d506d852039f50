"""How long a batch will still take: a model over measured times, and durations in words.

The model is list scheduling (Graham 1969) of the jobs that are left, in the executor's order: a
free worker takes an aggregation whose children are there, or else the next leaf. Each job takes the
mean of those of its level, measured in this run or else in earlier ones. So it knows of workers
that have nothing to do at the end of a level, and of the chain of aggregations up to the root.
What was never measured is left out, and the estimate is then said to be a lower bound.
"""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.text import duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runner.plan.plan import Plan

__all__ = [
    "Estimate",
    "TimeLeft",
]

_LAID_OUT = 1000
"""So many last leaves are scheduled one by one; those before them keep all workers busy anyway."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is left.

    Attributes:
        seconds: None when nothing of what is left was ever measured.
        complete: whether that is all of it; if not, it is a lower bound.
        jobs: not finished.
    """

    seconds: float | None
    complete: bool
    jobs: int

    def text(self) -> str:
        """In words."""
        if not self.jobs:
            return "nothing left"
        if self.seconds is None or (not self.complete and self.seconds < 1.0):
            return "time left unknown"
        if self.seconds <= 0.0:
            return "due, takes longer than measured so far"
        return f"{'about' if self.complete else 'at least'} {duration(self.seconds)} left"


class TimeLeft:
    """Estimates what is left of a plan.

    Args:
        plan: to be run.
        workers: jobs side by side.
        earlier: mean seconds a job took in earlier runs, by level (0 = leaves), where known.
    """

    def __init__(self, plan: Plan, workers: int, earlier: Mapping[int, float]) -> None:
        self._plan = plan
        self._workers = workers
        self._earlier = dict(earlier)
        self._levels = [0] * plan.leaf_jobs + [a.level for a in plan.aggregations]
        self._spent: dict[int, tuple[float, int]] = {}
        self._started: dict[int, float] = {}
        # Jobs to schedule one by one, with the children each waits for among them; all the others
        # are only counted.
        first = max(0, plan.leaf_jobs - _LAID_OUT)
        self._children: dict[int, frozenset[int]] = {
            leaf: frozenset() for leaf in range(first, plan.leaf_jobs)
        }
        for node in plan.aggregations:
            below = frozenset(child for child in node.children if child in self._children)
            if below:
                self._children[node.id] = below
        self._open = set(range(plan.jobs))
        self._remaining = Counter(self._levels)
        self._bulk = Counter(
            level for job, level in enumerate(self._levels) if job not in self._children
        )

    def started(self, job: int, now: float) -> None:
        """A worker began a job at ``now`` (monotonic seconds)."""
        self._started[job] = now

    def stopped(self, job: int) -> None:
        """A job ended without a result and may start again."""
        self._started.pop(job, None)

    def finished(self, job: int, took: float | None) -> None:
        """A job is done.

        Args:
            job: its id.
            took: seconds by the worker's own clock, without the worker's start; None for one from
                the cache, which measures nothing.
        """
        self._started.pop(job, None)
        if took is not None:
            level = self._levels[job]
            spent, count = self._spent.get(level, (0.0, 0))
            self._spent[level] = (spent + max(0.0, took), count + 1)
        self._close(job)

    def failed(self, job: int) -> None:
        """A job failed for good: neither it nor what needs it will be done."""
        self._started.pop(job, None)
        todo = [job]
        while todo:
            gone = todo.pop()
            if gone in self._open:
                self._close(gone)
                todo += self._plan.parents[gone]

    def estimate(self, now: float) -> Estimate:
        """What is left at ``now``."""
        if not self._open:
            return Estimate(0.0, complete=True, jobs=0)
        means = {level: self._mean(level) for level, jobs in self._remaining.items() if jobs}
        known = {level: mean for level, mean in means.items() if mean is not None}
        if not known:
            return Estimate(None, complete=False, jobs=len(self._open))
        seconds = self._counted(known, now) + self._scheduled(known, now)
        return Estimate(seconds, complete=len(known) == len(means), jobs=len(self._open))

    def _close(self, job: int) -> None:
        if job in self._open:
            self._open.discard(job)
            self._remaining[self._levels[job]] -= 1
            if job not in self._children:
                self._bulk[self._levels[job]] -= 1

    def _mean(self, level: int) -> float | None:
        if level in self._spent:
            spent, count = self._spent[level]
            return spent / count
        return self._earlier.get(level)

    def _counted(self, means: Mapping[int, float], now: float) -> float:
        """Of the jobs that are only counted: their work, shared by all workers."""
        work = sum(count * means.get(level, 0.0) for level, count in self._bulk.items())
        for job, begun in self._started.items():
            if job not in self._children:
                work -= min(now - begun, means.get(self._levels[job], 0.0))
        return max(0.0, work) / self._workers

    def _scheduled(self, means: Mapping[int, float], now: float) -> float:
        """Of the others: when the last one ends, by list scheduling."""
        missing: dict[int, int] = {}
        ready: list[tuple[bool, int]] = []
        running: list[tuple[float, int]] = []
        for job, children in self._children.items():
            if job not in self._open:
                continue
            waits = len(children & self._open)
            if waits:
                missing[job] = waits
            elif job in self._started:
                mean = means.get(self._levels[job], 0.0)
                running.append((max(0.0, mean - (now - self._started[job])), job))
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
                        heapq.heappush(ready, (False, parent))
        return at
