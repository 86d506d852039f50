"""Signals that stop the command: one leaves a whole record, and more of them change nothing."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runner import stopping

pytestmark = pytest.mark.usefixtures("elsewhere")

LONG = ["prover=execute", "guest=sha256", "guest.count=5000", "strategy=none", "progress=none"]
LONG += ["executor.workers=2"]  # some seconds on any machine


def start(*arguments: str, ignored: signal.Signals | None = None) -> subprocess.Popen[str]:
    """Start a batch that takes long, and return once its jobs run."""

    def before() -> None:
        for number in stopping.SIGNALS:  # whatever started the tests may ignore some
            signal.signal(number, signal.SIG_IGN if number == ignored else signal.SIG_DFL)

    command = [sys.executable, "-m", "runner", *arguments, *LONG, "output=out"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=before)  # noqa: PLW1509  # no threads here
    deadline = time.monotonic() + 60
    while not any("job_" in text for text in events()):
        assert time.monotonic() < deadline, "no job has begun"
        assert process.poll() is None
        time.sleep(0.02)
    return process


def events() -> list[str]:
    logs = list(Path("out").rglob("audit.jsonl"))
    return logs[0].read_text().splitlines() if logs else []


def check_whole(folder: Path) -> None:
    """The run has left its record, its metrics, and an audit log with its end."""
    assert json.loads((folder / "result.json").read_text())["status"] == "interrupted"
    assert "l2_last_run_exit_status 130.0" in (folder / "metrics.prom").read_text()
    last = json.loads((folder / "audit.jsonl").read_text().splitlines()[-1])
    assert (last["event"], last["status"]) == ("run_finished", "interrupted")


@pytest.mark.parametrize("number", stopping.SIGNALS, ids=lambda number: number.name)
def test_a_signal_ends_a_batch_with_all_its_records(number: signal.Signals) -> None:
    process = start()
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    check_whole(Path("out"))


@pytest.mark.parametrize("number", stopping.SIGNALS, ids=lambda number: number.name)
def test_signals_while_a_batch_is_closing_do_not_interrupt_it(number: signal.Signals) -> None:
    process = start()
    process.send_signal(signal.SIGTERM)
    while process.poll() is None:
        process.send_signal(number)
        time.sleep(0.002)
    _, said = process.communicate(timeout=60)
    # The interpreter's own end is no part of the closing, but nothing is left to be written then.
    assert process.returncode in (130, -number), said
    assert "Traceback" not in said
    check_whole(Path("out"))
    assert f"{number.name} came while the run was closing" in Path("out/run.log").read_text()


def test_a_sweep_that_lost_its_terminal_stops_and_has_its_record() -> None:
    process = start("-m", "retry.attempts=1,2")
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGHUP)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    check_whole(Path("out/0"))
    assert json.loads(Path("out/sweep.json").read_text())["exit_code"] == 130


def test_what_nohup_ignores_stays_ignored() -> None:
    process = start(ignored=signal.SIGHUP)
    process.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 130


def test_a_signal_that_was_held_up_is_not_lost() -> None:
    before = {number: signal.getsignal(number) for number in stopping.SIGNALS}
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
    try:
        stopping.install()
        with stopping.closing():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            stopping.check()
        stopping.install()
        stopping.check()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        stopping._state = stopping._State()
