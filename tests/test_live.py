"""The live figures of a run under way: right, bounded, gone at the end, and never in the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from runner import live
from runner import live_file as writer
from runner.errors import JobFailedError
from runner.live import live_path, read_live
from runner.live_file import LiveFile
from runner.model import ProofJob, ReceiptKind
from runner.strategy import make_plan
from tests import fakes

if TYPE_CHECKING:
    from collections.abc import Callable

    from runner.plan import Plan


@pytest.fixture
def textfile(tmp_path: Path) -> Path:
    return tmp_path / "runner.prom"


def eventually(check: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not check():
        assert time.monotonic() < until, "never came true"
        time.sleep(0.005)


def plan_of(leaves: int) -> Plan:
    return make_plan("two_level", range(leaves), fan_in=2)


def live_file(textfile: Path | None, *, run_id: str = "r1", every_s: float = 0.0) -> LiveFile:
    return LiveFile(
        textfile,
        plan=plan_of(4),
        leaves=4,
        kind=ReceiptKind.COMPOSITE,
        workers=2,
        run_id=run_id,
        started=1000.0,
        every_s=every_s,
    )


def job(job_id: int, kind: ReceiptKind = ReceiptKind.COMPOSITE) -> ProofJob:
    return ProofJob(job_id, f"job {job_id}", fakes.sample_guest(), b"\0" * 8, (), kind)


def test_figures_follow_what_happens(textfile: Path) -> None:
    told = fakes.RecordingObserver()
    with live_file(textfile) as file:
        observer = file.observing(told)
        observer.load(2, 2)
        observer.started(job(0), 1)
        observer.finished(job(0), fakes.outcome_of(job(0)))
        observer.finished(job(1), fakes.outcome_of(job(1), cached=True))
        observer.retrying(job(2), ValueError("no"), 0.1)
        observer.failed(job(3), JobFailedError("leaf 3", 1, "no"))
        executed = job(4, ReceiptKind.EXECUTE)
        observer.finished(executed, fakes.outcome_of(executed))
        eventually(lambda: (found := read_live(textfile)) is not None and found.executions == 1)
        found = read_live(textfile)
        assert found is not None
        assert found.run_id == "r1"
        assert found.pid == os.getpid()
        assert found.levels == ((2, 4), (1, 2), (0, 1))
        assert (found.proofs, found.hits, found.retries, found.errors) == (1, 1, 1, 2)
        assert (found.workers_active, found.workers_limit, found.queue_depth) == (2, 2, 2)
        assert live_path(textfile).stat().st_mode & 0o777 == 0o644
    assert not list(textfile.parent.iterdir()), "gone, and nothing is left behind"
    assert [name for name, *_ in told.events] == [
        *("started", "finished", "finished", "retrying", "failed", "finished")
    ]
    assert told.loads == [(2, 2)]


def test_jobs_handed_over_ahead_wait_in_the_queue(textfile: Path) -> None:
    with live_file(textfile) as file:
        file.load(8, 3)
        eventually(lambda: (found := read_live(textfile)) is not None and found.queue_depth > 0)
        found = read_live(textfile)
        assert found is not None
        assert (found.workers_active, found.queue_depth) == (2, 9)


def test_writes_are_throttled_and_the_last_change_is_written(
    textfile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[dict[str, Any]] = []
    monkeypatch.setattr(
        writer, "_replace", lambda _path, data, _run_id: written.append(json.loads(data))
    )
    with live_file(textfile, every_s=0.1) as file:
        begin = time.monotonic()
        while time.monotonic() - begin < 0.35:
            file.count("retries")
        last = file._counts["retries"]
        eventually(lambda: bool(written) and written[-1]["retries"] == last)
        took = time.monotonic() - begin
        assert len(written) <= took / 0.1 + 2
        quiet = len(written)
        time.sleep(0.25)
        assert len(written) == quiet, "nothing changed, nothing is written"


def test_no_textfile_no_figures() -> None:
    told = fakes.RecordingObserver()
    with live_file(None) as file:
        assert file.observing(told) is told
        assert file._thread is None


def test_a_folder_that_takes_nothing_costs_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with live_file(tmp_path / "missing" / "runner.prom") as file:
        for _ in range(3):
            file.count("retries")
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
    with live_file(textfile) as file:
        for _ in range(1000):
            file.load(1, 2)
            file.count("retries")
    assert time.monotonic() - begin < 5


def test_another_runs_file_is_left_alone(textfile: Path) -> None:
    with live_file(textfile, run_id="mine", every_s=0.0) as mine:
        eventually(lambda: read_live(textfile) is not None)
        with live_file(textfile, run_id="other"):
            eventually(lambda: (now := read_live(textfile)) is not None and now.run_id == "other")
            mine.__exit__()
            found = read_live(textfile)
            assert found is not None
            assert found.run_id == "other"


@pytest.mark.parametrize("fails", [False, True], ids=["done", "failed"])
def test_a_batch_shows_itself_while_it_runs(textfile: Path, *, fails: bool) -> None:
    """The wiring, with the real guests."""
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


KILLED = """
import os, signal, sys, time
from pathlib import Path
from runner.live import read_live
from tests.test_live import live_file
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
        *(b"", b"{", b"[]", b"null", b'{"format": 2}', b'{"format": 1}', b"\xff\xfe", b"[" * 60000),
        b'{"format": 1, "pid": 1e999, "process_started": 0}',
        b'{"format": 1, "pid": -1, "process_started": 0}',
    ],
)
def test_a_damaged_file_is_no_run(textfile: Path, data: bytes) -> None:
    live_path(textfile).write_bytes(data)
    assert read_live(textfile) is None


def test_the_own_process_is_there_and_an_impossible_one_is_not() -> None:
    assert live.process_started(os.getpid())
    assert live.process_started(2**22 + 1) is None
    assert live.process_started(0) is None
