"""Sweeps on the command line, one job after another in this process or side by side with joblib."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock

from runner.batch import run as running
from runner.cli import command
from runner.errors import InterruptedBatchError
from runner.files import SHIPPED
from runner.metric_table import (
    AGGREGATION,
    AGGREGATION_PROOF_COUNT,
    CACHE_HITS,
    CACHE_MISSES,
    ERRORS,
    GUEST_CYCLES,
    PROOF_GENERATION,
)
from runner.monitoring.ledger import Ledger
from tests.command import run
from tests.fakes.prover import ADAPTER, fake_image_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.batch.settings import Settings
    from runner.batch.summary import Summary
    from tests.fakes.behaviours import Behaviours

pytestmark = pytest.mark.usefixtures("elsewhere")

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


def test_a_sweep_runs_every_combination(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    strategies = ["strategy=single,two_level,three_level", "strategy.fan_in=2,4,8"]
    assert sweep(monkeypatch, *strategies, "guest=sha256", "guest.count=9", *EXECUTE) == 0
    assert said() == ["ok"] * 9
    done = records(*map(str, range(9)))
    assert {record["root"]["verified_count"] for record in done} == {9}
    plans = [(r["plan"]["strategy"], r["config"]["strategy"]["fan_in"]) for r in done]
    assert len(set(plans)) == 9
    walls = [record["summary"]["wall_s"] for record in done]
    assert [job["wall_s"] for job in jobs()] == walls
    assert "sweep: 9 of 9 jobs are done; outputs in o" in capfd.readouterr().err


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


def test_a_job_that_fails_stops_no_other(
    guests: Path,
    behaviours: Behaviours,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    behaviours.on("fail", stdin=struct.pack("<I", 12))
    code = sweep(monkeypatch, FOUR, "strategy=single", *fake(guests))
    check_failures(code, capfd.readouterr().err)


def test_side_by_side_nothing_is_lost_or_counted_twice(
    guests: Path, behaviours: Behaviours, monkeypatch: pytest.MonkeyPatch
) -> None:
    behaviours.on("fail", stdin=struct.pack("<I", 12))
    shared = ["strategy=single", *fake(guests), "metrics.textfile=shared/runner.prom"]
    done = side_by_side(FOUR, *shared)
    check_failures(done.returncode, done.stderr)
    behaviours.clear()
    more = side_by_side("guest.inputs=[11],[12],[10],[10,11,12],[20,21],[22],[20,22]", *shared)
    assert more.returncode == 0, more.stderr
    assert said() == ["skipped", "ok", "skipped", *["ok"] * 4]

    ended = [json.loads(path.read_text()) for path in Path("o").glob("*/result.json")]
    sums = [record["summary"] for record in ended]
    ledger = Ledger(Path("shared/runner.prom.ledger.json"))
    totals = ledger.read()
    failed = 1
    assert len(ended) == len(ledger.recent()) - failed == 7
    assert {one.run_id for one in ledger.recent()} >= run_ids()
    made = sum(one["made"] for one in sums)
    assert totals.value(PROOF_GENERATION) == made
    assert totals.value(AGGREGATION) == sum(
        job["level"] > 0 and not job["cached"] for record in ended for job in record["jobs"]
    )
    assert totals.value(AGGREGATION_PROOF_COUNT) == sum(one["leaves"] for one in sums)
    assert totals.value(CACHE_HITS) == sum(one["cached"] for one in sums)
    assert totals.value(CACHE_MISSES) == made + failed
    assert totals.value(ERRORS) == failed
    cycles = totals.value(GUEST_CYCLES, guest="fibonacci", type="total")
    assert cycles == sum(
        job["total_cycles"]
        for record in ended
        for job in record["jobs"]
        if job["level"] == 0 and not job["cached"]
    )
    # Every proof was made once, or is counted among those that two jobs made side by side.
    assert len([run for run in behaviours.runs() if run.kind != "execute"]) == made + failed


def test_a_job_that_cannot_be_composed_stops_the_sweep_before_it_starts(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert sweep(monkeypatch, "strategy=single,nobody", *EXECUTE) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("error: strategy = 'nobody': unknown")
    assert err.count("\n") == 1
    assert not Path("o").exists()


def test_the_same_sweep_again_does_only_what_is_missing(
    guests: Path,
    behaviours: Behaviours,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    behaviours.on("fail", stdin=struct.pack("<I", 12))
    command = ["guest.inputs=[10],[12],[11]", "cache=off", *fake(guests), "metrics.textfile=m.prom"]
    assert sweep(monkeypatch, *command) == 1
    before = run_ids()
    behaviours.clear()
    capfd.readouterr()
    assert sweep(monkeypatch, *command) == 0
    assert said() == ["skipped", "ok", "skipped"]
    assert "job 0 guest.inputs=[10]: done before, in 0" in capfd.readouterr().err
    assert len(run_ids() & before) == 2
    assert Ledger(Path("m.prom.ledger.json")).read().value(PROOF_GENERATION) == 3
    assert len(behaviours.runs()) == 4
    # The jobs have other numbers, one is new, and settings of the display make no difference.
    assert sweep(monkeypatch, *command, "guest.inputs=[11],[13],[10]", "progress=lines") == 0
    assert [(job["status"], job["folder"]) for job in jobs()] == [
        ("skipped", "2"),
        ("ok", "3"),
        ("skipped", "0"),
    ]
    assert jobs()[0]["wall_s"] == records("2")[0]["summary"]["wall_s"]
    assert [record["config"]["guest"]["inputs"] for record in records("0", "1", "2", "3")] == [
        [10],
        [12],
        [11],
        [13],
    ]


def test_a_job_whose_programs_or_inputs_changed_is_redone_in_its_folder(
    guests: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("in.jsonl").write_text("10\n")
    command = ["guest.inputs_file=in.jsonl", "strategy=none,single", *fake(guests)]
    for statuses in (["ok", "ok"], ["skipped", "skipped"]):
        assert sweep(monkeypatch, *command) == 0
        assert said() == statuses
    Path("in.jsonl").write_text("11\n")
    assert sweep(monkeypatch, *command) == 0
    assert said() == ["ok", "ok"]
    manifest = json.loads((guests / "manifest.json").read_text())
    elf = guests / manifest["guests"]["aggregator"]["elf"]
    elf.write_bytes(elf.read_bytes() + b"newer")
    entry = manifest["guests"]["aggregator"]
    entry["image_id"] = fake_image_id(elf.read_bytes()).hex()
    entry["elf_sha256"] = sha256(elf.read_bytes()).hexdigest()
    (guests / "manifest.json").write_text(json.dumps(manifest))
    assert sweep(monkeypatch, *command) == 0
    assert said() == ["ok", "ok"]
    assert sorted(path.name for path in Path("o").iterdir() if path.is_dir()) == ["0", "1"]


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


def test_ctrl_c_stops_the_sweep_and_the_same_command_goes_on(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    command = ["guest.count=2,3,4", *EXECUTE]
    with monkeypatch.context() as patch:
        counts = patch_run(patch, InterruptedBatchError("stopped", "o/1"), at=3)
        assert sweep(patch, *command) == 130
        assert counts == [2, 3]
    assert said() == ["ok", "unfinished", "unfinished"]
    assert "1 of 3 jobs are done, 2 unfinished, stopped" in capfd.readouterr().err
    assert sweep(monkeypatch, *command) == 0
    assert said() == ["skipped", "ok", "ok"]


def test_a_bug_in_one_job_is_one_line_and_a_traceback_in_a_file(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    patch_run(monkeypatch, ZeroDivisionError("division by zero"), at=3)
    assert sweep(monkeypatch, "guest.count=2,3,4", *EXECUTE) == 1
    assert said() == ["ok", "failed", "ok"]
    err = capfd.readouterr().err
    assert "Traceback" not in err
    assert "ZeroDivisionError: division by zero" in err
    assert "ZeroDivisionError" in Path("o/1/traceback.txt").read_text()


def test_joblib_losing_a_process_is_said_and_the_same_command_goes_on(
    guests: Path, behaviours: Behaviours
) -> None:
    behaviours.on("kill", stdin=struct.pack("<I", 12))
    command = ["guest.inputs=[10],[12],[11]", *fake(guests), "hydra.launcher.n_jobs=1"]
    command += ["hydra.launcher.pre_dispatch=1"]
    done = side_by_side(*command)
    # With one process joblib runs the jobs itself, so a kill ends the whole sweep.
    assert done.returncode == -9
    behaviours.clear()
    done = side_by_side(*command)
    assert done.returncode == 0, done.stderr
    assert said() == ["skipped", "ok", "ok"]
    behaviours.on("kill", stdin=struct.pack("<I", 20))
    command[0] = "guest.inputs=[10],[20],[21]"
    command[-2] = "hydra.launcher.n_jobs=2"
    done = side_by_side(*command)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "worker died (TerminatedWorkerError" in done.stderr
    assert said()[:2] == ["skipped", "failed"]


def test_a_job_without_a_folder_fails_and_not_the_ones_before_it(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("o").mkdir()
    Path("o/1").write_text("in the way")
    assert sweep(monkeypatch, "guest.count=2,3", *EXECUTE) == 1
    assert said() == ["ok", "failed"]
    assert "File exists: " in capfd.readouterr().err


def test_a_folder_takes_one_sweep_at_a_time(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("o").mkdir()
    with FileLock("o/.sweep.lock"):
        assert sweep(monkeypatch, "guest.count=2,3", *EXECUTE) == 2
    assert "another sweep is at work" in capfd.readouterr().err
    assert sweep(monkeypatch, "guest.count=2,3", *EXECUTE) == 0


def test_an_experiment_is_a_sweep_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["experiment=what_the_cache_saves", "prover=execute", "output=o", *QUIET]
    monkeypatch.setattr(sys, "argv", ["runner", *arguments])
    assert command.main() == 0
    assert [job["overrides"][:2] for job in jobs()] == [
        [f"cache={cache}", f"guest.count={count}"]
        for cache in ("off", "disk")
        for count in (6, 8, 8)
    ]
    assert set(said()) == {"ok"}


def test_settings_of_where_and_how_long_do_not_do_finished_jobs_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    jobs = ["prover=execute", "output=o", "progress=none", "executor.workers=1", "guest.count=1,2"]
    assert sweep(monkeypatch, *jobs) == 0
    moved = ["executor.timeout_s=7200", "cache.folder=elsewhere", "retry.attempts=2"]
    assert sweep(monkeypatch, *jobs, *moved) == 0
    assert said() == ["skipped", "skipped"]


# -- the search ---------------------------------------------------------------------------------

SEARCH = ["hydra/sweeper=optuna", "hydra.sweeper.repeats=2", "strategy=two_level"]


def test_a_search_leaves_its_best_settings_and_the_command_for_them(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    space = ["strategy.fan_in=2,4", "retry.attempts=range(1,3)", "guest.count=5"]
    assert sweep(monkeypatch, *SEARCH, *space, *EXECUTE) == 0
    found = json.loads(Path("o/best.json").read_text())
    assert len(found["trials"]) == 4
    assert len(jobs()) == sum(len(trial["runs"]) for trial in found["trials"])
    for trial in found["trials"]:
        walls = [
            job["wall_s"] for job in jobs() if set(trial["overrides"]) <= set(job["overrides"])
        ]
        assert walls == trial["runs"]
    complete = [trial for trial in found["trials"] if trial["state"] == "complete"]
    assert found["best"]["wall_s"] == min(trial["wall_s"] for trial in complete)
    err = capfd.readouterr().err
    assert f"run it with: {found['command']}" in err
    command = found["command"].split()
    assert command[:3] == ["python", "-m", "runner"]
    assert "output=o" not in command
    assert command[-2:] == found["best"]["overrides"]
    # The search again with more trials: it asks for the same points first, and no run is made anew.
    assert sweep(monkeypatch, *SEARCH, *space, *EXECUTE) == 0
    assert set(said()) == {"skipped"}
    assert json.loads(Path("o/best.json").read_text()) == found


def test_a_search_goes_on_after_trials_that_fail(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    space = ["strategy.fan_in=interval(1,3)", "guest.count=5"]
    assert sweep(monkeypatch, *SEARCH, *space, *EXECUTE) == 2
    found = json.loads(Path("o/best.json").read_text())
    states = {trial["overrides"][0]: trial["state"] for trial in found["trials"]}
    assert states == {
        "strategy.fan_in=1": "failed",
        "strategy.fan_in=2": "complete",
        "strategy.fan_in=3": "complete",
    }
    err = capfd.readouterr().err
    assert "best of 3: strategy.fan_in=" in err
    assert "error: job" in err


BAD_SEARCH: list[tuple[Sequence[str], str]] = [
    (["guest.count=5"], "nothing to search over"),
    (["strategy.fan_in=2,4", "prover=composite"], "add cache=off"),
    (["strategy.fan_in=interval(2,2.5)"], "whole numbers"),
    (["strategy.fan_in=interval(4,2)"], "whole numbers"),
    (["strategy.fan_in=tag(log,interval(0,2))"], "whole numbers"),
    (["strategy=single,nobody"], "strategy = 'nobody'"),
    (["strategy.fan_in=2,4", "hydra.sweeper.n_trials=0"], "hydra.sweeper.n_trials = 0"),
]


@pytest.mark.parametrize(("arguments", "words"), BAD_SEARCH, ids=lambda value: str(value)[:40])
def test_a_search_that_cannot_be_made_says_why_before_it_starts(
    arguments: Sequence[str],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert sweep(monkeypatch, "hydra/sweeper=optuna", *EXECUTE, *arguments) == 2
    err = capfd.readouterr().err
    assert words in err
    assert err.count("\n") == 1
    assert not Path("o").exists()


def test_without_optuna_a_search_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert sweep(monkeypatch, "hydra/sweeper=optuna", "guest.count=2,3", *EXECUTE) == 2
    assert "pip install '.[optuna]'" in capfd.readouterr().err
