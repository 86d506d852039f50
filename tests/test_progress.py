"""Progress: what the estimate claims, how often it is said, what is on the screen."""

from __future__ import annotations

import io
import logging
import re
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from runner.errors import JobFailedError, WorkerDiedError
from runner.model import ReceiptKind
from runner.progress import BarProgress, LineProgress, TimeLeft, duration
from runner.strategy import make_plan
from tests import fakes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runner.model import ProofJob

PLAN = make_plan("single", range(4))
"""Leaves 0-3 and the root 4."""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 s"),
        (0.44, "0.4 s"),
        (9.9, "9.9 s"),
        (12.4, "12 s"),
        (59.6, "1 min 00 s"),
        (185.0, "3 min 05 s"),
        (3599.7, "1 h 00 min"),
        (7800.0, "2 h 10 min"),
        (360000.0, "100 h 00 min"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


# -- the estimate -----------------------------------------------------------------------------


def estimate(
    remaining: Mapping[int, int], workers: int = 1, earlier: Mapping[int, float] | None = None
) -> TimeLeft:
    return TimeLeft(remaining, workers, earlier or {})


def test_nothing_measured_is_not_known() -> None:
    left = estimate({0: 4, 1: 1})
    assert left.seconds(0.0) is None
    assert left.text(0.0) == "time left not known yet"
    left.started(0, 0, 0.0)
    assert left.text(100.0) == "time left not known yet"


def test_what_was_never_measured_makes_a_lower_bound() -> None:
    left = estimate({0: 4, 1: 1})
    left.started(0, 0, 0.0)
    left.finished(0, 0, 10.0)
    assert left.seconds(10.0) == (30.0, False)
    assert left.text(10.0) == "at least 30 s left"


def test_a_lower_bound_of_nothing_is_not_worth_saying() -> None:
    left = estimate({0: 1, 1: 1})
    left.started(0, 0, 0.0)
    left.finished(0, 0, 10.0)
    assert left.text(10.0) == "time left not known yet"


def test_once_all_is_measured_the_estimate_is_whole() -> None:
    left = estimate({0: 2, 1: 2})
    for job, level in ((0, 0), (1, 1)):
        left.started(job, level, 0.0)
        left.finished(job, level, 10.0 + 5 * level)
    assert left.text(15.0) == "about 25 s left"


def test_earlier_runs_fill_in_until_this_one_has_its_own() -> None:
    left = estimate({0: 4, 1: 1}, earlier={0: 20.0, 1: 8.0})
    assert left.text(0.0) == "about 1 min 28 s left"
    left.started(0, 0, 0.0)
    left.finished(0, 0, 10.0)
    assert left.text(10.0) == "about 38 s left"


def test_earlier_figures_of_one_level_only_are_a_lower_bound() -> None:
    assert estimate({0: 4, 1: 1}, earlier={1: 8.0}).text(0.0) == "at least 8.0 s left"


def test_the_mean_is_over_this_runs_jobs() -> None:
    left = estimate({0: 4})
    for job, seconds in ((0, 10.0), (1, 20.0)):
        left.started(job, 0, 0.0)
        left.finished(job, 0, seconds)
    assert left.seconds(20.0) == (30.0, True)


def test_cache_hits_measure_nothing() -> None:
    left = estimate({0: 4})
    left.finished(0, 0, 1.0)
    left.finished(1, 0, 1.0)
    assert left.text(1.0) == "time left not known yet"
    left.started(2, 0, 1.0)
    left.finished(2, 0, 11.0)
    assert left.seconds(11.0) == (10.0, True)


def test_running_jobs_count_as_far_as_they_are() -> None:
    left = estimate({0: 3}, earlier={0: 10.0})
    left.started(0, 0, 100.0)
    assert left.seconds(104.0) == (26.0, True)
    assert left.seconds(150.0) == (20.0, True)  # overdue, and not a gain for the others


def test_workers_share_what_there_is() -> None:
    assert estimate({0: 8}, workers=4, earlier={0: 10.0}).seconds(0.0) == (20.0, True)
    # One root keeps one worker busy, however many there are.
    left = estimate({0: 8, 1: 1}, workers=4, earlier={0: 10.0, 1: 10.0})
    assert left.seconds(0.0) == (30.0, True)


def test_a_failed_attempt_measures_nothing() -> None:
    left = estimate({0: 2})
    left.started(0, 0, 0.0)
    left.stopped(0)
    assert left.text(50.0) == "time left not known yet"
    left.started(0, 0, 50.0)
    left.finished(0, 0, 60.0)
    assert left.seconds(60.0) == (10.0, True)


def test_the_end() -> None:
    left = estimate({0: 1})
    left.started(0, 0, 0.0)
    left.finished(0, 0, 1.0)
    assert left.text(1.0) == "nothing left"
    assert estimate({}).text(0.0) == "nothing left"


def test_the_display_may_ask_while_jobs_come_and_go() -> None:
    """The bars are drawn by a thread of their own."""
    left = estimate({0: 10}, earlier={0: 1.0})
    for job in range(100, 140):
        left.started(job, 0, 0.0)
    stop = threading.Event()

    def come_and_go() -> None:
        while not stop.is_set():
            for job in range(50):
                left.started(job, 0, 0.0)
            for job in range(50):
                left.stopped(job)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        for _ in range(2000):
            left.text(0.5)
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(interval)


# -- log lines --------------------------------------------------------------------------------


def job(job_id: int) -> ProofJob:
    jobs = fakes.MemoryJobs(PLAN, fakes.sample_guest(), fakes.sample_guest("aggregator"), [b""] * 4)
    built = jobs.build(0)
    name = f"leaf {job_id}" if job_id < 4 else "aggregation 4 (level 1)"
    return type(built)(job_id, name, built.guest, built.stdin, (), ReceiptKind.COMPOSITE)


@pytest.fixture
def lines(clock: fakes.FakeClock, caplog: pytest.LogCaptureFixture) -> LineProgress:
    caplog.set_level(logging.INFO, "runner.progress")
    return LineProgress(PLAN, 2, {}, "proved", clock)


def finish(
    progress: LineProgress | BarProgress,
    job_id: int,
    clock: fakes.FakeClock,
    seconds: float,
    *,
    cached: bool = False,
) -> None:
    if not cached:
        progress.started(job(job_id), 1)
    clock.advance(seconds)
    progress.finished(job(job_id), fakes.outcome_of(job(job_id), cached=cached, prove_s=seconds))


def test_a_line_a_proof(
    lines: LineProgress, clock: fakes.FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    with lines:
        for job_id in range(4):
            finish(lines, job_id, clock, 10.0)
        finish(lines, 4, clock, 10.0)
    assert caplog.messages == [
        "leaf 0 proved in 10 s; 1/4 leaves, 0/1 level 1; at least 15 s left",
        "leaf 1 proved in 10 s; 2/4 leaves, 0/1 level 1; at least 10 s left",
        "leaf 2 proved in 10 s; 3/4 leaves, 0/1 level 1; at least 10 s left",
        "leaf 3 proved in 10 s; 4/4 leaves, 0/1 level 1; time left not known yet",
        "aggregation 4 (level 1) proved in 10 s; 4/4 leaves, 1/1 level 1; nothing left",
    ]
    assert {record.levelname for record in caplog.records} == {"INFO"}


def test_at_most_a_line_every_two_seconds_but_always_the_last(
    lines: LineProgress, clock: fakes.FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    for job_id in range(4):
        finish(lines, job_id, clock, 0.8)
    finish(lines, 4, clock, 0.1)
    assert [message.split(";")[0] for message in caplog.messages] == [
        "leaf 0 proved in 0.8 s",
        "leaf 3 proved in 0.8 s",
        "aggregation 4 (level 1) proved in 0.1 s",
    ]


def test_cache_hits_are_said_to_be_hits(
    lines: LineProgress, clock: fakes.FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    finish(lines, 0, clock, 0.0, cached=True)
    assert caplog.messages == [
        "leaf 0 from cache; 1/4 leaves, 0/1 level 1, 1 from cache; time left not known yet"
    ]


def test_failures_are_logged_at_once(lines: LineProgress, caplog: pytest.LogCaptureFixture) -> None:
    lines.started(job(0), 1)
    lines.retrying(job(0), WorkerDiedError("signal SIGKILL"), 1.5)
    lines.started(job(0), 2)
    lines.failed(job(0), JobFailedError("leaf 0", 2, "worker died"))
    lines.load(1, 2)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "leaf 0: worker died (signal SIGKILL); trying again in 1.5 s"),
        ("ERROR", "leaf 0 failed after 2 attempts: worker died"),
    ]


# -- bars -------------------------------------------------------------------------------------


def bars(clock: fakes.FakeClock, earlier: Mapping[int, float], width: int = 100) -> BarProgress:
    console = Console(file=io.StringIO(), force_terminal=True, width=width)
    return BarProgress(PLAN, 2, earlier, "proved", console, clock=clock)


def screen(progress: BarProgress) -> list[str]:
    """The lines drawn last, without escape sequences and runs of spaces."""
    file = progress._live.console.file
    assert isinstance(file, io.StringIO)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue())
    height = 2 + len(progress._tasks)
    drawn = [line for line in re.split(r"[\r\n]+", text) if line.strip()]
    return [" ".join(line.split()) for line in drawn[-height:]]


def test_bars_show_levels_what_runs_and_the_estimate(clock: fakes.FakeClock) -> None:
    progress = bars(clock, {0: 20.0, 1: 8.0})
    with progress:
        finish(progress, 0, clock, 12.0)
        finish(progress, 1, clock, 0.0, cached=True)
        progress.started(job(2), 1)
        progress.started(job(3), 2)
        clock.advance(3.0)
    leaves, level, now, time = screen(progress)
    assert re.fullmatch(r"leaves \S+( \S+)? 2/4", leaves)
    assert re.fullmatch(r"level 1 \S+ 0/1", level)
    assert now == "now leaf 2, leaf 3 (attempt 2)"
    # Two leaves of 12 s, 3 s of each done, on two workers, and the root as in earlier runs.
    assert time == "time 15 s so far, about 17 s left, 1 from cache"


def test_bars_at_the_start_and_at_the_end(clock: fakes.FakeClock) -> None:
    progress = bars(clock, {})
    with progress:
        pass
    assert screen(progress)[2:] == ["now waiting", "time 0.0 s so far, time left not known yet"]
    with progress:
        for job_id in range(5):
            finish(progress, job_id, clock, 1.0)
    leaves, level, now, time = screen(progress)
    assert leaves.endswith("4/4")
    assert level.endswith("1/1")
    assert (now, time) == ("now waiting", "time 5.0 s so far, nothing left")


def test_failed_jobs_leave_the_screen(clock: fakes.FakeClock) -> None:
    progress = bars(clock, {})
    with progress:
        for job_id in range(2):
            progress.started(job(job_id), 1)
        progress.retrying(job(0), WorkerDiedError("x"), 1.0)
        progress.failed(job(1), JobFailedError("leaf 1", 1, "x"))
    assert screen(progress)[2] == "now waiting"


def test_many_running_jobs_and_a_narrow_screen_stay_on_their_lines(clock: fakes.FakeClock) -> None:
    progress = bars(clock, {}, width=30)
    with progress:
        for job_id in range(7):
            progress.started(replace(job(0), id=job_id, name=f"leaf {job_id}"), 1)
    assert len(screen(progress)) == 4
