"""Adds what happens to jobs and receipts to an audit trail."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal, TypedDict

from runner.audit.events import (
    Executed,
    Failed,
    Proved,
    Rejected,
    Retried,
    SegmentProved,
    SegmentsJoined,
    ServedFromCache,
    Split,
    Started,
    Verified,
)
from runner.errors import ReceiptRejectedError
from runner.events import Event, JobFailed, JobFinished, JobRetried, JobSplit, JobStarted
from runner.model import Step

if TYPE_CHECKING:
    from runner.audit.trail import Trail
    from runner.errors import JobFailedError
    from runner.model import LongRun, Outcome, Part, ProofJob

__all__ = ["AuditObserver", "rejected", "short", "verified"]

_MAX_TEXT = 1000
"""The most characters of a reason; a guest's panic message may have any length."""


class AuditObserver:
    """Adds what happens to jobs to a trail. It is an observer.

    Args:
        trail: the audit trail of the run.
    """

    def __init__(self, trail: Trail) -> None:
        self._trail = trail

    def notice(self, event: Event) -> None:
        """Add an event to the trail; see :class:`runner.events.Observer`."""
        match event:
            case JobStarted():
                self._trail.add(Started(**_of_job(event.job), attempt=event.attempt))
            case JobFinished():
                self._finished(event.job, event.outcome)
            case JobSplit():
                self._split(event.job, event.outcome, event.run)
            case JobRetried():
                self._retried(event)
            case JobFailed():
                self._failed(event.job, event.error)
            case _:
                pass

    def _split(self, job: ProofJob, outcome: Outcome, run: LongRun) -> None:
        self._trail.add(
            Split(
                **_of_job(job),
                journal_sha256=_sha256(run.journal),
                execute_s=outcome.prove_s,
                total_cycles=run.cycles.total,
                segments=len(run.sizes),
                segment_po2=max(run.sizes),
                worker=outcome.worker,
            )
        )

    def _part(self, job: ProofJob, part: Part, outcome: Outcome, made: _OfReceipt) -> None:
        made_by: _OfPart = {
            "cached": outcome.cached,
            "prove_s": outcome.prove_s,
            "attempts": outcome.attempts,
            "worker": outcome.worker,
        }
        first, digest = part.span.first, part.digest.hex()
        self._trail.add(
            SegmentProved(**_of_job(job), segment=first, segment_sha256=digest, **made_by, **made)
            if part.step is Step.SEGMENT
            else SegmentsJoined(
                **_of_job(job),
                step=part.step.value,
                first=first,
                segments=part.span.count,
                **made_by,
                **made,
            )
        )

    def _finished(self, job: ProofJob, outcome: Outcome) -> None:
        if job.part is not None:
            # The receipt of all segments together is that of the job itself, which comes next.
            if not job.part.last and (made := _of_receipt(outcome)) is not None:
                self._part(job, job.part, outcome, made)
            return
        if (made := _of_receipt(outcome)) is not None:
            self._receipt(job, outcome, made)
        else:
            seconds = outcome.prove_s
            self._trail.add(Executed(**_of_job(job), **_of_run(outcome), execute_s=seconds))

    def _receipt(self, job: ProofJob, outcome: Outcome, made: _OfReceipt) -> None:
        if outcome.cached:
            journal = _sha256(outcome.journal)
            self._trail.add(ServedFromCache(**_of_job(job), journal_sha256=journal, **made))
        else:
            seconds = outcome.prove_s
            self._trail.add(Proved(**_of_job(job), **_of_run(outcome), prove_s=seconds, **made))
        self._trail.add(
            verified(
                job.name,
                image_id=outcome.image_id,
                journal=outcome.journal,
                receipt_sha256=made["receipt_sha256"],
                job=job.id,
                by="runner" if outcome.cached and outcome.stored is None else "worker",
                receipts=outcome.verifications,
                verify_s=outcome.verify_s,
            )
        )

    def _retried(self, event: JobRetried) -> None:
        job, error = event.job, event.error
        if isinstance(error, ReceiptRejectedError):
            self._trail.add(rejected(error, job))
        reason = str(error)
        if event.smaller:
            reason += "; cut into smaller segments"
        elif event.fewer:
            reason += f"; at most {event.fewer} at a time from now on"
        self._trail.add(Retried(**_of_job(job), reason=short(reason), wait_s=event.wait_s))

    def _failed(self, job: ProofJob, error: JobFailedError) -> None:
        if isinstance(error.__cause__, ReceiptRejectedError):
            self._trail.add(rejected(error.__cause__, job))
        reason = short(error.reason)
        self._trail.add(Failed(**_of_job(job), attempts=error.attempts, reason=reason))


def verified(  # noqa: PLR0913  # all by name
    name: str,
    *,
    image_id: bytes,
    journal: bytes,
    receipt_sha256: str,
    job: int,
    by: Literal["worker", "runner"],
    receipts: int,
    verify_s: float,
) -> Verified:
    """Return the event of a receipt that was verified and holds.

    Args:
        name: the name of the receipt for people, e.g. ``leaf 3`` or ``root``.
        image_id: the image id that the receipt proves.
        journal: the bytes of the journal that the receipt proves.
        receipt_sha256: the SHA-256 of the encoded receipt in hex.
        job: the id of the job whose receipt it is.
        by: who verified it.
        receipts: the number of receipts that were verified. A worker also verifies those of the
            job's children.
        verify_s: the seconds that all of them took.
    """
    return Verified(
        name=name,
        image_id=image_id.hex(),
        journal_sha256=_sha256(journal),
        receipt_sha256=receipt_sha256,
        job=job,
        by=by,
        receipts=receipts,
        verify_s=verify_s,
    )


def rejected(error: ReceiptRejectedError, job: ProofJob | None = None) -> Rejected:
    """Return the event of a receipt that did not verify, so that it is not used.

    Args:
        error: the error of the verification.
        job: the job whose receipt it is; None if the receipt belongs to no job.
    """
    reason = short(error.reason)
    if job is None:
        return Rejected(what=error.what, reason=reason)
    return Rejected(**_of_job(job), what=error.what, reason=reason)


class _OfJob(TypedDict):
    job: int
    name: str
    guest: str
    image_id: str
    kind: str
    stdin_sha256: str


class _OfRun(TypedDict):
    journal_sha256: str
    total_cycles: int
    segments: int
    attempts: int
    worker: int


class _OfPart(TypedDict):
    cached: bool
    prove_s: float
    attempts: int
    worker: int


class _OfReceipt(TypedDict):
    receipt_sha256: str
    receipt_bytes: int


def _of_job(job: ProofJob) -> _OfJob:
    return {
        "job": job.id,
        "name": job.name,
        "guest": job.guest.name,
        "image_id": job.guest.image_id.hex(),
        "kind": job.kind.value,
        "stdin_sha256": _sha256(job.stdin),
    }


def _of_run(outcome: Outcome) -> _OfRun:
    return {
        "journal_sha256": _sha256(outcome.journal),
        "total_cycles": outcome.cycles.total,
        "segments": outcome.cycles.segments,
        "attempts": outcome.attempts,
        "worker": outcome.worker,
    }


def _of_receipt(outcome: Outcome) -> _OfReceipt | None:
    """The digest and the size of the receipt, wherever it is; None if there is none."""
    if outcome.stored is not None:
        stored = outcome.stored
        return {"receipt_sha256": stored.sha256, "receipt_bytes": stored.size}
    if outcome.receipt is None:
        return None
    return {"receipt_sha256": _sha256(outcome.receipt), "receipt_bytes": len(outcome.receipt)}


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def short(text: str) -> str:
    """Return a reason on one line, cut to a limit."""
    line = " ".join(text.split())
    return line if len(line) <= _MAX_TEXT else f"{line[:_MAX_TEXT]}..."
