"""The events of the audit log: the bytes of their lines, and that each is described."""

from __future__ import annotations

import hashlib
import re
import uuid
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

from runner.audit import observer
from runner.audit.events import AuditEvent, JobEvent, L1State, RunStarted, Submitted
from runner.audit.log import read_log
from runner.audit.observer import AuditObserver, rejected, verified
from runner.audit.trail import AuditTrail, append
from runner.errors import JobFailedError, ReceiptRejectedError, WorkerDiedError
from runner.events import (
    JobFailed,
    JobFinished,
    JobRetried,
    JobSplit,
    JobStarted,
    LoadMeasured,
)
from runner.files import SHIPPED
from runner.model import Cycles, Guest, LongRun, Outcome, Part, ProofJob, ReceiptKind, Span, Step

if TYPE_CHECKING:
    import pytest

    from runner.audit.trail import Trail

EVERY_EVENT = Path(__file__).parent / "data" / "every_event.jsonl"
"""A log with every event, as runs have written it since there is an audit log."""

GUEST = Guest("sha256", bytes(range(32)), Path("/nowhere"), "00" * 32)
JOB = ProofJob(3, "leaf 3", GUEST, b"stdin", (), ReceiptKind.SUCCINCT)
OUTCOME = Outcome(
    job_id=3,
    image_id=GUEST.image_id,
    journal=b"journal",
    receipt=b"receipt",
    kind=ReceiptKind.SUCCINCT,
    cycles=Cycles(1000, 2000, 16384, 1),
    prove_s=12.5,
    verify_s=0.25,
    verifications=3,
    worker=1064,
    started=0.0,
    finished=12.5,
    attempts=2,
)


def test_the_lines_of_all_events_are_those_of_earlier_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Byte for byte, by the hash of each line over those before it."""
    monkeypatch.setattr(uuid, "uuid4", lambda: SimpleNamespace(hex="0" * 32))
    path = tmp_path / "audit.jsonl"
    trail = AuditTrail(path, "a1", clock=lambda: 1.5)
    trail.add(
        RunStarted(
            kind="succinct",
            strategy="single",
            leaves=6,
            jobs=7,
            image_ids={"sha256": "00ff"},
            versions={"runner": "1", "zkvm": "risc0", "zkvm_version": "3"},
            host="here",
            uid=1000,
            pid=42,
        )
    )
    refused = ReceiptRejectedError("leaf 3", "the seal is wrong")
    failure = JobFailedError("leaf 3", 3, "the seal is wrong")
    failure.__cause__ = refused
    executed = replace(OUTCOME, receipt=None, kind=ReceiptKind.EXECUTE)
    watching = AuditObserver(trail)
    for event in (
        JobStarted(JOB, 2),
        JobFinished(JOB, OUTCOME),
        JobFinished(JOB, replace(OUTCOME, cached=True)),
        JobFinished(replace(JOB, kind=ReceiptKind.EXECUTE), executed),
        JobRetried(JOB, WorkerDiedError("signal\n SIGKILL"), 1.5),
        JobRetried(JOB, refused, 0.0),
        JobFailed(JOB, failure),
        LoadMeasured(1, 2),
    ):
        watching.notice(event)
    trail.add(rejected(ReceiptRejectedError("root", "it does not hold")))
    trail.add(
        verified(
            "root",
            image_id=GUEST.image_id,
            journal=b"j",
            receipt_sha256=hashlib.sha256(b"r").hexdigest(),
            job=6,
            by="runner",
            receipts=1,
            verify_s=0.5,
        )
    )
    trail.add(Submitted(files={"leaves.jsonl": "aa", "root.receipt": "bb"}, receipts=1))
    trail.finish("failed", "leaf 3 failed")
    trail.finish("ok", None)
    settled = L1State(
        state="confirmed",
        what="commitment only, not verified on chain",
        key="cc",
        registry="0xdd",
        transaction="0xee",
        block=7,
    )
    append(path, "a1", settled, clock=lambda: 1.5)
    run = LongRun(b"journal", Cycles(1000, 2000, 3 << 20, 3), 20, (20, 20, 20))
    watching.notice(JobSplit(JOB, replace(OUTCOME, receipt=None, long=run), run))
    third = Part(Step.SEGMENT, Span(2, 1), 3, 20, bytes(range(32)))
    watching.notice(JobFinished(replace(JOB, part=third), OUTCOME))
    trail.finish("ok", None)
    joined = Part(Step.JOIN, Span(0, 3), 3, digest=bytes(32))
    watching.notice(JobFinished(replace(JOB, part=joined), OUTCOME))
    trail.finish("ok", None)
    assert path.read_bytes() == EVERY_EVENT.read_bytes()


def test_a_log_of_an_earlier_version_holds_and_has_every_event() -> None:
    found = {line.event for line in read_log(EVERY_EVENT)}
    assert found == {kind.event for kind in kinds()} | {"log_opened"}


def test_every_event_is_described() -> None:
    written = {kind.event for kind in kinds()}
    # The log itself writes the lines about its own state.
    log = (SHIPPED / "runner" / "audit" / "log.py").read_text()
    written |= set(re.findall(r'"event": "(\w+)"', log))
    text = (SHIPPED / "docs" / "audit.md").read_text()
    table = text[text.index("| event | when |") : text.index("## When it is written")]
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == written


def test_a_long_reason_is_cut() -> None:
    assert observer.short("a\n b") == "a b"
    assert observer.short("x" * 1000) == "x" * 1000
    assert observer.short("x" * 1001) == "x" * 1000 + "..."


def never_called(trail: Trail) -> None:
    """Uses that a type checker refuses; mypy reports an ignore that is not needed."""
    trail.add("submitted")  # type: ignore[arg-type]
    trail.add(Submitted(files={}))  # type: ignore[call-arg]
    trail.add(Submitted(files={}, receipt=1))  # type: ignore[call-arg]
    trail.add(Submitted(files={}, receipts="1"))  # type: ignore[arg-type]


def kinds() -> list[type[AuditEvent]]:
    """The classes of all events that a run adds."""
    shipped = [
        kind for kind in AuditEvent.__subclasses__() if kind.__module__.startswith("runner.")
    ]
    return [kind for kind in [*shipped, *JobEvent.__subclasses__()] if kind is not JobEvent]
