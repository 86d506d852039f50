"""Runs a plan on any ``concurrent.futures.Executor``.

An aggregation starts as soon as its own children are there, and goes before new leaves. A job
that fails is tried again by the retry policy. One thread, the caller's, decides and records;
cache look-ups run on a few threads of their own, because each verifies a receipt.
"""

from __future__ import annotations

import contextlib
import functools
import heapq
import queue
import time
from collections import deque
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

from runner.engines.engine import jobs_at_once, threads_for
from runner.engines.retry import Attempts
from runner.errors import JobFailedError
from runner.events import (
    Event,
    JobFailed,
    JobFinished,
    JobRetried,
    JobStarted,
    LoadMeasured,
    Observer,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from runner.engines.engine import Engine, Host
    from runner.engines.retry import RetryPolicy
    from runner.model import Outcome, ProofJob
    from runner.plan.plan import Plan

__all__ = ["Jobs", "OnFailure", "PlanExecutor"]

OnFailure = Literal["stop", "continue"]

_WAKE_S = 1.0
"""Longest sleep of the deciding thread."""


class Jobs(Protocol):
    """Where jobs come from and where their outcomes go.

    Called from the deciding thread only, except :meth:`lookup`.
    """

    def build(self, job_id: int) -> ProofJob:
        """The job, all its children being finished; without the children's receipts."""
        ...

    def load(self, job: ProofJob) -> ProofJob:
        """The same with the children's receipts, just before it is submitted."""
        ...

    def lookup(self, job: ProofJob) -> Outcome | None:
        """A finished and verified outcome from the cache. Called from look-up threads."""
        ...

    def accept(self, outcome: Outcome) -> None:
        """Keep and record an outcome."""
        ...


class PlanExecutor:
    """One run of one plan.

    Args:
        plan: what to do.
        engine: Runs ``task``. Whoever made the engine shuts it down.
        hosts: The machines that the engine's workers run on.
        task: Makes one proof. It must be picklable for engines with processes.
        jobs: source and sink.
        observers: The observers that are told of every event, each before the next one.
        policy: for failed jobs.
        per_worker: The number of jobs that the engine is given for each worker. More than one keeps
            a worker busy whose jobs take milliseconds.
        lookups: The number of threads that look jobs up in the cache.
        cached: whether look-ups make sense at all.
        on_failure: ``stop`` lets running jobs finish and starts no more; ``continue`` makes
            everything that does not depend on the failed job.
        clock: seconds, monotonic.
        sleep: waits for a retry when nothing else is under way.
    """

    def __init__(  # noqa: PLR0913  # the wiring of one run, all by keyword
        self,
        plan: Plan,
        *,
        engine: Engine,
        hosts: Sequence[Host],
        task: Callable[[ProofJob], Outcome],
        jobs: Jobs,
        observers: Sequence[Observer],
        policy: RetryPolicy,
        per_worker: int = 1,
        lookups: int = 1,
        cached: bool,
        on_failure: OnFailure = "stop",
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._plan = plan
        self._engine = engine
        self._task = task
        self._jobs = jobs
        self._observers = tuple(observers)
        self._policy = policy
        self._workers = jobs_at_once(hosts) * per_worker
        self._threads = functools.cache(functools.partial(threads_for, hosts))
        self._lookup_threads = lookups
        self._cached = cached
        self._on_failure = on_failure
        self._clock = clock
        self._sleep = sleep

        self._new_leaves: Iterator[int] = iter(range(plan.leaf_jobs))
        self._leaves_left = plan.leaf_jobs
        self._missing = {a.id: len(set(a.children)) for a in plan.aggregations}
        self._ready: deque[int] = deque()  # aggregations whose children are all there
        self._misses: list[tuple[int, int, ProofJob]] = []  # heap: aggregations first, then by id
        self._delayed: list[tuple[float, int, ProofJob]] = []  # heap: due time, id
        self._attempts: dict[int, Attempts] = {}  # of jobs that failed and may yet succeed
        self._lookups: dict[Future[Outcome | None], ProofJob] = {}
        self._running: dict[Future[Outcome], ProofJob] = {}
        # Futures come here as they end: `concurrent.futures.wait` would lock all of them each time.
        self._ended: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
        self._failures: list[JobFailedError] = []

    def run(self) -> None:
        """Run the plan to its end.

        Raises:
            JobFailedError: a job failed for good; everything finished has been accepted.
            KeyboardInterrupt: passed on, after accepting what had finished by then.
        """
        pool = ThreadPoolExecutor(self._lookup_threads, "lookup") if self._cached else None
        try:
            while True:
                self._fill(pool)
                self._tell(LoadMeasured(len(self._running), self._queued()))
                if not self._lookups and not self._running and not self._delayed:
                    break
                self._wait()
        except KeyboardInterrupt:
            self._settle([future for future in self._running if future.done()])
            raise
        finally:
            if pool is not None:
                pool.shutdown(cancel_futures=True)
        if self._failures:
            raise self._failures[0]

    @property
    def failures(self) -> tuple[JobFailedError, ...]:
        """Jobs that failed for good."""
        return tuple(self._failures)

    def _tell(self, event: Event) -> None:
        for observer in self._observers:
            observer.notice(event)

    def _queued(self) -> int:
        waiting = len(self._ready) + len(self._misses) + len(self._delayed) + len(self._lookups)
        return waiting + self._leaves_left

    def _fill(self, pool: ThreadPoolExecutor | None) -> None:
        """Start whatever can start now."""
        now = self._clock()
        while self._delayed and self._delayed[0][0] <= now:
            self._enqueue(heapq.heappop(self._delayed)[2])
        if self._failures and self._on_failure == "stop":
            self._drop_waiting()
            return
        if pool is None:
            while len(self._running) < self._workers and (self._misses or self._draw(None)):
                self._submit(heapq.heappop(self._misses)[2])
            return
        # Look-ups run ahead of the engine, but not so far that new leaves pile up.
        while len(self._lookups) < 2 * self._lookup_threads and (
            self._ready or len(self._misses) < self._workers
        ):
            if not self._draw(pool):
                break
        while (
            len(self._running) < self._workers
            and self._misses
            and not self._overtakes()
            and not self._undecided()
        ):
            self._submit(heapq.heappop(self._misses)[2])

    def _overtakes(self) -> bool:
        """Whether the next miss is a leaf while an aggregation waits for its look-up."""
        if self._misses[0][0] == 0:
            return False
        looked_up = (job.id for job in self._lookups.values())
        return bool(self._ready) or any(job_id >= self._plan.leaf_jobs for job_id in looked_up)

    def _undecided(self) -> bool:
        """Whether look-ups under way may still leave the next job more cores.

        They take milliseconds, and a proof with half the cores may take minutes more.
        """
        known = len(self._running) + self._queued() - len(self._lookups)
        return self._threads(known) != self._threads(known + len(self._lookups))

    def _draw(self, pool: ThreadPoolExecutor | None) -> bool:
        """Take the next job that can start, aggregations first; False if there is none."""
        if self._ready:
            job_id = self._ready.popleft()
        elif self._leaves_left:
            job_id = next(self._new_leaves)
            self._leaves_left -= 1
        else:
            return False
        job = self._jobs.build(job_id)
        if pool is None:
            self._enqueue(job)
        else:
            lookup = pool.submit(self._jobs.lookup, job)
            self._lookups[lookup] = job
            lookup.add_done_callback(self._ended.put)
        return True

    def _enqueue(self, job: ProofJob) -> None:
        heapq.heappush(self._misses, (0 if job.id >= self._plan.leaf_jobs else 1, job.id, job))

    def _submit(self, job: ProofJob) -> None:
        self._tell(JobStarted(job, self._attempt(job)))
        threads = self._threads(len(self._running) + 1 + self._queued())
        full = replace(self._jobs.load(job), threads=threads)
        try:
            future = self._engine.submit(self._task, full)
        except RuntimeError as error:  # a broken pool takes no more jobs; judged like a failure
            future = Future()
            future.set_exception(error)
        self._running[future] = job
        future.add_done_callback(self._ended.put)

    def _attempt(self, job: ProofJob) -> int:
        attempts = self._attempts.get(job.id)
        return 1 if attempts is None else attempts.number

    def _wait(self) -> None:
        # Never for ever: where the kernel gives a signal to another thread, Python acts on it only
        # when this one wakes, and Ctrl-C must not wait for a proof.
        timeout = _WAKE_S
        if self._delayed:
            timeout = min(timeout, max(0.0, self._delayed[0][0] - self._clock()))
        if not self._running and not self._lookups:
            self._sleep(min(timeout if self._delayed else 0.0, 0.5))
            return
        ended = []
        with contextlib.suppress(queue.Empty):
            ended.append(self._ended.get(timeout=timeout))
            while True:
                ended.append(self._ended.get_nowait())
        self._settle(ended)

    def _settle(self, ended: Iterable[Future[Any]]) -> None:
        for future in ended:
            if future in self._lookups:
                job = self._lookups.pop(future)
                outcome = future.result()
                if outcome is None:
                    self._enqueue(job)
                else:
                    self._finish(job, outcome)
                continue
            if future not in self._running:  # a look-up that was given up
                continue
            job = self._running.pop(future)
            try:
                outcome = future.result()
            except (Exception, CancelledError) as error:  # noqa: BLE001  # judged by the policy
                self._fail(job, error)
                continue
            if job.id in self._attempts:
                outcome = replace(outcome, attempts=self._attempts.pop(job.id).number)
            self._finish(job, outcome)

    def _finish(self, job: ProofJob, outcome: Outcome) -> None:
        self._jobs.accept(outcome)
        self._tell(JobFinished(job, outcome))
        for parent in self._plan.parents[job.id]:
            self._missing[parent] -= 1
            if self._missing[parent] == 0:
                self._ready.append(parent)

    def _fail(self, job: ProofJob, error: BaseException) -> None:
        attempts = self._attempts.get(job.id)
        if attempts is None:
            policy = self._policy.tenacity(self._engine.transient)
            attempts = self._attempts[job.id] = Attempts(policy)
        wait_s = attempts.failed(error)
        stopping = self._failures and self._on_failure == "stop"
        if wait_s is None or stopping:
            reason = " ".join(str(error).split()) or type(error).__name__
            failure = JobFailedError(job.name, attempts.number, reason)
            failure.__cause__ = error
            self._failures.append(failure)
            self._tell(JobFailed(job, failure))
            return
        self._tell(JobRetried(job, error, wait_s))
        heapq.heappush(self._delayed, (self._clock() + wait_s, job.id, job))

    def _drop_waiting(self) -> None:
        self._ready.clear()
        self._misses.clear()
        self._delayed.clear()
        self._leaves_left = 0
        for future in self._lookups:
            future.cancel()
        self._lookups = {f: job for f, job in self._lookups.items() if not f.cancelled()}
