"""What a worker does with one job: it verifies the children, proves, and verifies the proof."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from runner.errors import ReceiptRejectedError
from runner.limits import peak_memory_mib
from runner.model import Child, LongRun, Outcome, ProofJob, ReceiptKind
from runner.provers.part_worker import perform_part
from runner.provers.prover import Proof, ProverSpec, load_prover
from runner.provers.segments import SegmentProver
from runner.provers.verifying import verify_child, verify_receipt

if TYPE_CHECKING:
    from runner.provers.prover import Prover

__all__ = ["MOST_PRINTED", "perform", "verify_receipt"]

MOST_PRINTED = 64 << 10
"""The most characters that are kept of what a guest prints."""


def perform(spec: ProverSpec, job: ProofJob) -> Outcome:
    """Make one proof, or a part of it. It is called in a worker process and writes nothing outside.

    Args:
        spec: The spec of the prover. Each process makes the prover once.
        job: The job.

    Raises:
        ReceiptRejectedError: The receipt of a child, or the new receipt, does not verify.
        ProverError: The guest failed, or the proof could not be made.
    """
    started = time.time()
    prover = load_prover(spec)
    if job.part is not None:
        return perform_part(prover, job, job.part, started)
    children = tuple(dict.fromkeys(job.children))
    verify_s, verifications = 0.0, 0
    if job.kind is not ReceiptKind.EXECUTE:
        clock = time.perf_counter()
        for child in children:
            verify_child(prover, job, child)
        verify_s, verifications = time.perf_counter() - clock, len(children) + 1

    clock = time.perf_counter()
    proof = _run(prover, job, children)
    prove_s = time.perf_counter() - clock

    if job.expected is not None and proof.journal != job.expected:
        raise ReceiptRejectedError(job.name, "commits another result than its children demand")
    receipt = proof.receipt if isinstance(proof, Proof) else None
    if job.kind is not ReceiptKind.EXECUTE and isinstance(proof, Proof):
        if receipt is None:
            raise ReceiptRejectedError(job.name, "the prover returned no receipt")
        clock = time.perf_counter()
        verify_receipt(prover, receipt, job.guest.image_id, proof.journal, job.name)
        verify_s += time.perf_counter() - clock
    return Outcome(
        job_id=job.id,
        image_id=job.guest.image_id,
        journal=proof.journal,
        receipt=receipt,
        kind=job.kind,
        cycles=proof.cycles,
        prove_s=prove_s,
        verify_s=verify_s,
        # A receipt that is not there was not verified.
        verifications=verifications if isinstance(proof, Proof) else len(children),
        worker=os.getpid(),
        started=started,
        finished=time.time(),
        gpu=proof.gpu if isinstance(proof, Proof) else None,
        long=None if isinstance(proof, Proof) else proof,
        printed=proof.log[:MOST_PRINTED],
        halvings=job.halvings,
        peak_memory_mib=peak_memory_mib(),
    )


def _run(prover: Prover, job: ProofJob, children: tuple[Child, ...]) -> Proof | LongRun:
    if job.seed and job.kind is not ReceiptKind.EXECUTE and isinstance(prover, SegmentProver):
        return prover.run_if_short(
            job.guest,
            job.stdin,
            children,
            job.kind,
            threads=job.threads,
            seed=job.seed,
            halvings=job.halvings,
            most_po2=job.most_po2,
        )
    return prover.run(job.guest, job.stdin, children, job.kind, job.threads)
