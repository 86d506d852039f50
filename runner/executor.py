"""The executor: it runs the jobs of a plan on an engine.

An aggregation starts as soon as its own children have finished, and goes before new leaves. A job
that turns out to be a run of several segments becomes many jobs, so that a plan grows while it is
run. A job that fails is tried again by the retry policy. One thread, the caller's, makes all
decisions and tells the observers. Jobs are looked up in the cache on a few threads of their own,
because each look-up verifies a receipt.
"""

from __future__ import annotations

import functools
import queue
import sys
import time
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

from runner.engines.engine import jobs_at_once, threads_for
from runner.errors import SegmentLostError
from runner.events import JobFinished, JobSplit, JobStarted, LoadMeasured, WorkersChanged
from runner.failures import Failures, SmallerCuts
from runner.jobs.placement import Room
from runner.long_runs import LongRuns, most_ahead
from runner.plan.job_queue import JobQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Sequence

    from runner.engines.engine import Engine, Host
    from runner.engines.retry import RetryPolicy
    from runner.errors import JobFailedError
    from runner.events import Event, Observer
    from runner.long_runs import SegmentStream
    from runner.model import LongRun, Outcome, ProofJob
    from runner.plan.plan import Plan

__all__ = ["Jobs", "OnFailure", "PlanExecutor"]

OnFailure = Literal["stop", "continue"]

_WAKE_S = 1.0
"""The longest time that the deciding thread sleeps, in seconds."""


class Jobs(SmallerCuts, Protocol):
    """The source of a plan's jobs and the sink of their outcomes.

    Only the deciding thread calls the methods, except :meth:`lookup`.
    """

    def build(self, job_id: int) -> ProofJob:
        """Make a job whose children have all finished, without the children's receipts."""
        ...

    def load(self, job: ProofJob) -> ProofJob:
        """Return a job with all its data. It is called just before the job starts.

        Raises:
            SegmentLostError: what was kept of some segments cannot be used.
        """
        ...

    def lookup(self, job: ProofJob) -> Outcome | None:
        """Return the verified outcome of a job from the cache, or None. Any thread may call it."""
        ...

    def accept(self, outcome: Outcome) -> None:
        """Keep the outcome of a job that has finished."""
        ...

    def cut(self, job: ProofJob, run: LongRun, wanted: Container[int]) -> SegmentStream:
        """Begin to cut a run, and keep the segments at the ``wanted`` positions."""
        ...

    def accept_part(self, job: ProofJob, outcome: Outcome) -> None:
        """Keep the receipt of some segments of a run, as a part has made it."""
        ...


class PlanExecutor:
    """Runs a plan once.

    Args:
        plan: the plan.
        engine: the engine that runs ``task``. Whoever made the engine shuts it down.
        hosts: the machines that the engine's workers run on.
        task: the function that makes one proof. An engine with processes needs a picklable one.
        jobs: the source of the jobs and the sink of their outcomes.
        observers: the observers that are told of every event, each before the next one.
        policy: how a job that failed is tried again.
        per_worker: the number of jobs that the engine is given for each worker. More than one keeps
            a worker busy whose jobs take milliseconds.
        lookups: the number of threads that look jobs up in the cache.
        cached: whether there is a cache to look jobs up in.
        on_failure: what happens when a job has failed for good. With ``stop`` the jobs that run
            are finished and no more are started; with ``continue`` all jobs are run that do not
            depend on the failed one.
        leaves_done: whether all leaves have finished before, so that only aggregations are left.
        clock: a function that returns a monotonic time in seconds.
        sleep: a function that waits so many seconds, for a retry when nothing else is under way.
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
        leaves_done: bool = False,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._plan = plan
        self._engine = engine
        self._task = task
        self._jobs = jobs
        self._observers = tuple(observers)
        self._per_worker = per_worker
        self._most = sys.maxsize  # jobs side by side, once memory was short
        self._take_hosts(hosts)
        self._lookup_threads = lookups
        self._pool = ThreadPoolExecutor(lookups, "lookup") if cached else None
        self._clock = clock
        self._sleep = sleep

        self._queue = JobQueue(plan, leaves_done=leaves_done)
        # Those of look-ups each have their turn in the queue.
        self._lookups: dict[Future[Outcome | None], tuple[ProofJob, int]] = {}
        self._running: dict[Future[Outcome], ProofJob] = {}
        # Every future comes here when it ends. `concurrent.futures.wait` would lock all of them.
        self._ended: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
        ahead = most_ahead(self._workers, lookups)
        self._long = LongRuns(jobs.cut, ahead, self._ended.put)
        self._failures = Failures(
            policy=policy,
            transient=engine.transient,
            stops=on_failure == "stop",
            waiting=self._queue,
            runs=self._long,
            cuts=jobs,
            fewer=self._run_fewer,
            tell=self._tell,
            clock=clock,
        )

    @property
    def failures(self) -> list[JobFailedError]:
        """The failures of the jobs that have failed for good, the first one first."""
        return self._failures.lasting

    def run(self) -> None:
        """Run the plan to its end.

        Raises:
            JobFailedError: a job failed for good. The outcomes of all others that ended were kept.
            KeyboardInterrupt: someone stopped the run. The outcomes until then were kept.
        """
        try:
            while True:
                self._fill()
                self._tell(LoadMeasured(len(self._running), len(self._queue) + len(self._lookups)))
                if not self._waits_for_something and self._queue.due is None:
                    break
                self._wait()
        except KeyboardInterrupt:
            self._settle([future for future in self._running if future.done()])
            raise
        finally:
            self._long.close()
            if self._pool is not None:
                self._pool.shutdown(cancel_futures=True)
        if self.failures:
            raise self.failures[0]

    def _take_hosts(self, hosts: Sequence[Host]) -> None:
        self._workers = jobs_at_once(hosts) * self._per_worker
        self._room = Room(self._workers)
        self._threads = functools.cache(functools.partial(threads_for, hosts))

    def _run_fewer(self) -> int:
        """Let one job fewer run side by side than did when one had too little memory.

        Returns:
            The number of jobs that may, or 0 if that job was alone.
        """
        most = min(self._most, 1 + len(self._running)) - 1
        if most > 0:
            self._most = most
            self._engine.run_fewer(most)
            self._tell(WorkersChanged(most))
        return most

    @property
    def _at_once(self) -> int:
        """The number of jobs that may be in the engine."""
        return min(self._workers, self._most)

    @property
    def _waits_for_something(self) -> bool:
        return bool(self._lookups or self._running or self._long.busy)

    def _tell(self, event: Event) -> None:
        for observer in self._observers:
            observer.notice(event)

    # -- what starts next --------------------------------------------------------------------------

    def _fill(self) -> None:
        """Start everything that can start now."""
        if (hosts := self._engine.changed()) is not None:
            self._take_hosts(hosts)
            self._tell(WorkersChanged(min(jobs_at_once(hosts), self._most)))
        waiting = self._queue
        waiting.end_delays(self._clock())
        if self._failures.stopping:
            self._drop_waiting()
            return
        while ready := self._long.pull():
            for future in ready:
                self._cut(future)
        if self._pool is None:
            while len(self._running) < self._at_once and (job := self._next()) is not None:
                self._submit(job)
            return
        # Look-ups run ahead of the engine, but not so far that new leaves pile up.
        while len(self._lookups) < 2 * self._lookup_threads and (
            waiting.has_near or waiting.to_run < self._at_once
        ):
            if not self._look_up_next(self._pool):
                break
        while (
            len(self._running) < self._at_once
            and waiting.to_run
            and not self._overtakes()
            and not self._undecided()
        ):
            self._submit(waiting.pop())

    def _overtakes(self) -> bool:
        """Whether the next job is a leaf while one nearer to the root waits for its look-up."""
        if not self._queue.runs_leaf_next:
            return False
        looked_up = (job for job, _ in self._lookups.values())
        return self._queue.has_near or any(self._queue.is_near(job) for job in looked_up)

    def _undecided(self) -> bool:
        """Whether the look-ups under way may still leave the next job more cores.

        They take milliseconds, and a proof with half the cores may take minutes more.
        """
        known = len(self._running) + len(self._queue)
        least, most = (min(jobs, self._most) for jobs in (known, known + len(self._lookups)))
        return self._threads(least) != self._threads(most)

    def _next(self) -> ProofJob | None:
        """The next job without a look-up, or None if no job can start."""
        if self._queue.to_run:
            return self._queue.pop()
        host = self._room.first
        job = self._made(self._queue.take(host))
        return job if job is None else replace(job, host=host)

    def _made(self, taken: int | ProofJob | None) -> ProofJob | None:
        return self._jobs.build(taken) if isinstance(taken, int) else taken

    def _look_up_next(self, pool: ThreadPoolExecutor) -> bool:
        """Start the next look-up on a pool of threads. Returns False if no job can be made."""
        job = self._made(self._queue.take())
        if job is None:
            return False
        lookup = pool.submit(self._jobs.lookup, job)
        self._lookups[lookup] = (job, self._queue.taken)
        lookup.add_done_callback(self._ended.put)
        return True

    def _submit(self, job: ProofJob) -> None:
        self._tell(JobStarted(job, self._failures.attempt(job)))
        known = 1 + len(self._running) + len(self._queue) + len(self._lookups)
        beside = min(known, self._most)
        try:
            threads = self._threads(beside)
            full = replace(self._jobs.load(job), threads=threads, beside=beside)
            self._room.started(full)
            future = self._engine.submit(self._task, full)
        except (RuntimeError, SegmentLostError) as error:
            # A broken pool takes no more jobs. The retry policy judges this like a failed job.
            future = Future()
            future.set_exception(error)
        self._running[future] = job
        future.add_done_callback(self._ended.put)

    # -- what ends ---------------------------------------------------------------------------------

    def _wait(self) -> None:
        """Wait until something ends or a delayed job is due, and act on what has ended."""
        # The thread never waits for ever. Where the system gives a signal to another thread, Python
        # acts on it only when this one wakes, and Ctrl-C must not wait for a proof.
        timeout, due = _WAKE_S, self._queue.due
        if due is not None:
            timeout = min(timeout, max(0.0, due - self._clock()))
        if not self._waits_for_something:
            self._sleep(min(timeout if due is not None else 0.0, 0.5))
            return
        ended = []
        try:
            ended.append(self._ended.get(timeout=timeout))
            while True:
                ended.append(self._ended.get_nowait())
        except queue.Empty:
            self._settle(ended)

    def _settle(self, ended: Iterable[Future[Any]]) -> None:
        """Act on the futures of look-ups and jobs that have ended."""
        for future in ended:
            if self._long.owns(future):
                self._cut(future)
            elif future in self._lookups:
                job, turn = self._lookups.pop(future)
                outcome = future.result()
                if outcome is not None:
                    self._finish(job, outcome)
                elif job.part is None or self._long.has(job.id):
                    self._queue.put(job, turn)
                self._failures.start_again(job.id, self._under_way)
            elif future in self._running:  # any other is a look-up that was cancelled
                job = self._running.pop(future)
                try:
                    outcome = future.result()
                except (Exception, CancelledError) as error:  # noqa: BLE001  # judged by the policy
                    self._failures.failed(job, error)
                else:
                    self._room.ended(outcome)
                    if (attempts := self._failures.succeeded(job)) is not None:
                        outcome = replace(outcome, attempts=attempts)
                    self._finish(job, outcome)
                self._failures.start_again(job.id, self._under_way)

    def _finish(self, job: ProofJob, outcome: Outcome) -> None:
        if outcome.long is not None:
            self._long.begin(job, outcome, outcome.long)
            self._tell(JobSplit(job, outcome, outcome.long))
        elif job.part is None:
            self._jobs.accept(outcome)
            self._tell(JobFinished(job, outcome))
            self._queue.finished(job.id)
        elif job.part.last:
            self._tell(JobFinished(job, outcome))
            self._finish(*self._long.assembled(job.id, outcome))
        else:
            self._jobs.accept_part(job, outcome)
            self._tell(JobFinished(job, outcome))
            if (following := self._long.finished(job, outcome)) is not None:
                self._queue.add(following)

    def _cut(self, future: Future[Any]) -> None:
        """Act on what a stream of segments gave."""
        whole = self._long.job_of(future)
        try:
            segment = self._long.segment(future)
        except Exception as error:  # noqa: BLE001  # whatever it is, the run cannot be cut
            self._failures.give_up(whole, error, 1)
            return
        if segment is not None:
            self._queue.add(segment)

    def _under_way(self) -> Iterable[ProofJob]:
        """The jobs that run or are looked up."""
        return [*self._running.values(), *(job for job, _ in self._lookups.values())]

    def _drop_waiting(self) -> None:
        """Drop all jobs that have not started. Look-ups that have started are finished."""
        self._failures.start_no_more()
        self._queue.clear()
        self._long.close()
        for future in self._lookups:
            future.cancel()
        self._lookups = {f: job for f, job in self._lookups.items() if not f.cancelled()}
