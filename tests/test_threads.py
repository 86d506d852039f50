"""Threads start whole or not at all, and a call that never returns is given up."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

import pytest

from runner import stopping, threads
from runner.audit.trail import AuditTrail
from runner.engines.processes import ProcessEngine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The first thread that is started is started under a Ctrl-C."""
    original = threading.Thread.start
    left = [signal.SIGINT]

    def start(thread: threading.Thread) -> None:
        if left:
            signal.raise_signal(left.pop())
        original(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    with stopping.installed():
        yield


@pytest.mark.usefixtures("interrupted")
def test_an_interrupted_engine_shuts_down() -> None:
    engine = ProcessEngine(workers=1)
    with pytest.raises(KeyboardInterrupt):
        engine.submit(abs, -1)
    engine.shutdown(cancel_futures=True)
    assert not engine.pids()


@pytest.mark.usefixtures("interrupted")
def test_an_interrupted_audit_log_keeps_what_it_was_told(tmp_path: Path) -> None:
    trail = AuditTrail(tmp_path / "audit.jsonl", "run")
    with pytest.raises(KeyboardInterrupt):
        trail.__enter__()
    trail.__exit__()
    assert trail.finish("interrupted", "stopped").lines == 2  # after the line that opens a log


@pytest.mark.usefixtures("interrupted")
def test_a_held_signal_interrupts_once() -> None:
    with pytest.raises(KeyboardInterrupt):
        threads.start("work", lambda: None)
    threads.start("work", lambda: None)
    stopping.check()


def test_a_signal_that_comes_again_does_not_interrupt_the_closing() -> None:
    with stopping.installed():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with stopping.held():
            signal.raise_signal(signal.SIGINT)


def test_a_call_that_does_not_return_is_given_up() -> None:
    never = threading.Event()
    try:
        with pytest.raises(TimeoutError, match=r"^no answer within 0\.05 s$"):
            threads.within(0.05, "never", never.wait)
    finally:
        never.set()


def test_the_own_timeout_of_a_call_is_its_own() -> None:
    def late() -> None:
        raise TimeoutError("late")

    with pytest.raises(TimeoutError, match=r"^late$"):
        threads.within(5, "late", late)
