"""What whole runs write into the audit log."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from runner.audit.log import AuditLog, Head, read_log
from runner.batch.run import run as run_batch
from runner.cli import command
from runner.errors import AuditError, BatchFailedError, InputError, InterruptedBatchError
from runner.files import SHIPPED
from runner.model import ReceiptKind
from tests import builders
from tests.audit.runs import check, counts, events, sealed, sha256
from tests.builders import stdin
from tests.cache.entries import rewrite
from tests.fakes.behaviours import FOLDER_VARIABLE, Behaviours
from tests.fakes.prover import ADAPTER, forged, leaf_journal

if TYPE_CHECKING:
    from runner.batch.settings import Settings


def test_a_proved_batch_is_logged_from_start_to_end(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    run_batch(settings)
    found = events(settings)
    assert [event["event"] for event in found[:3]] == ["log_opened", "run_started", "job_started"]
    assert [event["event"] for event in found[-3:]] == ["verified", "submitted", "run_finished"]
    # Each was verified by its worker, and the root once more by the runner.
    told = {"log_opened": 1, "run_started": 1, "job_started": 7, "proved": 7, "verified": 8}
    assert counts(settings) == told | {"submitted": 1, "run_finished": 1}
    record = json.loads((settings.output / "result.json").read_text())
    assert {event["run"] for event in found[1:]} == {record["run_id"]}
    started = found[1]
    assert started["versions"]["zkvm_version"] == "1.0.0"
    assert started["image_ids"] == {n: g["image_id"] for n, g in record["guests"].items()}
    assert (started["kind"], started["leaves"], started["jobs"]) == ("composite", 6, 7)

    proved = {event["job"]: event for event in found if event["event"] == "proved"}
    data = stdin(3)
    assert proved[3]["stdin_sha256"] == sha256(data)
    assert proved[3]["journal_sha256"] == sha256(leaf_journal("sha256", data))
    assert proved[3]["prove_s"] == record["jobs"][3]["prove_s"]
    root = (settings.output / "root.receipt").read_bytes()
    assert proved[6]["receipt_sha256"] == sha256(root)
    verified = [event for event in found if event["event"] == "verified"]
    assert [event["by"] for event in verified] == ["worker"] * 7 + ["runner"]
    assert verified[-1]["name"] == "root"
    assert verified[-1]["receipt_sha256"] == sha256(root)
    files = {name: (settings.output / name).read_bytes() for name in ("leaves.jsonl",)}
    assert found[-2]["files"] == {
        "leaves.jsonl": sha256(files["leaves.jsonl"]),
        "root.receipt": sha256(root),
    }
    assert sealed(settings) == {
        "file": "audit.jsonl",
        "lines": len(found),
        "hash": found[-1]["hash"],
    }
    code, line = check(capsys, settings.output)
    assert code == 0
    assert line.startswith(f"HOLDS: {settings.audit}: {len(found)} lines, 1 run (1 ok); the last")
    assert check(capsys, settings.audit)[0] == 0


def test_runs_share_a_log_and_the_chain_goes_on(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shared = tmp_path / "var" / "log" / "audit.jsonl"
    one = dataclasses.replace(settings, audit=shared)
    two = dataclasses.replace(one, output=tmp_path / "again")
    run_batch(one)
    before = shared.read_bytes()
    run_batch(two)
    assert shared.read_bytes().startswith(before)
    assert sealed(two)["file"] == str(shared)
    again = events(two)[sealed(one)["lines"] :]
    # The second run took everything from the cache, and verified each proof and the root once more.
    told = Counter(event["event"] for event in again)
    assert told == Counter(
        run_started=1, served_from_cache=7, verified=8, submitted=1, run_finished=1
    )
    assert all(event["by"] == "runner" for event in again if event["event"] == "verified")
    for folder in (one.output, two.output):
        assert check(capsys, folder)[0] == 0
    code, line = check(capsys, shared)
    assert "2 runs (2 ok)" in line
    # Each folder knows where its run ended, so it shows whether the log was cut off before that.
    shared.write_bytes(before)
    assert check(capsys, shared)[0] == check(capsys, one.output)[0] == 0
    code, line = check(capsys, two.output)
    assert code == 1
    assert f"line {sealed(one)['lines'] + 1}: " in line
    assert "it is missing" in line


def test_execution_is_not_called_a_proof(settings: Settings) -> None:
    execute = builders.prover(ReceiptKind.EXECUTE)
    run_batch(dataclasses.replace(settings, prover=execute))
    told = counts(settings)
    assert told["executed"] == 7
    assert told["proved"] == told["verified"] == 0
    assert [e["receipts"] for e in events(settings) if e["event"] == "submitted"] == [0]


def test_without_aggregation_every_leaf_is_verified_again(settings: Settings) -> None:
    none = dataclasses.replace(settings.strategy, name="none")
    run_batch(dataclasses.replace(settings, strategy=none))
    assert counts(settings)["verified"] == 12
    (submitted,) = [e for e in events(settings) if e["event"] == "submitted"]
    assert submitted["receipts"] == 6
    assert list(submitted["files"]) == ["leaves.jsonl"]


def test_rejected_retried_and_failed_jobs_are_logged(
    settings: Settings, behaviours: Behaviours, capsys: pytest.CaptureFixture[str]
) -> None:
    behaviours.on("forge", stdin=stdin(1), times=1)
    behaviours.on("transient", stdin=stdin(2), times=2)
    behaviours.on("fail", stdin=stdin(4))
    makes_what_it_can = dataclasses.replace(settings.executor, on_failure="continue")
    with pytest.raises(BatchFailedError):
        run_batch(dataclasses.replace(settings, executor=makes_what_it_can))
    found = events(settings)
    by_job: dict[int, list[str]] = {}
    for event in found:
        if "job" in event:
            by_job.setdefault(event["job"], []).append(event["event"])
    made = ["job_started", "proved", "verified"]
    assert by_job[1] == ["job_started", "rejected", "retried", *made]
    assert by_job[2] == ["job_started", "retried"] * 2 + made
    assert by_job[4] == ["job_started", "failed"]
    assert "told to fail" in next(e["reason"] for e in found if e["event"] == "failed")
    assert found[-1]["event"] == "run_finished"
    assert found[-1]["status"] == "failed"
    assert "leaf 4 failed" in found[-1]["reason"]
    assert "submitted" not in counts(settings)
    code, line = check(capsys, settings.output)
    assert (code, "1 run (1 failed)" in line) == (0, True)


def test_a_cache_entry_that_does_not_hold_is_logged(settings: Settings) -> None:
    run_batch(settings)
    blobs = sorted((builders.cache_folder(settings) / "objects").glob("*/*"))
    for blob in blobs:  # the index goes too, so that only the verifier can tell
        rewrite(blob, forged)
    (builders.cache_folder(settings) / "index.sqlite").unlink()
    again = dataclasses.replace(settings, output=settings.output.with_name("again"))
    run_batch(dataclasses.replace(again, audit=again.output / "audit.jsonl"))
    found = [line.fields for line in read_log(again.output / "audit.jsonl")]
    rejected = [event for event in found if event["event"] == "rejected"]
    assert len(rejected) == 7
    assert all("cache entry" in event["what"] for event in rejected)
    assert sorted(event["job"] for event in rejected) == list(range(7))


def test_an_interrupted_run_is_logged(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("runner.batch.outputs.summarise", stopped)
    with pytest.raises(InterruptedBatchError):
        run_batch(settings)
    assert events(settings)[-1]["status"] == "interrupted"
    assert "1 interrupted" in check(capsys, settings.output)[1]


def test_a_log_that_takes_no_line_is_found_before_any_proof(
    settings: Settings, behaviours: Behaviours
) -> None:
    assert settings.audit is not None
    settings.output.mkdir()
    settings.audit.write_text("something else\n")
    with pytest.raises(InputError, match=r"audit\.file = .*something else than an audit log"):
        run_batch(settings)
    nowhere = dataclasses.replace(settings, audit=Path("/proc/no/audit.jsonl"))
    with pytest.raises(InputError, match=r"audit\.file = '/proc/no'.*choose a folder"):
        run_batch(nowhere)
    assert behaviours.runs() == []


def test_a_run_whose_log_cannot_be_written_has_failed_and_loses_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: AuditLog, waiting: list[dict[str, Any]]) -> Head:
        raise AuditError(str(self.path), "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(AuditLog, "append", full)
        with pytest.raises(BatchFailedError, match=r"audit log .*No space left.*7 of 7 jobs"):
            run_batch(settings)
    assert sealed(settings) is None
    assert not (settings.output / "SHA256SUMS").exists()
    assert len(list((settings.output / "receipts").iterdir())) == 7
    again = dataclasses.replace(settings, output=settings.output.with_name("again"))
    summary = run_batch(again)
    assert (summary.made, summary.cached) == (0, 7)


def test_a_killed_run_leaves_a_log_that_holds(
    tmp_path: Path, guests: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "behaviours"
    folder.mkdir()
    Behaviours(folder).on("hang", guest="aggregator")
    command = [
        *(sys.executable, "-m", "runner", "executor.workers=1", f"guests={guests}"),
        *(f"prover.adapter={ADAPTER}", "guest=sha256", "strategy=single", "output=out"),
    ]
    log = tmp_path / "out" / "audit.jsonl"
    env = os.environ | {
        "PYTHONPATH": str(SHIPPED),
        "RUNNER_PROOFS": str(tmp_path / "proofs"),
        FOLDER_VARIABLE: str(folder),
    }
    with subprocess.Popen(command, cwd=tmp_path, env=env, stderr=subprocess.DEVNULL) as process:
        until = time.monotonic() + 60
        while not log.exists() or log.read_bytes().count(b'"event":"job_started"') < 7:
            assert time.monotonic() < until
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "out" / "result.json").exists()
    code, line = check(capsys, tmp_path / "out")
    assert code == 0
    assert "1 run (1 without an end)" in line
    told = Counter(line.fields["event"] for line in read_log(log))
    assert (told["proved"], told["job_started"], told["run_finished"]) == (6, 7, 0)
    # The next run goes on in the same log with the proofs that are in the cache.
    Behaviours(folder).clear()
    subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, check=True)
    assert "2 runs (1 ok, 1 without an end)" in check(capsys, tmp_path / "out")[1]
    assert Counter(line.fields["event"] for line in read_log(log))["served_from_cache"] == 6


# -- the command line -------------------------------------------------------------------------


def test_by_default_every_run_has_a_log_of_its_own_and_off_means_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["prover=execute", "executor=inline", "progress=none", "guest.count=3"]

    def run(*more: str) -> int:
        monkeypatch.setattr(sys, "argv", ["runner", *more, *arguments])
        return command.main()

    assert run("output=own") == 0
    assert check(capsys, "own")[0] == 0
    head = json.loads((tmp_path / "own" / "result.json").read_text())["audit"]
    assert f"line {head['lines']} is {head['hash']}" in (tmp_path / "own" / "run.log").read_text()
    assert run("output=none", "audit=off") == 0
    assert not list((tmp_path / "none").glob("audit*"))
    assert check(capsys, "none")[0] == 2
    assert run("--multirun", "strategy=none,single", "output=o", "audit.file=shared.jsonl") == 0
    assert "2 runs (2 ok)" in check(capsys, "shared.jsonl")[1]
    assert [check(capsys, f"o/{i}")[0] for i in range(2)] == [0, 0]
    assert run("output=bad", "audit.file=own/result.json") == 2
    assert "audit.file = 'own/result.json'" in capsys.readouterr().err
