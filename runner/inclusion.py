"""``python -m runner.inclusion PROOF``: check that one leaf is in a batch, without the others.

The proof comes from ``python -m runner.verify FOLDER --leaf N``. It leads from one leaf to a root
hash; that the hash is a batch's is shown by the batch's root receipt (``--receipt``), or known to
you already (``--root``).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from runner.checks import Pins
from runner.errors import InputError, ReceiptRejectedError, RunnerError, VerificationFailedError
from runner.guests import DEFAULT_FOLDER, Manifest
from runner.journal import AggregationResult
from runner.merkle import InclusionProof
from runner.model import ReceiptKind
from runner.prover import ProverSpec, load_prover
from runner.worker import verify_receipt

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m runner.inclusion",
        description="Check that one leaf is in a batch, without the other leaves.",
    )
    parser.add_argument("proof", type=Path, help="JSON from python -m runner.verify --leaf N")
    known = parser.add_mutually_exclusive_group(required=True)
    known.add_argument("--receipt", type=Path, help="the batch's root receipt, to be verified")
    known.add_argument("--root", metavar="HEX", help="the batch's combined hash, already trusted")
    parser.add_argument(
        "--guests", type=Path, default=DEFAULT_FOLDER, help="folder of the trusted manifest"
    )
    options = parser.parse_args(arguments)
    try:
        proof = _read_proof(options.proof)
        pins = Pins.of(Manifest.load(options.guests))
        guest = pins.leaves.get(proof.image_id)
        if guest is None:
            raise VerificationFailedError(
                "leaf image id", f"{proof.image_id.hex()} is no guest in {options.guests}"
            )
        root = _root(options.root, options.receipt, pins)
        if proof.root != root:
            raise VerificationFailedError(
                "root", f"the proof ends in {proof.root.hex()}, the batch is {root.hex()}"
            )
        if not proof.holds():
            raise VerificationFailedError("path", "it does not lead from the leaf to the root")
    except RunnerError as error:
        sys.stderr.write(f"{'error: ' if error.exit_code == 2 else ''}{error}\n")
        return error.exit_code
    sys.stdout.write(
        f"INCLUDED: {guest} with journal {proof.journal.hex()} is in batch {root.hex()}\n"
    )
    return 0


def _read_proof(path: Path) -> InclusionProof:
    try:
        return InclusionProof.from_json(json.loads(path.read_bytes()))
    except OSError as error:
        raise InputError(
            "proof", str(path), f"cannot be read ({error.strerror})", "give a readable file"
        ) from None
    except (ValueError, RecursionError) as error:
        raise InputError(
            "proof", str(path), str(error), "make it with python -m runner.verify --leaf N"
        ) from None


def _root(known: str | None, receipt: Path | None, pins: Pins) -> bytes:
    if receipt is None:
        try:
            return bytes.fromhex(known or "")
        except ValueError:
            raise InputError("--root", known, "not hex", "give 64 hex characters") from None
    try:
        data = receipt.read_bytes()
    except OSError as error:
        raise InputError(
            "--receipt", str(receipt), f"cannot be read ({error.strerror})", "give root.receipt"
        ) from None
    prover = load_prover(ProverSpec("risc0", ReceiptKind.COMPOSITE))
    try:
        journal = verify_receipt(prover, data, pins.aggregator, None, str(receipt))
        result = AggregationResult.decode(journal)
    except ReceiptRejectedError as error:
        raise VerificationFailedError("receipt", error.reason) from None
    except ValueError as error:
        raise VerificationFailedError("root journal", str(error)) from None
    if result.self_image_id != pins.aggregator:
        raise VerificationFailedError("self_image_id", "the root names another aggregator")
    return result.combined_hash


if __name__ == "__main__":
    sys.exit(main())
