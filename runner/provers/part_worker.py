"""What a worker does with one part of a run of several segments."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from runner.errors import ProverError, ReceiptRejectedError, SegmentLostError
from runner.limits import peak_memory_mib
from runner.model import Cycles, Outcome
from runner.provers.segments import SegmentProver
from runner.provers.verifying import verify_child, verify_receipt

if TYPE_CHECKING:
    from runner.model import GpuUse, Part, ProofJob
    from runner.provers.prover import Prover

__all__ = ["perform_part"]


def perform_part(prover: Prover, job: ProofJob, part: Part, started: float) -> Outcome:
    """Prove one segment, or make the receipt of the run from those of its segments.

    Args:
        prover: the prover of this process.
        job: the job, with all data.
        part: the part that the job makes.
        started: the Unix time at which the job began, in seconds.

    Raises:
        ReceiptRejectedError: a new receipt, or that of a child, does not verify.
        SegmentLostError: the receipt of one segment does not verify.
        ProverError: the part could not be made.
    """
    if not isinstance(prover, SegmentProver):
        raise ProverError("bad_argument", "this zkVM proves each run as a whole")
    if part.index is None:
        return _assembled(prover, prover, job, part, started)
    (segment,) = part.data
    clock = time.perf_counter()
    receipt, gpu = prover.prove_segment(segment, job.threads)
    proved = time.perf_counter()
    try:
        prover.verify_segment(receipt, segment)
    except ProverError as error:
        raise ReceiptRejectedError(job.name, str(error)) from None
    return _outcome(
        job,
        receipt,
        Cycles(total=1 << part.po2, segments=1),
        started,
        prove_s=proved - clock,
        verify_s=time.perf_counter() - proved,
        verifications=1,
        gpu=gpu,
    )


def _assembled(
    prover: SegmentProver, verifier: Prover, job: ProofJob, part: Part, started: float
) -> Outcome:
    """Make the receipt of a run.

    Args:
        prover: the prover, which makes it.
        verifier: the same prover, which verifies it.
        job: the job, with all data.
        part: the part that the job makes.
        started: the Unix time at which the job began, in seconds.
    """
    journal = job.expected or b""
    clock = time.perf_counter()
    for child in job.children:
        verify_child(verifier, job, child)
    verified = time.perf_counter()
    try:
        receipt = prover.assemble(part.data, job.children, journal, job.kind, job.threads)
    except ProverError as error:
        position, _, reason = error.message.partition(":")
        if error.code != "bad_segment" or not position.isdecimal():
            raise
        raise SegmentLostError(job.id, int(position), f"receipt rejected:{reason}") from None
    assembled = time.perf_counter()
    verify_receipt(verifier, receipt, job.guest.image_id, journal, job.name)
    return _outcome(
        job,
        receipt,
        Cycles(),
        started,
        prove_s=assembled - verified,
        verify_s=time.perf_counter() - assembled + verified - clock,
        verifications=len(job.children) + part.of + 1,
    )


def _outcome(  # noqa: PLR0913  # what was measured
    job: ProofJob,
    receipt: bytes,
    cycles: Cycles,
    started: float,
    *,
    prove_s: float,
    verify_s: float,
    verifications: int,
    gpu: GpuUse | None = None,
) -> Outcome:
    return Outcome(
        job_id=job.id,
        image_id=job.guest.image_id,
        journal=job.expected or b"",
        receipt=receipt,
        kind=job.kind,
        cycles=cycles,
        prove_s=prove_s,
        verify_s=verify_s,
        verifications=verifications,
        worker=os.getpid(),
        started=started,
        finished=time.time(),
        gpu=gpu,
        halvings=job.halvings,
        peak_memory_mib=peak_memory_mib(),
    )
