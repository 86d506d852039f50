"""The output of the command for machines: nothing, or JSON lines and one summary."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from runner.cli.flags import without_flags

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.usefixtures("elsewhere")


EXECUTE = ["prover=execute", "executor=inline", "output=out"]


def subprocess_run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "runner", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("flag", ["--quiet", "-q", "quiet=true"])
def test_quiet_says_nothing_and_does_everything(flag: str, tmp_path: Path) -> None:
    done = subprocess_run(tmp_path, *EXECUTE, flag, "log_level=debug", "progress=lines")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert json.loads((tmp_path / "out" / "result.json").read_text())["status"] == "ok"
    assert "aggregation 6 (level 1) started" in (tmp_path / "out" / "run.log").read_text()


@pytest.mark.parametrize(
    ("given", "for_hydra"),
    [
        (["a=1", "--multirun"], ["a=1", "--multirun"]),
        (["--quiet"], ["quiet=true"]),
        (["-q", "--multirun", "a=1,2", "b=3"], ["--multirun", "quiet=true", "a=1,2", "b=3"]),
        (["a=1", "--multirun", "--quiet"], ["quiet=true", "a=1", "--multirun"]),
        (["--cfg", "job", "-q", "--quiet"], ["--cfg", "job", "quiet=true"]),
        (["--config-dir=x", "-q"], ["--config-dir=x", "quiet=true"]),
    ],
)
def test_quiet_becomes_a_setting_where_hydra_takes_it(
    given: list[str], for_hydra: list[str]
) -> None:
    assert without_flags(given) == for_hydra


def test_quiet_sweeps_are_quiet(tmp_path: Path) -> None:
    arguments = ["--quiet", "--multirun", "guest.count=2,3", "hydra/launcher=joblib"]
    done = subprocess_run(tmp_path, *arguments, *EXECUTE)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "out" / "1" / "result.json").exists()


def test_quiet_still_says_what_is_wrong(tmp_path: Path) -> None:
    done = subprocess_run(tmp_path, "--quiet", "guest.inputs=[94]")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: guest.inputs[0].n = 94")
    assert done.stderr.count("\n") == 1
    late = ["executor=processes", "executor.timeout_s=0.0001", "retry=never", "guest.count=1"]
    done = subprocess_run(tmp_path, *EXECUTE, "-q", *late)
    assert (done.returncode, done.stdout) == (1, "")
    assert [line.split(": ")[0] for line in done.stderr.splitlines()][-1] == "error"


def test_json_lines_and_one_summary_line(tmp_path: Path) -> None:
    done = subprocess_run(tmp_path, *EXECUTE, "log_format=json", "guest.count=6")
    assert done.returncode == 0
    (summary,) = [json.loads(line) for line in done.stdout.splitlines()]
    record = json.loads((tmp_path / "out" / "result.json").read_text())
    assert (summary["event"], summary["status"], summary["exit_code"]) == (
        "batch_finished",
        "ok",
        0,
    )
    assert summary["run_id"] == record["run_id"]
    assert summary["summary"] == record["summary"]
    assert summary["folder"] == str(tmp_path / "out")
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    events = [line["event"] for line in lines]
    assert events == ["batch_started", *["job_finished"] * 7, "audit_log_sealed"]
    assert {line["run_id"] for line in lines} == {record["run_id"]}
    assert lines[-2]["aggregation_level"] == 1
    assert {line["job"]: line["worker"] for line in lines[1:-1]} == {
        job["name"]: job["worker"] for job in record["jobs"]
    }


def test_json_says_failures_too(tmp_path: Path) -> None:
    late = ["executor=processes", "executor.timeout_s=0.0001", "retry=never", "guest.count=1"]
    done = subprocess_run(tmp_path, *EXECUTE, "log_format=json", *late)
    assert done.returncode == 1
    (summary,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert (summary["status"], summary["exit_code"], summary["summary"]) == ("failed", 1, None)
    assert "no result within" in summary["error"]
    events = [json.loads(line)["event"] for line in done.stderr.splitlines()]
    assert events == ["batch_started", "job_failed", "audit_log_sealed", "error"]
    done = subprocess_run(tmp_path, "log_format=json", "guest=nobody")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = [json.loads(line) for line in done.stderr.splitlines()]
    assert line["message"].startswith("error: guest = 'nobody': unknown")
    assert line["exit_code"] == 2
