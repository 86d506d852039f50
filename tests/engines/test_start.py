"""Workers start without a working directory of their own, and one that cannot start says why."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runner.engines.processes import ProcessEngine
from runner.errors import WorkerDiedError

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0

EXECUTE = ["prover=execute", "progress=none", "cache=off", "guest.count=2", "executor.workers=1"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_batch_runs_in_a_folder_that_its_user_may_not_enter(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o700)

    def become() -> None:
        os.chdir(locked)
        # The interpreter and this checkout may be readable for root only, so the user stays root
        # and loses what lets root enter every folder.
        drop_capabilities()

    locked.chmod(0o000)
    output = tmp_path / "out"
    done = command([*EXECUTE, f"output={output}"], become)
    assert done.returncode == 0, done.stderr
    assert (output / "result.json").is_file()


def test_a_working_directory_that_is_gone_is_told_before_anything(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()

    def remove() -> None:
        os.chdir(gone)
        gone.rmdir()

    done = command([*EXECUTE, f"output={tmp_path / 'out'}"], remove)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("error: working directory = '': not there")
    assert "cd" in done.stderr


def test_a_worker_that_cannot_start_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "runner" / "engines"
    package.mkdir(parents=True)
    (tmp_path / "runner" / "__init__.py").write_text("raise ImportError('no room for it')\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with ProcessEngine(1) as engine:
        error = engine.submit(abs, -1).exception(PATIENCE_S)
    assert isinstance(error, WorkerDiedError)
    assert str(error) == ("worker died (exit code 1 at its start: ImportError: no room for it)")


def test_a_job_that_ends_its_worker_is_no_failure_of_the_start() -> None:
    with ProcessEngine(1) as engine:
        error = engine.submit(os._exit, 3).exception(PATIENCE_S)
    assert str(error) == "worker died (exit code 3)"


def drop_capabilities() -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    for capability in (1, 2):  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
        libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP counts from the next exec


def command(arguments: list[str], before: Callable[[], None]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "runner", *arguments],
        capture_output=True,
        check=False,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        preexec_fn=before,
    )
