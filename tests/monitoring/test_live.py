"""The live figures of a run are right and bounded, go at its end, and never hold it up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.batch import outputs
from runner.batch.run import run as run_batch
from runner.events import JobFinished, JobRetried, JobStarted, LoadMeasured
from runner.monitoring import live
from runner.monitoring import live_file as writer
from runner.monitoring.live import MOST_JOBS, live_path, read_last, read_live
from runner.monitoring.publish import MetricsSettings
from runner.monitoring.tally import Tally
from runner.plan.strategy import make_plan
from tests import builders
from tests.fakes.jobs import outcome_of
from tests.monitoring.runs import eventually, job, live_file, new_tally, plan_of


def test_figures_follow_what_happens(textfile: Path) -> None:
    tally = new_tally()
    with live_file(textfile, tally):
        tally.notice(LoadMeasured(2, 2))
        for number in range(3):
            tally.notice(JobStarted(job(number), 1))
        tally.notice(JobFinished(job(0), outcome_of(job(0), prove_s=10.0)))
        tally.notice(JobFinished(job(3), outcome_of(job(3), cached=True)))
        tally.notice(JobRetried(job(1), ValueError("no"), 0.1))
        eventually(lambda: (found := read_live(textfile)) is not None and found.retries == 1)
        found = read_live(textfile)
        assert found is not None
        assert found.run_id == "r1"
        assert found.pid == os.getpid()
        assert (found.guest, found.strategy, found.kind) == ("sha256", "two_level", "composite")
        assert found.levels == ((2, 4), (0, 2), (0, 1))
        assert (found.proofs, found.hits, found.retries, found.errors) == (1, 1, 1, 1)
        assert (found.workers_active, found.workers_limit, found.queue_depth) == (2, 2, 2)
        assert found.last_error == "job 1: no"
        assert [(one.worker, one.job, one.attempt) for one in found.jobs] == [(1, "job 2", 1)]
        assert 0 <= time.time() - found.jobs[0].since < 60
        # Leaves 1 and 2 run side by side, the second since a moment ago. An aggregation and the
        # root are left.
        assert found.left_s == pytest.approx(12.0, abs=1.0)
        assert found.left_complete
        assert live_path(textfile).stat().st_mode & 0o777 == 0o644
    assert not list(textfile.parent.iterdir()), "gone, and nothing is left behind"


def test_what_is_not_known_yet_is_none(textfile: Path) -> None:
    with live_file(textfile, Tally(plan_of(4), 2, {})):
        eventually(lambda: read_live(textfile) is not None)
        found = read_live(textfile)
    assert found is not None
    assert (found.left_s, found.left_complete, found.last_error) == (None, False, "")


def test_a_run_with_nothing_to_tell_still_says_that_it_is_there(textfile: Path) -> None:
    with live_file(textfile, beat_s=0.02):
        eventually(lambda: read_live(textfile) is not None)
        first = read_live(textfile)
        eventually(lambda: (now := read_live(textfile)) is not None and now != first)
        second = read_live(textfile)
    assert first is not None
    assert second is not None
    assert second.updated > first.updated
    assert replace(second, updated=first.updated, left_s=first.left_s) == first


def test_many_workers_and_long_names_stay_within_the_readers_bound(textfile: Path) -> None:
    tally = Tally(make_plan("none", range(2000)), 2000, {})
    with live_file(textfile, tally):
        for number in range(2000):
            tally.notice(JobStarted(replace(job(number), name="x" * 9000), 1))
        tally.notice(JobRetried(job(0), ValueError("y" * 100_000), 0.0))
        eventually(lambda: (found := read_live(textfile)) is not None and found.errors == 1)
        found = read_live(textfile)
    assert found is not None
    assert len(found.jobs) == MOST_JOBS


def test_writes_are_throttled_and_the_last_change_is_written(
    textfile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[dict[str, Any]] = []
    monkeypatch.setattr(
        writer, "_replace", lambda _path, data, _run_id: written.append(json.loads(data))
    )
    tally = new_tally()
    with live_file(textfile, tally, every_s=0.1):
        begin = time.monotonic()
        while time.monotonic() - begin < 0.35:
            tally.notice(JobRetried(job(0), ValueError("x"), 0.0))
        last = tally.state().retries
        eventually(lambda: bool(written) and written[-1]["retries"] == last)
        took = time.monotonic() - begin
        assert len(written) <= took / 0.1 + 2
        quiet = len(written)
        time.sleep(0.25)
        assert len(written) == quiet, "nothing changed, nothing is written"


def test_without_a_textfile_there_are_no_figures() -> None:
    with live_file(None) as file:
        assert file._thread is None


def test_a_folder_that_takes_nothing_costs_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tally = new_tally()
    with live_file(tmp_path / "missing" / "runner.prom", tally):
        for _ in range(3):
            tally.notice(JobRetried(job(0), ValueError("x"), 0.0))
            time.sleep(0.02)
        eventually(lambda: bool(caplog.records))
    warnings = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "not written" in warnings[0]


def test_a_disk_that_hangs_does_not_hold_up_the_batch(
    textfile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_replace", lambda *_: time.sleep(30))
    begin = time.monotonic()
    tally = new_tally()
    with live_file(textfile, tally):
        for number in range(1000):
            tally.notice(LoadMeasured(1, number))
    assert time.monotonic() - begin < 5


def test_another_runs_file_is_left_alone(textfile: Path) -> None:
    with live_file(textfile, run_id="mine") as mine:
        eventually(lambda: read_live(textfile) is not None)
        with live_file(textfile, run_id="other"):
            eventually(lambda: (now := read_live(textfile)) is not None and now.run_id == "other")
            mine.__exit__()
            found = read_live(textfile)
            assert found is not None
            assert found.run_id == "other"


@pytest.mark.parametrize("fails", [False, True], ids=["done", "failed"])
def test_a_batch_shows_itself_while_it_runs(textfile: Path, *, fails: bool) -> None:
    """A real command with the real guests shows its live figures."""
    late = ["executor.timeout_s=0.0001", "retry.attempts=2", "retry.wait_initial_s=0.3"]
    command = [
        *(sys.executable, "-m", "runner", "prover=execute", "guest=sha256", "guest.count=300"),
        *("progress=none", "log_level=error", f"output={textfile.parent / 'batch'}"),
        *(f"metrics.textfile={textfile}", *(late if fails else [])),
    ]
    with subprocess.Popen(
        command, cwd=textfile.parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as batch:
        eventually(lambda: read_live(textfile) is not None)
        found = read_live(textfile)
        assert found is not None
        assert (found.pid, found.leaves, found.kind) == (batch.pid, 300, "execute")
        assert batch.wait() == (1 if fails else 0)
    assert not live_path(textfile).exists()
    record = json.loads((textfile.parent / "batch" / "result.json").read_text())
    assert record["run_id"] == found.run_id
    assert "l2_parallel_workers_active 0.0\n" in textfile.read_text()


def test_the_figures_are_there_until_the_textfile_says_how_it_ended(
    tmp_path: Path, guests: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a watcher would take an earlier run for the last one while figures are pushed."""
    seen: list[tuple[bool, bool]] = []

    def publish(settings: MetricsSettings, *_: object) -> None:
        assert settings.textfile is not None
        eventually(lambda: read_live(settings.textfile) is not None)  # type: ignore[arg-type]
        seen.append((read_live(settings.textfile) is not None, settings.textfile.exists()))

    monkeypatch.setattr(outputs, "publish", publish)
    metrics = MetricsSettings(tmp_path / "runner.prom")
    run_batch(builders.batch_settings(tmp_path / "out", guests, metrics=metrics))
    assert seen == [(True, False)]
    assert not live_path(tmp_path / "runner.prom").exists()


KILLED = """
import os, signal, sys, time
from pathlib import Path
from runner.monitoring.live import read_live
from tests.monitoring.runs import live_file
textfile = Path(sys.argv[1])
live_file(textfile).__enter__()
while read_live(textfile) is None:
    time.sleep(0.01)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_run_left_is_stale(textfile: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED, str(textfile)]) as killed:
        eventually(live_path(textfile).exists)
        eventually(lambda: Path(f"/proc/{killed.pid}/stat").read_text().split()[2] == "Z")
        assert read_live(textfile) is None, "a zombie does nothing any more"
        killed.wait()
        assert live_path(textfile).exists()
        assert read_live(textfile) is None
        found, alive = read_last(textfile)
        assert found is not None
        assert (found.pid, alive) == (killed.pid, False)


@pytest.mark.parametrize(
    ("now", "there"), [(7, True), (8, False), (None, False), (0, True)], ids=str
)
def test_a_pid_used_again_is_another_process(
    textfile: Path, monkeypatch: pytest.MonkeyPatch, now: int | None, there: bool
) -> None:
    monkeypatch.setattr(writer, "process_started", lambda _: 7)
    with live_file(textfile):
        eventually(live_path(textfile).exists)
        assert (read_live(textfile, lambda _: now) is not None) == there


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"{", b"[]", b"null", b'{"format": 1}', b'{"format": 2}', b"\xff\xfe", b"[" * 60000),
        b'{"format": 2, "pid": 1e999, "process_started": 0}',
        b'{"format": 2, "pid": -1, "process_started": 0}',
    ],
)
def test_a_damaged_file_counts_as_no_run(textfile: Path, data: bytes) -> None:
    live_path(textfile).write_bytes(data)
    assert read_last(textfile) == (None, False)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("left_s", "soon"), ("left_s", 1e999), ("updated", float("nan")), ("jobs", [[1]])),
        *(("jobs", 7), ("jobs", [[1, "a", 1, None]]), ("levels", [[1]]), ("leaves", "many")),
    ],
)
def test_a_file_with_one_wrong_value_counts_as_no_run(
    textfile: Path, key: str, value: object
) -> None:
    with live_file(textfile):
        eventually(live_path(textfile).exists)
        data = json.loads(live_path(textfile).read_bytes())
    live_path(textfile).write_text(json.dumps(data))
    assert read_live(textfile) is not None
    live_path(textfile).write_text(json.dumps({**data, key: value}))
    assert read_last(textfile) == (None, False)


def test_this_process_exists_and_an_impossible_one_does_not() -> None:
    assert live.process_started(os.getpid())
    assert live.process_started(2**22 + 1) is None
    assert live.process_started(0) is None
