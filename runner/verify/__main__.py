"""The command ``python -m runner.verify FOLDER``, which checks a finished batch.

:mod:`runner.verify.checks` says what is checked and what is trusted.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from runner import streams
from runner.destination import STDOUT, is_stdout, write_out
from runner.errors import InputError, RunnerError, shown_line
from runner.folder import LEAVES, SUMS
from runner.model import ReceiptKind
from runner.provers.guests import Manifest, default_folder
from runner.provers.prover import ProverSpec, load_prover
from runner.signature.check import check_signature
from runner.verify.checks import verify_folder
from runner.verify.claims import adapter_of
from runner.verify.verified import PinnedIds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.plan.merkle import InclusionProof
    from runner.verify.verified import VerifiedBatch

__all__ = ["main"]

_MOST_MISSING = 20
"""The most missing leaves that are listed on the terminal."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m runner.verify",
        description="Check a finished batch with no trust in the run that made it.",
    )
    parser.add_argument("folder", type=Path, help="output folder of the batch")
    parser.add_argument("--leaf", type=int, metavar="N", help="prove that leaf N is in the batch")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        default=STDOUT,
        help="where --leaf writes; - is standard output (default: %(default)s)",
    )
    parser.add_argument(
        "--guests",
        type=Path,
        help="folder of the trusted manifest (default: the one that comes with the zkVM's adapter)",
    )
    parser.add_argument(
        "--adapter",
        metavar="NAME",
        help="the zkVM adapter to verify with, by its name or as MODULE:CLASS (default: the "
        "installed adapter of the zkVM that the batch names)",
    )
    parser.add_argument(
        "--allow",
        action="append",
        metavar="IMAGE_ID",
        help="allow only these leaf image ids, which need no manifest: you know them because you "
        "compiled the program, or from somebody whom you trust",
    )
    parser.add_argument(
        "--signer",
        type=Path,
        metavar="FILE",
        help="demand a signature by this SSH public key, or by one of these allowed signers",
    )
    said = parser.add_mutually_exclusive_group()
    said.add_argument("--quiet", action="store_true", help="print nothing but errors")
    said.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object, with every field that is not checked but the run's own word",
    )
    options = parser.parse_args(arguments)
    # Where the inclusion proof goes to standard output, nothing else may.
    to = sys.stderr if options.leaf is not None and is_stdout(options.out) else sys.stdout

    def say(line: str) -> None:
        checks.append(line)
        if not options.quiet and not options.json:
            to.write(f"  ok  {line}\n")

    checks: list[str] = []

    try:
        if options.signer is not None:
            say(f"signature: by {check_signature(options.folder, options.signer)}, over {SUMS}")
        adapter = options.adapter or adapter_of(options.folder)
        prover = load_prover(ProverSpec(adapter, ReceiptKind.SUCCINCT))
        manifest = Manifest.load(options.guests or default_folder(adapter))
        pins = PinnedIds.of(manifest, prover.versions.zkvm)
        pins = pins.only(options.allow) if options.allow else pins
        verified = verify_folder(options.folder, pins, prover, say)
        if options.leaf is not None:
            _write_inclusion(verified.inclusion(options.leaf), options.out)
    except RunnerError as error:
        if options.json:
            to.write(json.dumps({"verified": False, "error": str(error), "checks": checks}) + "\n")
        sys.stderr.write(f"{'error: ' if error.exit_code == 2 else ''}{error}\n")
        return error.exit_code
    if options.json:
        to.write(json.dumps(_result(options.folder, verified, checks)) + "\n")
    elif not options.quiet:
        _write_words(options.folder, verified, to, signed=options.signer is not None)
    return 0


def _write_words(folder: Path, verified: VerifiedBatch, to: TextIO, *, signed: bool) -> None:
    """Write what is proved, and what is not, for people."""
    whose = "the signer's word" if signed else "the run's own word"
    to.write(f"  --  not checked, {whose}: {_groups(verified.claims_only)}\n")
    missing = verified.claims.missing
    for number, reason in list(missing.items())[:_MOST_MISSING]:
        line = f"not in the batch, {whose}: leaf {number}: {shown_line(reason)}"
        to.write(f"  --  {line}\n")
    if len(missing) > _MOST_MISSING:
        to.write(f"  --  and {len(missing) - _MOST_MISSING} more, see {LEAVES}\n")
    asked = f" of the {verified.claims.count + len(missing)} asked for" if missing else ""
    to.write(f"VERIFIED: {verified.claims.count} leaves{asked} in {folder}\n")


def _result(folder: Path, verified: VerifiedBatch, checks: Sequence[str]) -> dict[str, object]:
    """What is proved, and what is not, for machines."""
    return {
        "verified": True,
        "folder": str(folder),
        "leaves": verified.claims.count,
        "missing": {str(number): why for number, why in verified.claims.missing.items()},
        "kind": verified.kind,
        "zkvm": verified.zkvm,
        "combined_hash": verified.root_hex or None,
        "checks": list(checks),
        "not_checked": list(verified.claims_only),
    }


def _groups(names: Sequence[str]) -> str:
    """Fields by the part of the record that they are in, for one line."""
    # A field of another file than the record stands for itself: "leaves.jsonl: input".
    parts = (name if ": " in name else re.split(r"[.\[]", name)[0] for name in names)
    counts = Counter(parts)
    return ", ".join(f"{part} ({n} fields)" if n > 1 else part for part, n in counts.items())


def _write_inclusion(proof: InclusionProof, out: Path) -> None:
    text = json.dumps(proof.to_json(), indent=1) + "\n"
    try:
        write_out(out, text.encode())
    except OSError as error:
        raise InputError("--out", str(out), str(error.strerror), "choose another file") from None


if __name__ == "__main__":
    streams.run(main)
