"""Progress: which lines are logged, how often and with which fields, and what the bars show."""

from __future__ import annotations

import io
import logging
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from runner.errors import JobFailedError, WorkerDiedError
from runner.events import JobFailed, JobFinished, JobRetried, JobStarted, LoadMeasured
from runner.model import ReceiptKind
from runner.monitoring.progress import BarProgress, LineProgress
from runner.monitoring.tally import Tally
from runner.plan.strategy import make_plan
from runner.plan.time_left import Estimate, TimeLeft
from tests.fakes.guests import sample_guest
from tests.fakes.jobs import MemoryJobs, outcome_of

if TYPE_CHECKING:
    from runner.events import Event
    from runner.model import ProofJob
    from runner.monitoring.progress import SilentProgress
    from tests.fakes.clock import FakeClock

PLAN = make_plan("single", range(4))
"""A plan with leaves 0-3 and the root 4."""


# -- log lines --------------------------------------------------------------------------------


def job(job_id: int) -> ProofJob:
    jobs = MemoryJobs(PLAN, sample_guest(), sample_guest("aggregator"), [b""] * 4)
    built = jobs.build(0)
    name = f"leaf {job_id}" if job_id < 4 else "aggregation 4 (level 1)"
    return type(built)(job_id, name, built.guest, built.stdin, (), ReceiptKind.COMPOSITE)


@pytest.fixture
def tally(clock: FakeClock) -> Tally:
    return Tally(PLAN, 2, {}, clock)


@pytest.fixture
def lines(tally: Tally, caplog: pytest.LogCaptureFixture) -> LineProgress:
    caplog.set_level(logging.INFO, "runner.monitoring.progress")
    return LineProgress(tally, "proved")


def tell(progress: SilentProgress, event: Event) -> None:
    """Tell the tally and then the progress, in the order of a run."""
    progress._tally.notice(event)
    progress.notice(event)


def finish(
    progress: LineProgress | BarProgress,
    job_id: int,
    clock: FakeClock,
    seconds: float,
    *,
    cached: bool = False,
) -> None:
    if not cached:
        tell(progress, JobStarted(job(job_id), 1))
    clock.advance(seconds)
    tell(
        progress,
        JobFinished(job(job_id), outcome_of(job(job_id), cached=cached, prove_s=seconds)),
    )


def test_a_line_a_proof(
    lines: LineProgress, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    with lines:
        for job_id in range(4):
            finish(lines, job_id, clock, 10.0)
        finish(lines, 4, clock, 10.0)
    assert caplog.messages == [
        "leaf 0 proved in 10 s; 1/4 leaves, 0/1 level 1; at least 20 s left",
        "leaf 1 proved in 10 s; 2/4 leaves, 0/1 level 1; at least 10 s left",
        "leaf 2 proved in 10 s; 3/4 leaves, 0/1 level 1; at least 10 s left",
        "leaf 3 proved in 10 s; 4/4 leaves, 0/1 level 1; time left unknown",
        "aggregation 4 (level 1) proved in 10 s; 4/4 leaves, 1/1 level 1; nothing left",
    ]
    assert {record.levelname for record in caplog.records} == {"INFO"}


def test_at_most_a_line_every_two_seconds_but_always_the_last(
    lines: LineProgress, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    for job_id in range(4):
        finish(lines, job_id, clock, 0.8)
    finish(lines, 4, clock, 0.1)
    assert [message.split(";")[0] for message in caplog.messages] == [
        "leaf 0 proved in 0.8 s",
        "leaf 3 proved in 0.8 s",
        "aggregation 4 (level 1) proved in 0.1 s",
    ]


def test_a_long_batch_says_less_often(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """A line comes after each hundredth of the time so far: hundreds in a day, and not 43 000."""
    caplog.set_level(logging.INFO, "runner.monitoring.progress")
    plan = make_plan("none", range(20_000))
    progress = LineProgress(Tally(plan, 1, {}, clock), "proved")
    for job_id in range(20_000):
        one = replace(job(0), id=job_id)
        clock.advance(4.0)
        tell(progress, JobFinished(one, outcome_of(one, prove_s=4.0)))
    hours = [record for record in caplog.records if "proved" in record.getMessage()]
    assert 300 < len(hours) < 600
    assert "20000/20000 leaves; nothing left" in caplog.messages[-1]


def test_the_machine_format_has_every_job_with_its_figures(
    tally: Tally, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "runner.monitoring.progress")
    progress = LineProgress(tally, "proved", every=True)
    for job_id in range(4):
        finish(progress, job_id, clock, 2.0)
    tell(progress, JobRetried(job(4), WorkerDiedError("signal SIGKILL"), 1.5))
    tell(progress, JobFailed(job(4), JobFailedError("aggregation 4 (level 1)", 2, "worker died")))
    events = [(vars(r)["event"], vars(r)["job"]) for r in caplog.records]
    assert events == [
        *[(event, f"leaf {n}") for n in range(4) for event in ("job_started", "job_finished")],
        ("job_retried", "aggregation 4 (level 1)"),
        ("job_failed", "aggregation 4 (level 1)"),
    ]
    done, retried, failed = (vars(caplog.records[at]) for at in (3, -2, -1))
    assert (done["aggregation_level"], done["cached"], done["prove_s"]) == (0, False, 2.0)
    assert (done["done"], done["total"], done["left_complete"]) == ([2, 0], [4, 1], False)
    assert done["left_s"] == pytest.approx(2.0)
    assert (retried["aggregation_level"], retried["wait_s"]) == (1, 1.5)
    assert (failed["attempts"], failed["error"]) == (2, "worker died")


def test_machines_cost_no_estimate_for_each_job(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "runner.monitoring.progress")
    made: list[float] = []
    estimate = TimeLeft.estimate

    def counted(self: TimeLeft, now: float) -> Estimate:
        made.append(now)
        return estimate(self, now)

    monkeypatch.setattr(TimeLeft, "estimate", counted)
    progress = LineProgress(Tally(make_plan("none", range(1000)), 1, {}, clock), "run", every=True)
    for job_id in range(1000):
        one = replace(job(0), id=job_id)
        clock.advance(0.01)
        tell(progress, JobFinished(one, outcome_of(one, prove_s=0.01)))
    assert len(caplog.records) == 1000
    assert len(made) <= 7, "10 s, one in two"
    assert caplog.messages[-1].endswith("1000/1000 leaves; nothing left")


def test_cache_hits_are_logged_as_hits(
    lines: LineProgress, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    finish(lines, 0, clock, 0.0, cached=True)
    assert caplog.messages == [
        "leaf 0 from cache; 1/4 leaves, 0/1 level 1, 1 from cache; time left unknown"
    ]


def test_failures_are_logged_at_once(lines: LineProgress, caplog: pytest.LogCaptureFixture) -> None:
    tell(lines, JobStarted(job(0), 1))
    tell(lines, JobRetried(job(0), WorkerDiedError("signal SIGKILL"), 1.5))
    tell(lines, JobStarted(job(0), 2))
    tell(lines, JobFailed(job(0), JobFailedError("leaf 0", 2, "worker died")))
    tell(lines, LoadMeasured(1, 2))
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        (
            "WARNING",
            f"leaf 0: {WorkerDiedError('signal SIGKILL')}; trying again in 1.5 s",
        ),
        ("ERROR", "leaf 0 failed after 2 attempts: worker died"),
    ]


# -- bars -------------------------------------------------------------------------------------


def bars(tally: Tally, width: int = 100) -> BarProgress:
    console = Console(file=io.StringIO(), force_terminal=True, width=width)
    return BarProgress(tally, "proved", console)


def screen(progress: BarProgress, width: int = 100) -> list[str]:
    """The lines that are drawn now, with single spaces."""
    console = Console(file=io.StringIO(), width=width, color_system=None)
    with console.capture() as drawn:
        console.print(progress.render())
    lines = drawn.get().splitlines()
    assert all(len(line) <= width for line in lines)
    return [" ".join(line.split()) for line in lines]


def test_bars_show_levels_workers_counts_and_the_estimate(
    clock: FakeClock,
) -> None:
    tally = Tally(PLAN, 2, {0: 20.0, 1: 8.0}, clock)
    progress = bars(tally)
    with progress:
        finish(progress, 0, clock, 12.0)
        finish(progress, 1, clock, 0.0, cached=True)
        tell(progress, JobStarted(job(2), 1))
        tell(progress, JobRetried(job(2), WorkerDiedError("x"), 0.0))
        tell(progress, JobStarted(job(2), 2))
        tell(progress, JobStarted(job(3), 1))
        tell(progress, LoadMeasured(2, 1))
        clock.advance(3.0)
    leaves, level, workers, now, counts, time = screen(progress)
    assert re.fullmatch(r"leaves ━+╸? 2/4", leaves)
    assert level == "level 1 0/1"  # an empty bar without colours is blank
    assert workers == "workers 2/2 busy, 1 waiting"
    assert now == "now leaf 2 (attempt 2) 3.0 s, leaf 3 3.0 s"
    assert counts == "so far 1 from cache, 1 retry"
    # Two leaves of 12 s on two workers, each begun 3 s ago, and the root as in earlier runs.
    assert time == "time 15 s so far, about 17 s left"


def test_bars_at_the_start_and_at_the_end(tally: Tally, clock: FakeClock) -> None:
    progress = bars(tally)
    with progress:
        pass
    assert screen(progress)[2:] == [
        *("workers 0/2 busy", "now waiting", "so far 0 from cache, 0 retries"),
        "time 0.0 s so far, time left unknown",
    ]
    with progress:
        for job_id in range(5):
            finish(progress, job_id, clock, 1.0)
    leaves, level, _, now, _, time = screen(progress)
    assert leaves.endswith("4/4")
    assert level.endswith("1/1")
    assert (now, time) == ("now waiting", "time 5.0 s so far, nothing left")


def test_failed_jobs_leave_the_screen_and_are_counted(tally: Tally) -> None:
    progress = bars(tally)
    with progress:
        for job_id in range(2):
            tell(progress, JobStarted(job(job_id), 1))
        tell(progress, JobRetried(job(0), WorkerDiedError("x"), 1.0))
        tell(progress, JobFailed(job(1), JobFailedError("leaf 1", 1, "x")))
    assert screen(progress)[3:5] == ["now waiting", "so far 0 from cache, 1 retry, 1 failed"]


@pytest.mark.parametrize("width", [40, 80, 120])
def test_many_running_jobs_stay_on_their_line(clock: FakeClock, width: int) -> None:
    tally = Tally(make_plan("three_level", range(500)), 64, {}, clock)
    progress = bars(tally, width)
    with progress:
        for job_id in range(64):
            tell(progress, JobStarted(replace(job(0), id=job_id, name=f"leaf {job_id}"), 1))
    assert len(screen(progress, width)) == 8
