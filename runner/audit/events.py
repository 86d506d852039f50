"""What the audit log says about each event; ``docs/audit.md`` lists all events.

Digests are SHA-256 in hex: ``stdin_sha256`` is that of the bytes that the guest read,
``journal_sha256`` that of the bytes that it committed, and ``receipt_sha256`` that of the encoded
receipt. Durations are in seconds.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from runner.errors import ReceiptRejectedError
from runner.events import Event, JobFailed, JobFinished, JobRetried, JobStarted
from runner.model import ReceiptKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runner.audit.trail import Trail
    from runner.errors import JobFailedError
    from runner.model import Outcome, ProofJob

__all__ = [
    "AuditObserver",
    "rejected",
    "short",
    "submitted",
    "verified",
]

_MAX_TEXT = 1000
"""The most characters of a reason; a guest's panic message may have any length."""


def submitted(trail: Trail, files: Mapping[str, str], receipts: int) -> None:
    """Record that the result was handed over, which means that its files are in the output folder.

    There is no L1 that it is submitted to.

    Args:
        trail: the audit trail of the run.
        files: the SHA-256 of each file in hex, by the file's name.
        receipts: the number of receipts that were handed over: one for the root, or one per leaf
            job if nothing was aggregated; 0 if nothing was proved.
    """
    trail.add("submitted", files=dict(files), receipts=receipts)


def verified(
    trail: Trail, what: str, *, image_id: bytes, journal: bytes, receipt: bytes, **more: object
) -> None:
    """Record that a receipt was verified and holds.

    Args:
        trail: the audit trail of the run.
        what: the name of the receipt for people, e.g. ``leaf 3`` or ``root``.
        image_id: the image id that the receipt proves.
        journal: the bytes of the journal that the receipt proves.
        receipt: the encoded receipt.
        more: further fields, e.g. who verified it (``worker`` or ``runner``) and how long it took.
    """
    trail.add(
        "verified",
        name=what,
        image_id=image_id.hex(),
        journal_sha256=_sha256(journal),
        receipt_sha256=_sha256(receipt),
        **more,
    )


def rejected(trail: Trail, error: ReceiptRejectedError, job: ProofJob | None = None) -> None:
    """Record that a receipt did not verify, so that it is not used.

    Args:
        trail: the audit trail of the run.
        error: the error of the verification.
        job: the job whose receipt it is; None if the receipt belongs to no job.
    """
    about = _of(job) if job is not None else {}
    trail.add("rejected", **about, what=error.what, reason=short(error.reason))


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
                self._trail.add("job_started", **_of(event.job), attempt=event.attempt)
            case JobFinished():
                self._finished(event.job, event.outcome)
            case JobRetried():
                self._retried(event.job, event.error, event.wait_s)
            case JobFailed():
                self._failed(event.job, event.error)
            case _:
                pass

    def _finished(self, job: ProofJob, outcome: Outcome) -> None:
        if outcome.receipt is None:
            self._trail.add("executed", **_of(job), **_made(outcome))
        else:
            self._receipt(job, outcome, outcome.receipt)

    def _retried(self, job: ProofJob, error: BaseException, wait_s: float) -> None:
        if isinstance(error, ReceiptRejectedError):
            rejected(self._trail, error, job)
        self._trail.add("retried", **_of(job), reason=short(str(error)), wait_s=wait_s)

    def _failed(self, job: ProofJob, error: JobFailedError) -> None:
        if isinstance(error.__cause__, ReceiptRejectedError):
            rejected(self._trail, error.__cause__, job)
        self._trail.add("failed", **_of(job), attempts=error.attempts, reason=short(error.reason))

    def _receipt(self, job: ProofJob, outcome: Outcome, receipt: bytes) -> None:
        digest = {"receipt_sha256": _sha256(receipt), "receipt_bytes": len(receipt)}
        if outcome.cached:
            journal = {"journal_sha256": _sha256(outcome.journal)}
            self._trail.add("served_from_cache", **_of(job), **journal, **digest)
        else:
            self._trail.add("proved", **_of(job), **_made(outcome), **digest)
        # The count includes the children's receipts, which a worker verifies as well.
        verified(
            self._trail,
            job.name,
            image_id=outcome.image_id,
            journal=outcome.journal,
            receipt=receipt,
            job=job.id,
            by="runner" if outcome.cached else "worker",
            receipts=outcome.verifications,
            verify_s=outcome.verify_s,
        )


def _of(job: ProofJob) -> dict[str, Any]:
    return {
        "job": job.id,
        "name": job.name,
        "guest": job.guest.name,
        "image_id": job.guest.image_id.hex(),
        "kind": job.kind.value,
        "stdin_sha256": _sha256(job.stdin),
    }


def _made(outcome: Outcome) -> dict[str, Any]:
    seconds = "execute_s" if outcome.kind is ReceiptKind.EXECUTE else "prove_s"
    return {
        "journal_sha256": _sha256(outcome.journal),
        seconds: outcome.prove_s,
        "total_cycles": outcome.cycles.total,
        "segments": outcome.cycles.segments,
        "attempts": outcome.attempts,
        "worker": outcome.worker,
    }


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def short(text: str) -> str:
    """A reason on one line, cut to a limit."""
    line = " ".join(text.split())
    return line if len(line) <= _MAX_TEXT else f"{line[:_MAX_TEXT]}..."
