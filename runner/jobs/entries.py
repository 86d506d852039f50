"""A job's proof as a cache has it: its key, what it was made from, and the check before its use."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING

from runner.cache.keys import proof_key
from runner.cache.origins import MadeFrom, Origin
from runner.errors import ReceiptRejectedError
from runner.model import Outcome, ReceiptKind, Step
from runner.provers.verifying import verify_receipt

if TYPE_CHECKING:
    from runner.cache.cache import Entry
    from runner.model import Part, ProofJob
    from runner.provers.prover import Prover

__all__ = ["found", "job_key", "job_origin", "part_key", "part_kind", "part_origin", "verify_entry"]


def job_key(prover: Prover, job: ProofJob) -> str:
    """Return the key of a job's proof in the cache."""
    versions = prover.versions
    return proof_key(
        zkvm=versions.zkvm,
        zkvm_version=versions.zkvm_version,
        kind=job.kind,
        image_id=job.guest.image_id,
        stdin=job.stdin,
        # The input of an aggregation says its children's claims itself.
        claims=((child.image_id, child.journal) for child in job.children) if _is_leaf(job) else (),
    )


def _is_leaf(job: ProofJob) -> bool:
    return job.expected is None


def job_origin(prover: Prover, job: ProofJob) -> Origin:
    """Return what a job's proof is made from, as the cache records it."""
    versions = prover.versions
    return Origin(
        guest=job.guest.name,
        stdin=hashlib.sha256(job.stdin).hexdigest(),
        zkvm=versions.zkvm,
        zkvm_version=versions.zkvm_version,
        children=len(job.children),
    )


def part_key(prover: Prover, part: Part) -> str:
    """Return the key of the receipt of a part of a run. The part's digest stands for all of it."""
    versions = prover.versions
    return proof_key(
        zkvm=versions.zkvm,
        zkvm_version=versions.zkvm_version,
        kind=part_kind(part),
        image_id=part.digest,
        stdin=part.step.value.encode(),
    )


def part_kind(part: Part) -> ReceiptKind:
    """Return the kind of the receipt of a part of a run."""
    return ReceiptKind.COMPOSITE if part.step is Step.SEGMENT else ReceiptKind.SUCCINCT


def part_origin(prover: Prover, job: ProofJob, part: Part) -> Origin:
    """Return what the receipt of a part of a run is made from, as the cache records it."""
    versions = prover.versions
    return Origin(
        guest=f"{part.step.value} of {job.guest.name}",
        stdin=part.digest.hex(),
        zkvm=versions.zkvm,
        zkvm_version=versions.zkvm_version,
        children=0,
    )


def verify_entry(
    prover: Prover, job: ProofJob, key: str, data: bytes, made_from: MadeFrom | None
) -> bytes:
    """Verify that a cache entry is the proof of a job.

    A leaf's receipt proves its journal, and not which input the guest read. So what the entry was
    made from is compared as well, where the cache says it.

    Args:
        prover: the prover that verifies the receipt.
        job: the job that was looked up.
        key: the key of the entry, which an error names.
        data: the encoded receipt in the entry.
        made_from: what the entry was made from, or None if the cache does not say.

    Returns:
        The journal that the receipt proves.

    Raises:
        ReceiptRejectedError: the receipt does not verify, is of another kind than the job asks
            for, or was made from something else.
    """
    what = f"cache entry {key[:16]}"
    if made_from is not None:
        asked = MadeFrom(job.guest.image_id.hex(), job.kind.value, job_origin(prover, job))
        if differences := made_from.differences(asked):
            words = ", ".join(differences)
            raise ReceiptRejectedError(what, f"it was made from something else ({words})")
    journal = verify_receipt(prover, data, job.guest.image_id, job.expected, what)
    kind = prover.describe(data).kind
    if kind != job.kind.value:
        raise ReceiptRejectedError(what, f"it is a {kind} receipt")
    return journal


def found(job: ProofJob, entry: Entry, journal: bytes, started: float, verify_s: float) -> Outcome:
    """The outcome of a job whose proof was found and verified.

    Args:
        job: the job.
        entry: the entry of the cache.
        journal: the journal that its receipt proves.
        started: the Unix time in seconds at which the look-up began.
        verify_s: the seconds that the verification took.
    """
    return Outcome(
        job_id=job.id,
        image_id=job.guest.image_id,
        journal=journal,
        receipt=entry.data,
        kind=job.kind,
        cycles=entry.cycles,
        prove_s=0.0,
        verify_s=verify_s,
        verifications=1,
        worker=0,
        started=started,
        finished=time.time(),
        cached=True,
        attempts=0,
    )
