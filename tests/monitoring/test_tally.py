"""The tally: which worker does what, and counts that any thread may read."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from runner.errors import JobFailedError, WorkerDiedError
from runner.events import JobFailed, JobFinished, JobRetried, JobStarted, LoadMeasured
from runner.model import ProofJob, ReceiptKind
from runner.monitoring.tally import Tally
from runner.plan.strategy import make_plan
from tests.fakes.guests import sample_guest
from tests.fakes.jobs import outcome_of

if TYPE_CHECKING:
    from tests.fakes.clock import FakeClock

PLAN = make_plan("two_level", range(4), fan_in=2)
"""A plan with leaves 0-3, aggregations 4 and 5 and the root 6."""


def job(job_id: int, kind: ReceiptKind = ReceiptKind.COMPOSITE) -> ProofJob:
    return ProofJob(job_id, f"job {job_id}", sample_guest(), b"\0" * 8, (), kind)


@pytest.fixture
def tally(clock: FakeClock) -> Tally:
    return Tally(PLAN, 2, {}, clock)


def doing(tally: Tally) -> list[tuple[int, str, float]]:
    now = tally.clock()
    return [(busy.worker, busy.job, now - busy.since) for busy in tally.state().busy]


def test_counts(tally: Tally) -> None:
    tally.notice(LoadMeasured(2, 5))
    tally.notice(JobFinished(job(0), outcome_of(job(0))))
    tally.notice(JobFinished(job(1), outcome_of(job(1), cached=True)))
    executed = job(4, ReceiptKind.EXECUTE)
    tally.notice(JobFinished(executed, outcome_of(executed)))
    tally.notice(JobRetried(job(2), WorkerDiedError("signal SIGKILL"), 0.1))
    tally.notice(JobFailed(job(3), JobFailedError("job 3", 1, "two\nlines")))
    now = tally.state()
    assert now.levels == ((2, 4), (1, 2), (0, 1))
    assert (now.proofs, now.executions, now.hits, now.retries, now.errors) == (1, 1, 1, 1, 2)
    assert now.last_error == "job 3 failed after 1 attempt: two lines"
    assert (now.active, now.queued) == (2, 5)


def test_workers_are_numbered_and_their_numbers_used_again(tally: Tally, clock: FakeClock) -> None:
    tally.notice(JobStarted(job(0), 1))
    clock.advance(2.0)
    tally.notice(JobStarted(job(1), 1))
    assert doing(tally) == [(1, "job 0", 2.0), (2, "job 1", 0.0)]
    tally.notice(JobFinished(job(0), outcome_of(job(0))))
    clock.advance(1.0)
    tally.notice(JobStarted(job(2), 3))
    assert doing(tally) == [(1, "job 2", 0.0), (2, "job 1", 1.0)]
    assert [busy.attempt for busy in tally.state().busy] == [3, 1]


def test_jobs_handed_over_ahead_are_not_being_done(tally: Tally, clock: FakeClock) -> None:
    for number in range(4):
        tally.notice(JobStarted(job(number), 1))
    tally.notice(LoadMeasured(4, 1))
    assert [name for _, name, _ in doing(tally)] == ["job 0", "job 1"]
    assert (tally.state().active, tally.state().queued) == (2, 3)
    clock.advance(5.0)
    tally.notice(JobFinished(job(0), outcome_of(job(0))))
    assert doing(tally) == [(1, "job 2", 0.0), (2, "job 1", 5.0)]
    tally.notice(JobRetried(job(3), WorkerDiedError("x"), 1.0))  # it had not started yet
    tally.notice(JobFinished(job(1), outcome_of(job(1))))
    assert [name for _, name, _ in doing(tally)] == ["job 2"]


def test_times_are_the_workers_own(tally: Tally, clock: FakeClock) -> None:
    """The time that a worker process takes to start does not count as proving time."""
    tally.notice(JobStarted(job(0), 1))
    clock.advance(60.0)
    outcome = replace(outcome_of(job(0)), started=5.0, finished=15.0)
    tally.notice(JobFinished(job(0), outcome))
    assert tally.state().left.seconds == 20.0  # three leaves of 10 s on two workers


def test_everything_is_a_change_and_the_same_load_is_not(tally: Tally) -> None:
    seen = [tally.changes]
    tally.notice(JobStarted(job(0), 1))
    seen.append(tally.changes)
    tally.notice(LoadMeasured(1, 2))
    seen.append(tally.changes)
    tally.notice(JobFinished(job(0), outcome_of(job(0))))
    seen.append(tally.changes)
    assert sorted(set(seen)) == seen
    tally.notice(LoadMeasured(1, 2))
    assert tally.changes == seen[-1]


def test_it_may_be_read_while_jobs_come_and_go(tally: Tally) -> None:
    """Threads of their own draw the bars and write the live file."""
    wrong: list[object] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            now = tally.state()
            if len(now.busy) > 2 or now.retries != now.errors:
                wrong.append(now)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        for _ in range(500):
            for number in range(4):
                tally.notice(JobStarted(job(number), 1))
            for number in range(4):
                tally.notice(JobRetried(job(number), ValueError("x"), 0.0))
    finally:
        stop.set()
        thread.join()
    assert wrong == []
    assert tally.state().retries == 2000
