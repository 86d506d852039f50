"""Sweeps that are run on the command line, and what they leave."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.batch import run as running
from runner.files import SHIPPED
from tests.command import run
from tests.fakes.prover import ADAPTER

if TYPE_CHECKING:
    import pytest

    from runner.batch.settings import Settings
    from runner.batch.summary import Summary


QUIET = ["progress=none", "log_level=warning", "executor=inline", "retry=never"]
EXECUTE = [*QUIET, "prover=execute", "output=o"]


def fake(guests: Path) -> list[str]:
    """The arguments that choose the fake prover, which can be told to fail."""
    return [*QUIET, f"prover.adapter={ADAPTER}", f"guests={guests}", "output=o"]


def sweep(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    return run(monkeypatch, "--multirun", *arguments)


def side_by_side(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a sweep with joblib, in its own process because joblib keeps its pool between sweeps."""
    return subprocess.run(
        [sys.executable, "-m", "runner", "--multirun", "hydra/launcher=joblib", *arguments],
        env={**os.environ, "PYTHONPATH": str(SHIPPED)},
        capture_output=True,
        text=True,
        check=False,
    )


def jobs() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(Path("o/sweep.json").read_text())["jobs"]
    return found


def said() -> list[str]:
    return [job["status"] for job in jobs()]


def records(*names: str) -> list[dict[str, Any]]:
    return [json.loads(Path("o", name, "result.json").read_text()) for name in names]


def run_ids() -> set[str]:
    return {json.loads(path.read_text())["run_id"] for path in Path("o").glob("*/result.json")}


def check_failures(code: int, err: str) -> None:
    """Check a sweep of four jobs of which one had bad input and one a guest that fails."""
    assert code == 1
    assert said() == ["failed", "ok", "failed", "ok"]
    assert [job["exit_code"] for job in jobs()] == [2, 0, 1, 0]
    assert "Traceback" not in err
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 2
    assert lines[0].startswith("error: job 0 guest.inputs=[94], folder 0: guest.inputs[0].n = 94:")
    assert lines[0].endswith("(exit code 2)")
    assert lines[1].startswith("error: job 2 guest.inputs=[12], folder 2: batch failed: leaf 0")
    assert "sweep: 2 of 4 jobs are done, 2 failed; outputs in o" in err
    assert [record["status"] for record in records("1", "2", "3")] == ["ok", "failed", "ok"]


FOUR = "guest.inputs=[94],[10],[12],[11]"


def patch_run(monkeypatch: pytest.MonkeyPatch, fault: BaseException, at: int) -> list[int]:
    """Let the run with ``guest.count=<at>`` end by ``fault``. Returns the counts that are run."""
    counts: list[int] = []

    def run(settings: Settings) -> Summary:
        counts.append(settings.count)
        if settings.count == at:
            raise fault
        return real(settings)

    real = running.run
    monkeypatch.setattr(running, "run", run)
    return counts
