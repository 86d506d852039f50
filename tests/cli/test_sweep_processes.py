"""The processes of a sweep end with it, whoever has started them and however it ends."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.test_stopping import check_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [
    pytest.mark.usefixtures("elsewhere"),
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are in /proc"),
]

MARK = "TEST_SWEEP"
"""The environment variable that all processes have that a test has started, also indirectly."""

JOBS = 6
SWEEP = [
    "-m",
    "runner",
    "--multirun",
    "hydra/launcher=joblib",
    "hydra.launcher.n_jobs=2",
    "prover=execute",
    "guest=sha256",
    "strategy=none",
    "progress=none",
    "executor.workers=1",
    "output=out",
    "guest.count=" + ",".join(str(20_000 + job) for job in range(JOBS)),
]


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def alive() -> list[int]:
    """The processes that the test has started, itself or by others, and that have not ended."""
    mark = f"{MARK}={Path.cwd()}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            # A process that has ended, and one of another user, has no environment to be read.
            with contextlib.suppress(OSError):
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
    return found


def started() -> set[str]:
    """The jobs that have begun."""
    return {path.parent.name for path in Path("out").glob("*/run.log")}


def running() -> list[Path]:
    """The audit logs of the jobs that have said there that they run."""
    return [log for log in Path("out").glob("*/audit.jsonl") if "run_started" in log.read_text()]


@pytest.fixture
def sweep() -> Iterator[subprocess.Popen[bytes]]:
    """A sweep whose first jobs run, each in a process of the launcher's."""
    env = {**os.environ, MARK: str(Path.cwd())}
    process = subprocess.Popen(
        [sys.executable, *SWEEP], env=env, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        until(lambda: len(running()) == 2 or process.poll() is not None)
        assert process.poll() is None
        yield process
    finally:
        for pid in alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def test_no_process_outlives_a_sweep_that_is_killed(sweep: subprocess.Popen[bytes]) -> None:
    assert len(alive()) > 3  # the sweep, the launcher's processes and the jobs' own
    sweep.kill()
    sweep.wait()
    until(lambda: not alive())
    begun = started()
    assert 0 < len(begun) < JOBS
    time.sleep(0.2)
    assert started() == begun


@pytest.mark.parametrize("end", [os.kill, os.killpg], ids=["the process", "the terminal"])
def test_a_sweep_that_is_stopped_lets_its_jobs_close(
    sweep: subprocess.Popen[bytes], end: Callable[[int, int], None]
) -> None:
    end(sweep.pid, signal.SIGHUP)
    assert sweep.wait(60) == 130
    until(lambda: not alive())
    assert len(started()) == 2
    for job in started():
        check_whole(Path("out", job))
    assert json.loads(Path("out/sweep.json").read_text())["exit_code"] == 130
