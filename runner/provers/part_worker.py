"""What a worker does with one part of a run of several segments."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from runner.errors import ProverError, SegmentLostError
from runner.limits import peak_memory_mib
from runner.model import Cycles, Outcome, Step
from runner.provers.segments import JoiningProver, SegmentProver
from runner.provers.verifying import verify_child, verify_part, verify_receipt

if TYPE_CHECKING:
    from runner.model import GpuUse, Part, ProofJob
    from runner.provers.prover import Prover

__all__ = ["perform_part"]


def perform_part(prover: Prover, job: ProofJob, part: Part, started: float) -> Outcome:
    """Make the receipt of a part: of some segments, or of the run.

    Args:
        prover: the prover of this process.
        job: the job, with all data.
        part: the part that the job makes.
        started: the Unix time at which the job began, in seconds.

    Raises:
        ReceiptRejectedError: a new receipt, or that of a child, does not verify.
        SegmentLostError: a receipt that the part is made from does not verify.
        ProverError: the part could not be made.
    """
    if not isinstance(prover, SegmentProver):
        raise ProverError("bad_argument", "this zkVM proves each run as a whole")
    clock = time.perf_counter()
    if part.last:
        for child in job.children:
            verify_child(prover, job, child)
    begun = time.perf_counter()
    try:
        receipt, gpu = _made(prover, job, part)
    except ProverError as error:
        position, _, reason = error.message.partition(":")
        if error.code != "bad_segment" or not position.isdecimal():
            raise
        lost = part.takes[int(position)]
        reason = f"receipt rejected:{reason}"
        raise SegmentLostError(job.id, lost.first, reason, lost.count) from None
    made = time.perf_counter()
    if part.last:
        verify_receipt(prover, receipt, job.guest.image_id, job.expected or b"", job.name)
    else:
        verify_part(prover, part, receipt, job.name)
    # A part is made from receipts that are verified first, and a segment is no receipt.
    taken = 0 if part.step is Step.SEGMENT else len(part.takes)
    return Outcome(
        job_id=job.id,
        image_id=job.guest.image_id,
        journal=job.expected or b"",
        receipt=receipt,
        kind=job.kind,
        cycles=Cycles(total=1 << part.po2, segments=1) if part.step is Step.SEGMENT else Cycles(),
        prove_s=made - begun,
        verify_s=time.perf_counter() - made + begun - clock,
        verifications=(len(job.children) if part.last else 0) + taken + 1,
        worker=os.getpid(),
        started=started,
        finished=time.time(),
        gpu=gpu,
        halvings=job.halvings,
        peak_memory_mib=peak_memory_mib(),
    )


def _made(prover: SegmentProver, job: ProofJob, part: Part) -> tuple[bytes, GpuUse | None]:
    """Make the receipt of a part, and say what part a GPU had in it."""
    if part.step is Step.SEGMENT:
        (segment,) = part.data
        return prover.prove_segment(segment, job.threads)
    journal = job.expected or b""
    if part.step is Step.ASSEMBLE:
        return prover.assemble(part.data, job.children, journal, job.kind, job.threads), None
    if not isinstance(prover, JoiningProver):
        raise ProverError("bad_argument", "this zkVM does not join the receipts of segments")
    if part.step is Step.LIFT:
        (receipt,) = part.data
        return prover.lift(receipt, job.threads)
    if part.step is Step.JOIN:
        left, right = part.data
        return prover.join(left, right, job.threads)
    (joined,) = part.data
    return prover.resolve(joined, job.children, journal, job.kind, job.threads), None
