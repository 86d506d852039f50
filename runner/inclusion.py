"""The command ``python -m runner.inclusion PROOF``: check that a leaf is in a batch.

The other leaves are not needed. The proof, made by ``python -m runner.verify FOLDER --leaf N``,
leads from the leaf to a root hash. The batch's root receipt (``--receipt``) shows that the hash
belongs to the batch; or the user knows the hash already (``--root``).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from runner import streams
from runner.destination import is_stdout, write_out
from runner.errors import InputError, ReceiptRejectedError, RunnerError, VerificationFailedError
from runner.folder import MAX_FILE_BYTES
from runner.model import ReceiptKind
from runner.plan.journal import AggregationResult
from runner.plan.merkle import InclusionProof
from runner.provers.guests import Manifest, default_folder
from runner.provers.prover import BUILT_IN, ProverSpec, adapters, load_prover
from runner.provers.verifying import verify_receipt
from runner.untrusted import parse_json, read_regular
from runner.verify.verified import PinnedIds

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_MAX_PROOF_BYTES = 256 << 20
"""The largest inclusion proof, which carries one journal as hex."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m runner.inclusion",
        description="Check that one leaf is in a batch, without the other leaves.",
    )
    parser.add_argument("proof", type=Path, help="JSON from python -m runner.verify --leaf N")
    known = parser.add_mutually_exclusive_group(required=True)
    known.add_argument("--receipt", type=Path, help="the batch's root receipt, to be verified")
    known.add_argument("--root", metavar="HEX", help="the batch's combined hash, already trusted")
    parser.add_argument(
        "--guests",
        type=Path,
        help="folder of the trusted manifest (default: the ones that come with the adapters)",
    )
    parser.add_argument(
        "--adapter",
        metavar="NAME",
        help="the zkVM adapter to verify with, by its name or as MODULE:CLASS (default: the one "
        "that the manifest is of)",
    )
    parser.add_argument(
        "--allow",
        action="append",
        metavar="IMAGE_ID",
        help="allow only these image ids, which need no manifest",
    )
    parser.add_argument(
        "--calldata",
        type=Path,
        metavar="FILE",
        help="write the proof as the registry on an L1 takes it: JSON with the arguments of its "
        "function `included`, and the whole call; - is standard output",
    )
    options = parser.parse_args(arguments)
    # Where the call goes to standard output, nothing else may.
    to = sys.stderr if options.calldata and is_stdout(options.calldata) else sys.stdout
    try:
        proof = _read_proof(options.proof)
        adapter, pins = _pins(options.guests, proof.image_id, options.allow, options.adapter)
        adapter = options.adapter or adapter
        root, count = _root(options.root, options.receipt, pins, adapter)
        if count is not None and proof.count != count:
            raise VerificationFailedError(
                "count", f"the proof says {proof.count} leaves, the receipt proves {count}"
            )
        if proof.root != root:
            raise VerificationFailedError(
                "root", f"the proof ends in {proof.root.hex()}, the batch is {root.hex()}"
            )
        if not proof.holds():
            raise VerificationFailedError("path", "it does not lead from the leaf to the root")
        if options.calldata is not None:
            _write_calldata(proof, options.calldata)
    except RunnerError as error:
        sys.stderr.write(f"{'error: ' if error.exit_code == 2 else ''}{error}\n")
        return error.exit_code
    to.write(
        f"INCLUDED: {pins.name(proof.image_id)} with journal {proof.journal.hex()} is in batch"
        f" {root.hex()}\n"
    )
    if count is not None:
        to.write(f"  ok  verified_count: {count} leaves, as the proof says\n")
    of = f" of {proof.count}" if count is None else ""
    to.write(f"  --  not proved, the prover's own word: position {proof.position}{of}\n")
    return 0


def _write_calldata(proof: InclusionProof, out: Path) -> None:
    """Write what the registry's function ``included`` takes, by name and as the bytes of the call.

    Raises:
        InputError: the file cannot be written, or a package that encodes the call is missing.
    """
    from runner.evm.registry import included_call, path_and_bits

    path, bits = path_and_bits(proof.path)
    try:
        call = included_call(proof)
    except ModuleNotFoundError as error:
        problem, remedy = f"{error.name} is not installed", "pip install 'zk-batch-runner[l1]'"
        raise InputError("--calldata", str(out), problem, remedy) from None
    said = {
        "root": f"0x{proof.root.hex()}",
        "imageId": f"0x{proof.image_id.hex()}",
        "journal": f"0x{proof.journal.hex()}",
        "path": [f"0x{sibling.hex()}" for sibling in path],
        "bits": str(bits),
        "calldata": f"0x{call.hex()}",
    }
    try:
        write_out(out, (json.dumps(said, indent=1) + "\n").encode())
    except OSError as error:
        raise InputError(
            "--calldata", str(out), str(error.strerror), "choose another file"
        ) from None


def _read_proof(path: Path) -> InclusionProof:
    try:
        return InclusionProof.from_json(parse_json(read_regular(path, _MAX_PROOF_BYTES)))
    except OSError as error:
        raise InputError(
            "proof", str(path), f"cannot be read ({error.strerror})", "give a readable file"
        ) from None
    except ValueError as error:
        raise InputError(
            "proof", str(path), str(error), "make it with python -m runner.verify --leaf N"
        ) from None


def _pins(
    folder: Path | None, image_id: bytes, allow: Sequence[str] | None, adapter: str | None
) -> tuple[str, PinnedIds]:
    """The adapter, and the pinned image ids of the manifest that has the leaf's image id.

    If the leaf's image id is allowed by itself, the adapter is the given one or the first.
    """
    first = next(iter(BUILT_IN))
    if allow:
        name = adapter or first
        manifest = Manifest.load(folder or default_folder(name))
        pins = PinnedIds.of(manifest, manifest.zkvm or name).only(allow)
        if image_id not in pins.leaves:
            raise VerificationFailedError("leaf image id", f"{image_id.hex()} is not allowed")
        return name, pins
    folders = [folder] if folder else [default_folder(adapter) for adapter in adapters()]
    for place in folders:
        manifest = Manifest.load(place)
        zkvm = manifest.zkvm or first
        pins = PinnedIds.of(manifest, zkvm)
        if image_id in pins.leaves:
            return zkvm, pins
    names = ", ".join(str(place) for place in dict.fromkeys(folders))
    raise VerificationFailedError("leaf image id", f"{image_id.hex()} is no guest in {names}")


def _root(
    known: str | None, receipt: Path | None, pins: PinnedIds, adapter: str
) -> tuple[bytes, int | None]:
    """The batch's combined hash, and its number of leaves where a receipt proves it."""
    if receipt is None:
        try:
            return bytes.fromhex(known or ""), None
        except ValueError:
            raise InputError("--root", known, "not hex", "give 64 hex characters") from None
    try:
        data = read_regular(receipt, MAX_FILE_BYTES)
    except OSError as error:
        raise InputError(
            "--receipt", str(receipt), f"cannot be read ({error.strerror})", "give root.receipt"
        ) from None
    prover = load_prover(ProverSpec(adapter, ReceiptKind.SUCCINCT))
    try:
        journal = verify_receipt(prover, data, pins.aggregator, None, str(receipt))
        result = AggregationResult.decode(journal)
    except ReceiptRejectedError as error:
        raise VerificationFailedError("receipt", error.reason) from None
    except ValueError as error:
        raise VerificationFailedError("root journal", str(error)) from None
    if result.self_image_id != pins.aggregator:
        raise VerificationFailedError("self_image_id", "the root names another aggregator")
    return result.combined_hash, result.verified_count


if __name__ == "__main__":
    streams.run(main)
