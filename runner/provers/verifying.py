"""The verification of one receipt, of a run or of a part of one, in whichever process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.errors import ProverError, ReceiptRejectedError
from runner.model import Step
from runner.provers.segments import JoiningProver, SegmentProver

if TYPE_CHECKING:
    from runner.model import Child, Part, ProofJob
    from runner.provers.prover import Prover

__all__ = ["verify_child", "verify_part", "verify_receipt"]


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


def verify_child(prover: Prover, job: ProofJob, child: Child) -> None:
    """Verify the receipt of one of a job's children. Raises ReceiptRejectedError."""
    if child.receipt is None:
        raise ReceiptRejectedError(f"child of {job.name}", "there is no receipt")
    verify_receipt(prover, child.receipt, child.image_id, child.journal, f"child of {job.name}")


def verify_part(prover: Prover, part: Part, receipt: bytes, what: str) -> None:
    """Verify that a receipt proves what a part of a run asks for, other than the run itself.

    Args:
        prover: The prover that verifies the receipt.
        part: The part, with the data that it is made from.
        receipt: The receipt of the part.
        what: The receipt's name in an error.

    Raises:
        ReceiptRejectedError: The receipt does not verify, or it proves something else.
        ProverError: The prover has no such parts.
    """
    if not isinstance(prover, SegmentProver):
        raise ProverError("bad_argument", "this zkVM proves each run as a whole")
    try:
        if part.step is Step.SEGMENT:
            prover.verify_segment(receipt, *part.data)
        elif not isinstance(prover, JoiningProver):
            raise ProverError("bad_argument", "this zkVM does not join the receipts of segments")
        elif part.step is Step.LIFT:
            prover.verify_lifted(receipt, *part.data)
        else:
            prover.verify_joined(receipt, *part.data)
    except ProverError as error:
        raise ReceiptRejectedError(what, str(error)) from None
