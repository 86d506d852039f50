"""Sweeps on the command line, one job after another in this process or side by side with joblib."""

from __future__ import annotations

import json
import struct
import sys
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runner.cli import command
from runner.errors import InterruptedBatchError
from runner.locks import locked
from runner.metric_table import (
    AGGREGATION,
    AGGREGATION_CACHED_BATCHES,
    AGGREGATION_PROOF_COUNT,
    AGGREGATION_PROOF_GENERATION,
    CACHE_HITS,
    CACHE_MISSES,
    ERRORS,
    GUEST_CYCLES,
    PROOF_GENERATION,
)
from runner.monitoring.ledger import Ledger
from tests.cli.sweeps import (
    EXECUTE,
    FOUR,
    QUIET,
    check_failures,
    fake,
    jobs,
    patch_run,
    records,
    run_ids,
    said,
    side_by_side,
    sweep,
)
from tests.fakes.prover import fake_image_id

if TYPE_CHECKING:
    from tests.fakes.behaviours import Behaviours


pytestmark = pytest.mark.usefixtures("elsewhere")


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
    assert totals.value(AGGREGATION_PROOF_GENERATION) == sum(
        job["level"] > 0 and not job["cached"] for record in ended for job in record["jobs"]
    )
    aggregated = [one for one in sums if one["root_made"]]
    assert totals.value(AGGREGATION) == len(aggregated)
    assert totals.value(AGGREGATION_CACHED_BATCHES) == len(sums) - len(aggregated)
    assert totals.value(AGGREGATION_PROOF_COUNT) == sum(one["leaves"] for one in aggregated)
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


def test_joblib_losing_a_process_is_reported_and_the_same_command_goes_on(
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
    with locked(Path("o/.sweep.lock")):
        assert sweep(monkeypatch, "guest.count=2,3", *EXECUTE) == 2
    assert "another sweep is at work" in capfd.readouterr().err
    with locked(Path("o/.run.lock")):
        assert sweep(monkeypatch, "guest.count=2,3", *EXECUTE) == 2
    assert "another run is at work" in capfd.readouterr().err
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
