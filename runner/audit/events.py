"""The events of the audit log, each as the fields of its line; ``docs/audit.md`` lists them.

Digests are SHA-256 in hex: ``stdin_sha256`` is that of the bytes that the guest read,
``journal_sha256`` that of the bytes that it committed, and ``receipt_sha256`` that of the encoded
receipt. Names that end in ``_s`` are durations in seconds.

A line has the fields in the order in which the class declares them, and a field that is None is
left out. To add an event, declare its class here, describe it in ``docs/audit.md``, and add it to
the trail where it happens: in ``observer.py`` if it happens to a job.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "AuditEvent",
    "Executed",
    "Failed",
    "JobEvent",
    "L1State",
    "Proved",
    "Rejected",
    "Retried",
    "RunFinished",
    "RunStarted",
    "SegmentProved",
    "SegmentsJoined",
    "ServedFromCache",
    "Split",
    "Started",
    "Submitted",
    "Verified",
]


@dataclass(frozen=True, kw_only=True)  # without slots, so that vars() gives the fields in order
class AuditEvent:
    """One event of a run.

    Attributes:
        event: the name of the event in the log.
    """

    event: ClassVar[str]

    def fields(self) -> dict[str, Any]:
        """Return the fields of the event's line."""
        return {name: value for name, value in vars(self).items() if value is not None}


# -- the run --------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class RunStarted(AuditEvent):
    """A run begins: what it is to do, with which versions, and who runs it where."""

    event = "run_started"
    kind: str
    strategy: str
    leaves: int
    jobs: int
    image_ids: Mapping[str, str]
    versions: Mapping[str, str]
    host: str
    uid: int
    pid: int


@dataclass(frozen=True, kw_only=True)
class Submitted(AuditEvent):
    """The result is handed over, which means that its files are in the output folder.

    Whether it is submitted to an L1, too, is said by :class:`L1State`.

    Attributes:
        files: the SHA-256 of each file in hex, by the file's name.
        receipts: the number of receipts that are handed over: one for the root, or one per leaf
            job if nothing was aggregated; 0 if nothing was proved.
    """

    event = "submitted"
    files: Mapping[str, str]
    receipts: int


@dataclass(frozen=True, kw_only=True)
class RunFinished(AuditEvent):
    """The run has ended.

    Attributes:
        status: how the run ended: ``ok``, ``partial``, ``failed`` or ``interrupted``.
        reason: why the status is not ``ok``; None if it is.
    """

    event = "run_finished"
    status: str
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class L1State(AuditEvent):
    """The submission of a batch's root to an L1 is in another state.

    It may come after the run has ended, because submitting is a step of its own.

    Attributes:
        state: where the submission stands.
        what: what it asks of the chain: a verification, or a commitment only.
        key: the batch's key on the chain, in hex.
        registry: the address of the contract.
        transaction: the hash of the transaction that is in a block; None if none is.
        block: the number of that block.
        reason: why, where that needs words.
    """

    event = "l1_state"
    state: str
    what: str
    key: str
    registry: str | None
    transaction: str | None = None
    block: int | None = None
    reason: str | None = None


# -- a job ----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class JobEvent(AuditEvent):
    """An event of one job.

    Attributes:
        job: the job's id in the plan.
        name: the job's name for people, e.g. ``leaf 3``.
        guest: the name of the job's guest.
        image_id: the guest's image id in hex.
        kind: the kind of the job's receipt.
        stdin_sha256: the digest of the guest's input.
    """

    job: int
    name: str
    guest: str
    image_id: str
    kind: str
    stdin_sha256: str


@dataclass(frozen=True, kw_only=True)
class Started(JobEvent):
    """A job goes to a worker."""

    event = "job_started"
    attempt: int


@dataclass(frozen=True, kw_only=True)
class Proved(JobEvent):
    """A worker has made a receipt."""

    event = "proved"
    journal_sha256: str
    prove_s: float
    total_cycles: int
    segments: int
    attempts: int
    worker: int
    receipt_sha256: str
    receipt_bytes: int


@dataclass(frozen=True, kw_only=True)
class Split(JobEvent):
    """A worker has run a guest and found that the run has several segments.

    Each is proved by a job of its own.
    """

    event = "split"
    journal_sha256: str
    execute_s: float
    total_cycles: int
    segments: int
    segment_po2: int
    worker: int


@dataclass(frozen=True, kw_only=True)
class SegmentProved(JobEvent):
    """The receipt of one segment is there and was verified, by ``worker`` or from the cache.

    Attributes:
        segment: the position of the segment, from 0.
        segment_sha256: the digest of the segment's bytes.
        cached: whether the receipt came from the cache.
    """

    event = "segment_proved"
    segment: int
    segment_sha256: str
    cached: bool
    prove_s: float
    attempts: int
    worker: int
    receipt_sha256: str
    receipt_bytes: int


@dataclass(frozen=True, kw_only=True)
class SegmentsJoined(JobEvent):
    """The receipt of one segment was lifted, or those of two spans of segments were joined.

    The new receipt was verified, by ``worker`` or from the cache.

    Attributes:
        step: ``lift`` or ``join``.
        first: the position of the first segment that the receipt is of, from 0.
        segments: the number of these segments.
        cached: whether the receipt came from the cache.
    """

    event = "segments_joined"
    step: str
    first: int
    segments: int
    cached: bool
    prove_s: float
    attempts: int
    worker: int
    receipt_sha256: str
    receipt_bytes: int


@dataclass(frozen=True, kw_only=True)
class Executed(JobEvent):
    """A worker has run a guest in execute mode, which proves nothing."""

    event = "executed"
    journal_sha256: str
    execute_s: float
    total_cycles: int
    segments: int
    attempts: int
    worker: int


@dataclass(frozen=True, kw_only=True)
class ServedFromCache(JobEvent):
    """A receipt came from the cache."""

    event = "served_from_cache"
    journal_sha256: str
    receipt_sha256: str
    receipt_bytes: int


@dataclass(frozen=True, kw_only=True)
class Retried(JobEvent):
    """An attempt at a job has failed, and there will be another one after ``wait_s``."""

    event = "retried"
    reason: str
    wait_s: float


@dataclass(frozen=True, kw_only=True)
class Failed(JobEvent):
    """A job has failed for good."""

    event = "failed"
    attempts: int
    reason: str


# -- a receipt ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Verified(AuditEvent):
    """A receipt was verified and holds.

    Attributes:
        name: the name of the receipt for people, e.g. ``leaf 3`` or ``root``.
        image_id: the image id that the receipt proves, in hex.
        journal_sha256: the digest of the journal that the receipt proves.
        receipt_sha256: the digest of the encoded receipt.
        job: the id of the job whose receipt it is.
        by: who verified it.
        receipts: the number of receipts that were verified. A worker also verifies those of the
            job's children.
        verify_s: the seconds that all of them took.
    """

    event = "verified"
    name: str
    image_id: str
    journal_sha256: str
    receipt_sha256: str
    job: int
    by: Literal["worker", "runner"]
    receipts: int
    verify_s: float


@dataclass(frozen=True, kw_only=True)
class Rejected(AuditEvent):
    """A receipt did not verify, so that it is not used.

    Attributes:
        job: as for :class:`JobEvent`, like the five fields after it. They are None if the receipt
            belongs to no job.
        what: the name of the receipt for people.
        reason: the verifier's words.
    """

    event = "rejected"
    job: int | None = None
    name: str | None = None
    guest: str | None = None
    image_id: str | None = None
    kind: str | None = None
    stdin_sha256: str | None = None
    what: str
    reason: str
