"""What a worker does with one job: it verifies the children, proves, and verifies the proof."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from runner.errors import ProverError, ReceiptRejectedError
from runner.model import Child, Outcome, ProofJob, ReceiptKind
from runner.provers.prover import ProverSpec, load_prover

if TYPE_CHECKING:
    from runner.provers.prover import Prover

__all__ = ["MOST_PRINTED", "perform", "verify_receipt"]

MOST_PRINTED = 64 << 10
"""The most characters that are kept of what a guest prints."""


def perform(spec: ProverSpec, job: ProofJob) -> Outcome:
    """Make one proof. It is called in a worker process and writes nothing outside of it.

    Args:
        spec: The spec of the prover. Each process makes the prover once.
        job: The job.

    Raises:
        ReceiptRejectedError: The receipt of a child, or the new receipt, does not verify.
        ProverError: The guest failed, or the proof could not be made.
    """
    started = time.time()
    prover = load_prover(spec)
    children = tuple(dict.fromkeys(job.children))
    verify_s, verifications = 0.0, 0
    if job.kind is not ReceiptKind.EXECUTE:
        clock = time.perf_counter()
        for child in children:
            _verify_child(prover, job, child)
        verify_s, verifications = time.perf_counter() - clock, len(children) + 1

    clock = time.perf_counter()
    proof = prover.run(job.guest, job.stdin, children, job.kind, job.threads)
    prove_s = time.perf_counter() - clock

    if job.expected is not None and proof.journal != job.expected:
        raise ReceiptRejectedError(job.name, "commits another result than its children demand")
    if job.kind is not ReceiptKind.EXECUTE:
        if proof.receipt is None:
            raise ReceiptRejectedError(job.name, "the prover returned no receipt")
        clock = time.perf_counter()
        verify_receipt(prover, proof.receipt, job.guest.image_id, proof.journal, job.name)
        verify_s += time.perf_counter() - clock
    return Outcome(
        job_id=job.id,
        image_id=job.guest.image_id,
        journal=proof.journal,
        receipt=proof.receipt,
        kind=job.kind,
        cycles=proof.cycles,
        prove_s=prove_s,
        verify_s=verify_s,
        verifications=verifications,
        worker=os.getpid(),
        started=started,
        finished=time.time(),
        gpu=proof.gpu,
        printed=proof.log[:MOST_PRINTED],
    )


def verify_receipt(
    prover: Prover, receipt: bytes, image_id: bytes, journal: bytes | None, what: str
) -> bytes:
    """Verify a receipt, and return its journal.

    Args:
        prover: The prover that verifies the receipt.
        receipt: The encoded receipt.
        image_id: The image id that the receipt must prove a run of.
        journal: The journal that the receipt must prove, or None if any will do.
        what: The receipt's name in an error, e.g. ``leaf 3``.

    Raises:
        ReceiptRejectedError: The receipt is malformed, or it proves a run of another guest or
            another journal.
    """
    try:
        found = prover.verify(receipt, image_id)
    except ProverError as error:
        raise ReceiptRejectedError(what, str(error)) from None
    if journal is not None and found != journal:
        raise ReceiptRejectedError(what, "proves another journal than it must")
    return found


def _verify_child(prover: Prover, job: ProofJob, child: Child) -> None:
    if child.receipt is None:
        raise ReceiptRejectedError(f"child of {job.name}", "there is no receipt")
    verify_receipt(prover, child.receipt, child.image_id, child.journal, f"child of {job.name}")
