"""The events of a run on their way into the audit log."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from runner.audit import trail as trail_module
from runner.audit.events import AuditEvent
from runner.audit.log import AuditLog, Head
from runner.audit.trail import AuditTrail
from runner.errors import AuditError
from tests.audit.logs import events, names
from tests.threads import side_by_side

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class A(AuditEvent):
    event = "a"
    job: int | None = None


@dataclass(frozen=True, kw_only=True)
class B(AuditEvent):
    event = "b"
    job: int | None = None


def test_events_are_on_disk_soon_and_at_the_end_at_the_latest(path: Path) -> None:
    with AuditTrail(path, "r1", every_s=0.0) as trail:
        trail.add(A(job=1))
        until = time.monotonic() + 30
        while not path.exists() or len(events(path)) < 2:
            assert time.monotonic() < until
            time.sleep(0.005)
    with AuditTrail(path, "r2", every_s=3600.0) as trail:
        for number in range(20):
            trail.add(B(job=number))
        head = trail.finish("ok", None)
    found = events(path)
    assert head == Head(23, found[-1]["hash"])
    assert [event["job"] for event in found[2:-1]] == list(range(20))
    assert [event["run"] for event in found[1:]] == ["r1"] + ["r2"] * 21
    assert (found[-1]["event"], found[-1]["status"]) == ("run_finished", "ok")


def test_events_do_not_pile_up_in_memory(path: Path) -> None:
    with AuditTrail(path, "r1", every_s=3600.0) as trail:
        for number in range(2_500):
            trail.add(B(job=number))
            assert len(trail._events) < trail_module._MOST_WAITING
        trail.finish("ok", None)
    assert [event["job"] for event in events(path)[1:-1]] == list(range(2_500))


def test_a_run_is_sealed_by_its_own_last_line(path: Path) -> None:
    def runs(who: str) -> None:
        for number in range(30):
            with AuditTrail(path, f"{who}{number}", every_s=0.0) as trail:
                trail.add(A())
                heads[f"{who}{number}"] = trail.finish("ok", None)

    heads: dict[str, Head] = {}
    side_by_side(runs, "xyz")
    found = events(path)
    assert len(found) == 1 + 3 * 30 * 2
    for run, head in heads.items():
        sealed = found[head.lines - 1]
        last = (sealed["run"], sealed["event"], sealed["hash"])
        assert last == (run, "run_finished", head.hash)


def test_events_wait_while_the_log_cannot_be_written(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    append, tried = AuditLog.append, threading.Event()

    def broken(self: AuditLog, waiting: list[dict[str, Any]]) -> Head:
        tried.set()
        raise AuditError(str(self.path), "no space left")

    monkeypatch.setattr(AuditLog, "append", broken)
    with AuditTrail(path, "r1", every_s=0.0) as trail:
        trail.add(A())
        assert tried.wait(30)
        trail.add(B())
        with pytest.raises(AuditError):
            trail.finish("ok", None)
        monkeypatch.setattr(AuditLog, "append", append)
        trail.finish("failed", "no space left")
    assert names(path) == ["log_opened", "a", "b", "run_finished", "run_finished"]
    assert "trying again" in caplog.text
