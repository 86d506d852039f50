"""The order in which the jobs of a plan start."""

from __future__ import annotations

import heapq
from collections import deque
from typing import TYPE_CHECKING

from runner.model import Step
from runner.plan.leaf_groups import LeafGroups

if TYPE_CHECKING:
    from runner.model import ProofJob
    from runner.plan.plan import Plan

__all__ = ["JobQueue"]


class JobQueue:
    """The jobs of a plan that wait.

    A job is known by its id alone until it is made. It can be made once all its children have
    finished, and then it may be looked up in a cache first. A made job is put back here if it has
    to run, and again, with a delay, for another attempt.

    What is nearest to the root goes first: aggregations, their segments, and what is made of the
    receipts of leaves' segments that are proved. New leaves and segments of leaves take turns, so
    that neither a long leaf holds up the short ones nor these hold up the long one.

    Args:
        plan: the plan that is run.
        leaves_done: whether all leaves have finished before, so that only aggregations are left.

    Attributes:
        taken: the number of leaves and of their segments that were taken out.
    """

    def __init__(self, plan: Plan, *, leaves_done: bool = False) -> None:
        self.taken = 0
        self._leaf_jobs = plan.leaf_jobs
        self._parents = plan.parents
        self._missing = {a.id: len(set(a.children)) for a in plan.aggregations}
        # Leaves that need others wait like aggregations, and go before new ones when they can.
        needing = {leaf: len(needed) for leaf, needed in enumerate(plan.needs) if needed}
        self._missing |= needing
        self._ready: deque[int] = deque()  # those that can be made
        self._leaves = LeafGroups(plan.leaf_jobs, plan.parents, needing.keys())
        self._aggregations: deque[int] = deque()  # those that can be made
        self._near: deque[ProofJob] = deque()  # parts that are nearer than a leaf's segment
        self._segments: deque[ProofJob] = deque()  # segments of leaves
        self._segment_next = False
        # The following are heaps: one by nearness to the root and then by turn, one by due time.
        self._to_run: list[tuple[int, int, tuple[int, int], ProofJob]] = []
        self._delayed: list[tuple[float, tuple[int, int], ProofJob]] = []
        if leaves_done:
            for leaf in range(plan.leaf_jobs):
                self.finished(leaf)
            self._ready.clear()
            self._leaves.clear()

    def __len__(self) -> int:
        """The number of jobs that could start now, or that wait for another attempt."""
        leaves = len(self._leaves) + len(self._ready)
        segments = len(self._near) + len(self._segments)
        made = len(self._to_run) + len(self._delayed)
        return leaves + segments + len(self._aggregations) + made

    # -- jobs that are not made yet ----------------------------------------------------------------

    @property
    def has_near(self) -> bool:
        """Whether a job can be made that is nearer to the root than a leaf and its segments."""
        return bool(self._aggregations or self._near)

    def is_near(self, job: ProofJob) -> bool:
        """Whether a job is nearer to the root than a leaf and its segments."""
        joins = job.part is not None and job.part.step is not Step.SEGMENT
        return job.id >= self._leaf_jobs or joins

    def add(self, part: ProofJob) -> None:
        """Add a part of a run of several segments that can be made now."""
        if part.part is not None and part.part.last:
            self.put(part)  # the run was looked up before it was cut
        else:
            (self._near if self.is_near(part) else self._segments).append(part)

    def take(self, host: str = "") -> int | ProofJob | None:
        """Take out the next job that can be made, and return its id; None if there is none.

        A part of a run is made already, and is returned itself.

        Args:
            host: the machine that has room for a job; empty if it is not known.
        """
        if self._aggregations:
            return self._aggregations.popleft()
        if self._near:
            return self._near.popleft()
        leaves = len(self._leaves) or self._ready
        if self._segments and (self._segment_next or not leaves):
            self._segment_next = False
            self.taken += 1
            return self._segments.popleft()
        if not leaves:
            return None
        self._segment_next = True
        self.taken += 1
        return self._ready.popleft() if self._ready else self._leaves.take(host)

    def finished(self, job_id: int) -> None:
        """Note that a job has finished, so that jobs that waited for it can be made."""
        for parent in self._parents[job_id]:
            self._missing[parent] -= 1
            if self._missing[parent] == 0:
                (self._ready if parent < self._leaf_jobs else self._aggregations).append(parent)

    # -- jobs that have to run ---------------------------------------------------------------------

    @property
    def to_run(self) -> int:
        """The number of jobs that are made and have to run now."""
        return len(self._to_run)

    @property
    def runs_leaf_next(self) -> bool:
        """Whether the job that :meth:`pop` would return is a leaf."""
        return self._to_run[0][0] == 1

    def put(self, job: ProofJob, turn: int = 0) -> None:
        """Add a job that has to run.

        Args:
            job: the job.
            turn: :attr:`taken` as it was when the job was taken out, if it was looked up since.
                Leaves whose look-ups end in another order then still start in the first one.
        """
        near = self.is_near(job)
        heapq.heappush(self._to_run, (0, 0, job.key, job) if near else (1, turn, job.key, job))

    def pop(self) -> ProofJob:
        """Take out the job that has to run next. There must be one."""
        return heapq.heappop(self._to_run)[3]

    def drop(self, job_id: int) -> None:
        """Drop all parts of a job, which has failed."""
        self._near = deque(job for job in self._near if job.id != job_id)
        self._segments = deque(job for job in self._segments if job.id != job_id)
        self._to_run = [item for item in self._to_run if item[3].id != job_id]
        self._delayed = [item for item in self._delayed if item[2].id != job_id]
        heapq.heapify(self._to_run)
        heapq.heapify(self._delayed)

    # -- jobs that wait for another attempt --------------------------------------------------------

    @property
    def due(self) -> float | None:
        """The time at which the first delayed job may run again; None if no job is delayed."""
        return self._delayed[0][0] if self._delayed else None

    def delay(self, job: ProofJob, due: float) -> None:
        """Add a job that has to run again, but not yet.

        Args:
            job: the job.
            due: the time at which it may run, by the clock of whoever calls :meth:`end_delays`.
        """
        heapq.heappush(self._delayed, (due, job.key, job))

    def end_delays(self, now: float) -> None:
        """Let the delayed jobs run that are due."""
        while self._delayed and self._delayed[0][0] <= now:
            self.put(heapq.heappop(self._delayed)[2])

    def clear(self) -> None:
        """Drop all jobs."""
        self._leaves.clear()
        self._ready.clear()
        self._aggregations.clear()
        self._near.clear()
        self._segments.clear()
        self._to_run.clear()
        self._delayed.clear()
