"""Whole runs in which something fails: jobs, workers, the runner itself, or the disk."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from runner.batch import outputs
from runner.batch.run import run as run_batch
from runner.engines.processes import ProcessEngine
from runner.errors import BatchFailedError, InputError, InterruptedBatchError
from runner.monitoring import ledger
from runner.provers.worker import perform
from tests import builders
from tests.batch.outcomes import made, metrics, record
from tests.builders import stdin
from tests.fakes.prover import ADAPTER, forged

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runner.batch.settings import Settings
    from runner.model import Outcome, ProofJob
    from runner.provers.prover import ProverSpec
    from tests.fakes.behaviours import Behaviours


def test_a_worker_that_dies_is_retried_and_the_batch_succeeds(
    settings: Settings, behaviours: Behaviours
) -> None:
    behaviours.on("kill", stdin=stdin(2), times=1)
    processes = dataclasses.replace(settings, make_engine=lambda: ProcessEngine(2))
    summary = run_batch(processes)
    assert (made(summary), summary.retries) == ((7, 0), 1)
    attempts = {job["id"]: job["attempts"] for job in record(processes)["jobs"]}
    assert attempts[2] == 2
    found = metrics(processes)
    assert (found["l2_job_retries_total"], found["l2_errors_total"]) == (1, 1)


def test_a_job_that_overruns_is_retried(settings: Settings, behaviours: Behaviours) -> None:
    behaviours.on("hang", stdin=stdin(4), times=1)
    limited = dataclasses.replace(settings, make_engine=lambda: ProcessEngine(2, timeout_s=3.0))
    assert run_batch(limited).retries == 1


def test_a_guest_that_fails_ends_the_batch_and_loses_nothing(
    settings: Settings, behaviours: Behaviours
) -> None:
    behaviours.on("fail", stdin=stdin(5))
    with pytest.raises(BatchFailedError, match=r"leaf 5 failed after 1 attempt.*5 of 7") as caught:
        run_batch(settings)
    assert caught.value.exit_code == 1
    data = record(settings)
    assert data["status"] == "failed"
    assert "leaf 5" in data["error"]
    assert len(list((settings.output / "receipts").iterdir())) == 5
    found = metrics(settings)
    assert found["l2_last_run_exit_status"] == 1
    assert found["l2_proof_generation_total"] == 5
    assert found["l2_errors_total"] == 1
    assert found["l2_last_run_success_timestamp_seconds"] == 0
    behaviours.clear()
    again = dataclasses.replace(settings, output=settings.output.with_name("again"))
    assert made(run_batch(again)) == (2, 5)


def test_on_failure_continue_makes_what_does_not_depend_on_it(
    settings: Settings, behaviours: Behaviours
) -> None:
    behaviours.on("fail", stdin=stdin(0))
    going = dataclasses.replace(
        settings,
        executor=builders.executor("continue"),
        strategy=builders.strategy("two_level", 2),
    )
    with pytest.raises(BatchFailedError, match="7 of 10 jobs"):
        run_batch(going)


def test_a_forged_receipt_never_counts(settings: Settings, behaviours: Behaviours) -> None:
    behaviours.on("forge", stdin=stdin(1))
    with pytest.raises(BatchFailedError, match="receipt rejected"):
        run_batch(settings)
    assert not (settings.output / "root.receipt").exists()
    assert 1 not in [job["id"] for job in record(settings)["jobs"]]


def test_the_root_of_a_worker_that_lies_is_refused(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker says that it has verified the receipt, and it has not."""

    def lying(spec: ProverSpec, job: ProofJob) -> Outcome:
        outcome = perform(spec, job)
        if not job.children or outcome.receipt is None:
            return outcome
        return dataclasses.replace(outcome, receipt=forged(outcome.receipt))

    monkeypatch.setattr("runner.batch.batch_run.perform", lying)
    with pytest.raises(BatchFailedError, match="root: receipt rejected"):
        run_batch(settings)
    assert not (settings.output / "root.receipt").exists()


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let SIGINT interrupt the test, though a shell may have started pytest with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_ends_the_workers_and_keeps_what_is_finished(
    settings: Settings, behaviours: Behaviours
) -> None:
    behaviours.on("hang", stdin=stdin(3))
    engine = ProcessEngine(2)
    stopped = dataclasses.replace(settings, make_engine=lambda: engine)

    def interrupt() -> None:
        deadline = time.monotonic() + 60
        while len(list((stopped.output / "receipts").glob("*"))) < 5:
            assert time.monotonic() < deadline, "the other leaves were never finished"
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(InterruptedBatchError) as caught:
        run_batch(stopped)
    thread.join()
    assert caught.value.exit_code == 130
    assert engine.pids() == []
    assert record(stopped)["status"] == "interrupted"
    assert metrics(stopped)["l2_last_run_exit_status"] == 130
    behaviours.clear()
    again = dataclasses.replace(settings, output=settings.output.with_name("again"))
    assert made(run_batch(again)) == (2, 5)


def test_a_killed_runner_is_resumed_by_the_same_command(
    settings: Settings, behaviours: Behaviours, tmp_path: Path
) -> None:
    behaviours.on("hang", stdin=stdin(5))
    command = [
        *[sys.executable, "-m", "runner", "guest=sha256", "prover.adapter=" + ADAPTER],
        *[f"guests={settings.guests}", "progress=lines"],
    ]
    environment = {**os.environ, "RUNNER_PROOFS": str(tmp_path / "proofs")}
    first = subprocess.Popen(
        [*command, f"output={tmp_path / 'first'}"], env=environment, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while len(list((tmp_path / "first" / "receipts").glob("*"))) < 5:
        assert first.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    first.kill()
    first.wait()
    behaviours.clear()
    subprocess.run(
        [*command, f"output={tmp_path / 'second'}"],
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=120,
    )
    data = json.loads((tmp_path / "second" / "result.json").read_text())
    assert (data["summary"]["made"], data["summary"]["cached"]) == (2, 5)


def test_a_textfile_that_cannot_be_written_at_the_end_does_not_fail_the_batch(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(ledger, "write_textfile", full)
    assert made(run_batch(settings)) == (7, 0)
    assert "No space left on device" in caplog.text
    monkeypatch.undo()
    again = dataclasses.replace(settings, output=settings.output.with_name("again"))
    run_batch(again)
    assert metrics(again)["l2_proof_generation_total"] == 7


def test_a_run_that_never_began_publishes_nothing(settings: Settings) -> None:
    with pytest.raises(InputError):
        run_batch(dataclasses.replace(settings, count=0))
    assert settings.metrics.textfile is not None
    assert not settings.metrics.textfile.exists()
    assert not settings.metrics.textfile.with_name("ledger.json").exists()


def test_a_disk_that_fills_up_at_the_end_fails_the_batch_and_keeps_the_receipts(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(outputs, "write_sums", full)
    with pytest.raises(BatchFailedError, match="No space left on device") as caught:
        run_batch(settings)
    assert caught.value.exit_code == 1
    assert record(settings)["status"] == "failed"
    assert metrics(settings)["l2_last_run_exit_status"] == 1
    assert len(list((settings.output / "receipts").iterdir())) == 7
    again = dataclasses.replace(settings, output=settings.output.with_name("again"))
    monkeypatch.undo()
    assert made(run_batch(again)) == (0, 7)


def test_a_bug_is_recorded_as_a_failure_and_shown_as_a_bug(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(outputs, "summarise", broken)
    with pytest.raises(ZeroDivisionError):
        run_batch(settings)
    assert record(settings)["status"] == "failed"
    assert metrics(settings)["l2_last_run_exit_status"] == 1
