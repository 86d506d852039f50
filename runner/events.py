"""The events of a running plan, and the protocol of those who are told of them.

The executor (:mod:`runner.executor`) makes one small frozen value for each thing that happens and
gives it to every observer. An observer takes the events it cares about, by their type, and leaves
the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from runner.errors import JobFailedError
    from runner.model import LongRun, Outcome, ProofJob

__all__ = [
    "Event",
    "JobFailed",
    "JobFinished",
    "JobRetried",
    "JobSplit",
    "JobStarted",
    "LoadMeasured",
    "Observer",
    "WorkersChanged",
]


@dataclass(frozen=True, slots=True)
class WorkersChanged:
    """Machines have joined or left the cluster, or memory was short.

    Attributes:
        workers: the number of jobs that may run side by side now.
    """

    workers: int


@dataclass(frozen=True, slots=True)
class JobStarted:
    """A job goes to the engine.

    Attributes:
        job: the job, without its children's receipts.
        attempt: the number of this attempt at the job, from 1.
    """

    job: ProofJob
    attempt: int


@dataclass(frozen=True, slots=True)
class JobFinished:
    """A job has succeeded, and its outcome is kept.

    A job whose receipt came from the cache was never started.

    Attributes:
        job: the job, without its children's receipts.
        outcome: the outcome, with the receipt.
    """

    job: ProofJob
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class JobSplit:
    """A job turned out to be a run of several segments. It was executed, and nothing is proved yet.

    Each segment and the receipt of all together is then a job of its own, with the same id and with
    a part. The job itself finishes after the last of them.

    Attributes:
        job: the job, without its children's receipts.
        outcome: the outcome of the execution, with the run.
        run: the run.
    """

    job: ProofJob
    outcome: Outcome
    run: LongRun


@dataclass(frozen=True, slots=True)
class JobRetried:
    """An attempt at a job has failed, and there will be another one.

    Attributes:
        job: the job, without its children's receipts.
        error: the error that ended the attempt.
        wait_s: the seconds until the job may start again.
        smaller: whether memory was short, so that the whole run of the job is executed again and
            cut into smaller segments. Nothing that was proved of it is used.
        fewer: how many jobs run side by side from now on, at most, because memory was short and the
            job cannot be made smaller; 0 if that has not changed.
    """

    job: ProofJob
    error: BaseException
    wait_s: float
    smaller: bool = False
    fewer: int = 0


@dataclass(frozen=True, slots=True)
class JobFailed:
    """A job has failed for good.

    Attributes:
        job: the job, without its children's receipts.
        error: the job's failure; its ``__cause__`` is the error that ended the last attempt.
    """

    job: ProofJob
    error: JobFailedError


@dataclass(frozen=True, slots=True)
class LoadMeasured:
    """The executor is about to wait. The numbers may be the same as the last time.

    Attributes:
        active: the number of jobs in the engine.
        queued: the number of jobs that could start now, or that wait for a look-up or a retry.
    """

    active: int
    queued: int


Event: TypeAlias = (
    "WorkersChanged | JobStarted | JobFinished | JobSplit | JobRetried | JobFailed | LoadMeasured"
)


class Observer(Protocol):
    """Watches a plan while it runs."""

    def notice(self, event: Event) -> None:
        """Take note of an event.

        The executor calls this once for each event, in the order in which things happen, and
        always from the thread that called its ``run``. No job starts until the call returns, so it
        must be quick. Of several observers each is told before the next one.

        An observer should raise nothing. Whatever it raises ends the run: it is passed on by
        ``run``, and the observers after this one are not told of the event.
        """
        ...
