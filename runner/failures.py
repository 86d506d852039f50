"""What becomes of a job that has failed: another attempt, a smaller cut of its run, or its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from runner.engines.retry import Attempts
from runner.errors import JobFailedError, SegmentLostError
from runner.events import JobFailed, JobRetried
from runner.model import Span
from runner.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from runner.engines.retry import RetryPolicy
    from runner.events import Event
    from runner.long_runs import LongRuns
    from runner.model import ProofJob
    from runner.plan.job_queue import JobQueue

__all__ = ["Failures", "SmallerCuts"]


class SmallerCuts(Protocol):
    """What knows how runs of several segments are cut."""

    def smaller(self, job: ProofJob) -> ProofJob | None:
        """The whole run of a job with segments half as large; None if they cannot be smaller.

        Args:
            job: the job that had too little memory: a whole run, or a part of it.
        """
        ...

    def forget(self, job_id: int) -> None:
        """Remove what is kept of the segments of a job, which will be cut in another way."""
        ...


class Failures:
    """Judges the failures of a plan's jobs by the retry policy. One thread calls the methods.

    Args:
        policy: how a job that failed is tried again.
        transient: the exceptions that the engine calls transient.
        stops: whether the first job that has failed for good ends the run, so that no other gets
            another attempt after it.
        waiting: the jobs that wait, among them those for another attempt.
        runs: the runs of several segments.
        cuts: what knows how these are cut.
        fewer: a function that lets fewer jobs run side by side, and returns how many may; 0 if they
            cannot be fewer.
        tell: a function that tells the observers of an event.
        clock: a function that returns a monotonic time in seconds.

    Attributes:
        lasting: the failures of the jobs that have failed for good, the first one first.
    """

    def __init__(  # noqa: PLR0913  # the wiring of one run, all by keyword
        self,
        *,
        policy: RetryPolicy,
        transient: tuple[type[BaseException], ...],
        stops: bool,
        waiting: JobQueue,
        runs: LongRuns,
        cuts: SmallerCuts,
        fewer: Callable[[], int],
        tell: Callable[[Event], None],
        clock: Callable[[], float],
    ) -> None:
        self._policy, self._transient = policy, transient
        self._stops = stops
        self._waiting, self._runs, self._cuts = waiting, runs, cuts
        self._fewer, self._tell, self._clock = fewer, tell, clock
        # Those at jobs that have failed and may yet succeed.
        self._attempts: dict[tuple[int, int], Attempts] = {}
        # Jobs that are cut smaller as soon as all parts of the earlier cut have ended, and when.
        self._recut: dict[int, tuple[ProofJob, float]] = {}
        self.lasting: list[JobFailedError] = []

    @property
    def stopping(self) -> bool:
        """Whether a job has failed for good and that ends the run."""
        return self._stops and bool(self.lasting)

    def attempt(self, job: ProofJob) -> int:
        """The number of the attempt at a job that begins, counted from 1."""
        attempts = self._attempts.get(job.key)
        return 1 if attempts is None else attempts.number

    def succeeded(self, job: ProofJob) -> int | None:
        """Forget the attempts at a job, and return their number; None if it has never failed."""
        attempts = self._attempts.pop(job.key, None)
        return None if attempts is None else attempts.number

    def failed(self, job: ProofJob, error: BaseException) -> None:
        """Try a job again after a while, or give it up."""
        if job.id in self._recut:  # another part of the same cut had too little memory
            self._tell(JobRetried(job, error, 0.0, smaller=True))
            return
        attempts = self._attempts.get(job.key)
        if attempts is None:
            policy = self._policy.tenacity(self._transient)
            attempts = self._attempts[job.key] = Attempts(policy)
        wait_s = attempts.failed(error)
        if wait_s is None or self.stopping:
            self.give_up(job, error, attempts.number)
            return
        smaller = self._cuts.smaller(job) if attempts.memory_was_short else None
        fewer = self._fewer() if attempts.memory_was_short and smaller is None else 0
        self._tell(JobRetried(job, error, wait_s, smaller=smaller is not None, fewer=fewer))
        if smaller is not None:
            attempts.made_smaller(self._runs.attempts(job.id) or attempts.number - 1)
            self._drop_parts(job.id)
            self._attempts[smaller.key] = attempts
            self._recut[job.id] = (smaller, self._clock() + wait_s)
        elif isinstance(error, SegmentLostError):
            # They are cut again, and this job comes back when their receipts are there.
            self._runs.lost(error.job, Span(error.index, error.count))
        else:
            self._waiting.delay(job, self._clock() + wait_s)

    def give_up(self, job: ProofJob, error: BaseException, attempts: int) -> None:
        """Note that a job has failed for good. All other parts of its run are dropped."""
        failure = JobFailedError(job.name, attempts, one_line(error))
        failure.__cause__ = error
        self.lasting.append(failure)
        self._tell(JobFailed(job, failure))
        self._drop_parts(job.id)

    def start_again(self, job_id: int, under_way: Callable[[], Iterable[ProofJob]]) -> None:
        """Let a run that is cut smaller start, unless a part of the earlier cut is under way.

        Args:
            job_id: the job of which a part has just ended.
            under_way: a function that returns the jobs that run or are looked up.
        """
        if job_id in self._recut and all(job.id != job_id for job in under_way()):
            self._cuts.forget(job_id)
            self._waiting.delay(*self._recut.pop(job_id))

    def start_no_more(self) -> None:
        """Drop the runs that are to be cut smaller."""
        self._recut.clear()

    def _drop_parts(self, job_id: int) -> None:
        """Drop all parts of a run that have not started."""
        if self._runs.drop(job_id) is not None:
            self._waiting.drop(job_id)
        for key in [key for key in self._attempts if key[0] == job_id]:
            del self._attempts[key]
