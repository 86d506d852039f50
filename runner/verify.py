"""``python -m runner.verify FOLDER``: check a finished batch with no trust in the run.

What is trusted: this program, the zkVM's verifier, and the image ids in the guests' manifest (or
given with ``--allow`` and ``--aggregator``). Everything else in the folder is checked or said to be
unproved:

1. the files are the ones ``SHA256SUMS`` names (an accident, not an attacker, is caught here);
2. the plan is well-formed and covers the leaf list;
3. every leaf's image id is an allowed guest's;
4. the root receipt proves a run of the pinned aggregator;
5. its journal's ``self_image_id``, ``verified_count`` and ``combined_hash`` are those recomputed
   from the leaf list (for strategy ``none``: every leaf's own receipt proves its journal);
6. what ``result.json`` says of all this is the same.

Inputs and times are recorded, not proved: a leaf proves its journal, and no more of its input than
the guest commits.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner import merkle, results
from runner.errors import (
    InputError,
    ReceiptRejectedError,
    RunnerError,
    VerificationFailedError,
)
from runner.files import atomic_write
from runner.guests import AGGREGATOR, DEFAULT_FOLDER, Manifest
from runner.journal import AggregationResult
from runner.model import ReceiptKind
from runner.plan import Plan
from runner.prover import ProverSpec, load_prover
from runner.worker import verify_receipt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runner.prover import Prover

__all__ = ["Pins", "Verified", "main", "verify_folder"]

MAX_FILE_BYTES = 4 << 30
"""No file of a batch is larger; a folder from elsewhere must not fill the memory."""


@dataclass(frozen=True, slots=True)
class Pins:
    """What the verifier trusts: the aggregator's image id, and which leaves are allowed.

    Attributes:
        aggregator: 32 bytes.
        leaves: allowed image ids, with the name of each.
    """

    aggregator: bytes
    leaves: dict[bytes, str]

    @classmethod
    def of(cls, manifest: Manifest) -> Pins:
        """All guests of a manifest but the aggregator, which is no leaf."""
        if AGGREGATOR not in manifest.guests:
            raise InputError("guests", str(manifest.path), "has no aggregator", "restore it")
        guests = {g.image_id: g.name for g in manifest.guests.values() if g.name != AGGREGATOR}
        return cls(manifest.guests[AGGREGATOR].image_id, guests)


@dataclass(frozen=True, slots=True)
class Claims:
    """What a batch's files say was proved, well-formed but not yet believed.

    Attributes:
        plan: of the batch.
        image_ids: by leaf position; ``journals`` likewise.
    """

    plan: Plan
    image_ids: list[bytes]
    journals: list[bytes]

    @property
    def count(self) -> int:
        """Number of leaves."""
        return len(self.journals)

    def hashes(self) -> list[bytes]:
        """Leaf hashes by job id; positions that share a job are known to be the same."""
        return [
            merkle.leaf_hash(self.image_ids[first], self.journals[first])
            for first in self.plan.first_positions()
        ]


@dataclass(frozen=True, slots=True)
class Verified:
    """A batch that holds.

    Attributes:
        claims: what is now proved.
        combined_hash: 32 bytes; None for strategy ``none``.
        receipts: files verified.
    """

    claims: Claims
    combined_hash: bytes | None
    receipts: list[str]

    def inclusion(self, position: int) -> merkle.InclusionProof:
        """Evidence that one leaf is in this batch.

        Raises:
            InputError: no such leaf, or nothing was aggregated.
        """
        if self.combined_hash is None:
            raise InputError(
                "--leaf", position, "the batch has no root", "its receipts stand alone"
            )
        claims = self.claims
        if not 0 <= position < claims.count:
            raise InputError("--leaf", position, "no such leaf", f"give 0 to {claims.count - 1}")
        return merkle.InclusionProof(
            position=position,
            count=claims.count,
            image_id=claims.image_ids[position],
            journal=claims.journals[position],
            path=tuple(merkle.inclusion_path(claims.plan, claims.hashes(), position)),
            root=self.combined_hash,
        )


def verify_folder(
    folder: Path, pins: Pins, prover: Prover, say: Callable[[str], None] = lambda _: None
) -> Verified:
    """Check a batch's folder; see the module's text for what is checked.

    Args:
        folder: as a run left it.
        pins: what is trusted.
        prover: verifies receipts.
        say: told of each check that passed.

    Raises:
        VerificationFailedError: a check failed; says which, what was expected and what was found.
    """
    names = _check_sums(folder)
    say(f"files: {len(names)} match {results.SUMS}")
    record = _record(folder)
    kind = record.get("kind")
    if kind == ReceiptKind.EXECUTE.value:
        raise VerificationFailedError("receipt", "the batch was executed only, nothing was proved")
    claims = _claims(folder, record)
    plan = claims.plan
    say(f"plan: {plan.strategy}, {claims.count} leaves, {len(plan.aggregations)} aggregations")
    _check_leaf_ids(claims, pins)
    used = sorted({pins.leaves[image_id] for image_id in claims.image_ids})
    say(f"leaf image ids: all of {', '.join(used)}, as pinned")
    if plan.root is None:
        combined, receipts = None, _check_each(folder, claims, prover)
        say(f"receipts: {len(receipts)} verified, each against its image id and journal")
    else:
        combined, receipts = _check_root(folder, claims, pins, prover, kind), [results.ROOT]
        say("root receipt: verified against the pinned aggregator")
        say(f"verified_count: {claims.count}, as many as the leaf list has")
        say(f"combined_hash: {combined.hex()}, recomputed from the leaf list")
    verified = Verified(claims, combined, receipts)
    _check_record(record, pins, verified)
    say("result.json: says the same")
    return verified


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m runner.verify",
        description="Check a finished batch with no trust in the run that made it.",
    )
    parser.add_argument("folder", type=Path, help="output folder of the batch")
    parser.add_argument("--leaf", type=int, metavar="N", help="prove that leaf N is in the batch")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="where --leaf writes (default: standard output)"
    )
    parser.add_argument(
        "--guests", type=Path, default=DEFAULT_FOLDER, help="folder of the trusted manifest"
    )
    parser.add_argument(
        "--allow", action="append", metavar="IMAGE_ID", help="allow only these leaf image ids"
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    options = parser.parse_args(arguments)
    # An inclusion proof on standard output must be all there is.
    to = sys.stderr if options.leaf is not None and options.out is None else sys.stdout

    def say(line: str) -> None:
        if not options.quiet:
            to.write(f"  ok  {line}\n")

    try:
        pins = _pins(options.guests, options.allow)
        prover = load_prover(ProverSpec("risc0", ReceiptKind.COMPOSITE))
        verified = verify_folder(options.folder, pins, prover, say)
        if options.leaf is not None:
            _write_inclusion(verified.inclusion(options.leaf), options.out)
    except RunnerError as error:
        sys.stderr.write(f"{'error: ' if error.exit_code == 2 else ''}{error}\n")
        return error.exit_code
    if not options.quiet:
        to.write(f"VERIFIED: {verified.claims.count} leaves in {options.folder}\n")
    return 0


def _pins(guests: Path, allow: Sequence[str] | None) -> Pins:
    pins = Pins.of(Manifest.load(guests))
    if not allow:
        return pins
    allowed = {}
    for text in allow:
        try:
            image_id = bytes.fromhex(text)
        except ValueError:
            image_id = b""
        if len(image_id) != 32:
            raise InputError("--allow", text, "not an image id", "give 64 hex characters")
        allowed[image_id] = pins.leaves.get(image_id, text[:16])
    return Pins(pins.aggregator, allowed)


def _write_inclusion(proof: merkle.InclusionProof, out: Path | None) -> None:
    text = json.dumps(proof.to_json(), indent=1) + "\n"
    if out is None:
        sys.stdout.write(text)
        return
    try:
        atomic_write(out, text.encode())
    except OSError as error:
        raise InputError("--out", str(out), str(error.strerror), "choose another file") from None


# -- the checks, in order ---------------------------------------------------------------------


def _check_sums(folder: Path) -> list[str]:
    named: dict[str, str] = {}
    for line in _read(folder, results.SUMS).decode("utf-8", "replace").splitlines():
        digest, _, name = line.partition("  ")
        if not name or Path(name).is_absolute() or ".." in Path(name).parts:
            raise VerificationFailedError(results.SUMS, f"cannot read the line {line[:80]!r}")
        named[name] = digest
    for name in (results.RESULT, results.LEAVES):
        if name not in named:
            raise VerificationFailedError(results.SUMS, f"does not name {name}")
    for name, digest in named.items():
        found = hashlib.sha256(_read(folder, name)).hexdigest()
        if found != digest:
            raise VerificationFailedError(
                name, f"SHA-256 is {found[:16]}..., {results.SUMS} says {digest[:16]}..."
            )
    return list(named)


def _record(folder: Path) -> dict[str, Any]:
    try:
        record = json.loads(_read(folder, results.RESULT))
    except (ValueError, RecursionError) as error:
        raise VerificationFailedError(results.RESULT, f"not JSON: {error}") from None
    if not isinstance(record, dict) or record.get("format") != results.FORMAT:
        raise VerificationFailedError(results.RESULT, f"not of format {results.FORMAT}")
    if record.get("status") != "ok":
        raise VerificationFailedError(results.RESULT, f"the run ended {record.get('status')!r}")
    return record


def _claims(folder: Path, record: dict[str, Any]) -> Claims:
    image_ids, journals, jobs = [], [], []
    lines = _read(folder, results.LEAVES).decode("utf-8", "replace").splitlines()
    for index, line in enumerate(lines):
        try:
            leaf = json.loads(line)
            if leaf["index"] != index or type(leaf["job"]) is not int:
                raise ValueError("out of order")
            image_id, journal = bytes.fromhex(leaf["image_id"]), bytes.fromhex(leaf["journal"])
            if len(image_id) != 32:
                raise ValueError("image id is not 32 bytes")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            reason = f"line {index + 1}: {type(error).__name__}: {error}"
            raise VerificationFailedError(results.LEAVES, reason) from None
        image_ids.append(image_id)
        journals.append(journal)
        jobs.append(leaf["job"])
    try:
        plan = Plan.from_json(record.get("plan"))
        plan.validate()
    except ValueError as error:
        raise VerificationFailedError("plan", str(error)) from None
    if list(plan.leaves) != jobs:
        raise VerificationFailedError(
            "plan", f"its {len(plan.leaves)} leaves are not the {len(jobs)} of the leaf list"
        )
    firsts = plan.first_positions()
    for position, job in enumerate(jobs):
        first = firsts[job]
        if (image_ids[first], journals[first]) != (image_ids[position], journals[position]):
            raise VerificationFailedError(
                "leaf list", f"leaves {first} and {position} share job {job} and differ"
            )
    return Claims(plan, image_ids, journals)


def _check_leaf_ids(claims: Claims, pins: Pins) -> None:
    for index, image_id in enumerate(claims.image_ids):
        if image_id not in pins.leaves:
            allowed = ", ".join(f"{name} {i.hex()[:16]}..." for i, name in pins.leaves.items())
            reason = f"leaf {index} has {image_id.hex()}, allowed are {allowed}"
            raise VerificationFailedError("leaf image id", reason)


def _check_root(folder: Path, claims: Claims, pins: Pins, prover: Prover, kind: object) -> bytes:
    receipt = _read(folder, results.ROOT)
    journal = _verified(prover, receipt, pins.aggregator, None, results.ROOT)
    found = prover.describe(receipt).kind
    if found != kind:
        raise VerificationFailedError("receipt kind", f"it is {found}, the run says {kind}")
    try:
        result = AggregationResult.decode(journal)
    except ValueError as error:
        raise VerificationFailedError("root journal", str(error)) from None
    _same("self_image_id", pins.aggregator.hex(), result.self_image_id.hex())
    _same("verified_count", claims.count, result.verified_count)
    expected = merkle.combined_hash(claims.plan, claims.hashes())
    _same("combined_hash", expected.hex(), result.combined_hash.hex())
    return expected


def _check_each(folder: Path, claims: Claims, prover: Prover) -> list[str]:
    names = []
    for job, first in enumerate(claims.plan.first_positions()):
        name = f"{results.RECEIPTS}/job-{job}.receipt"
        receipt = _read(folder, name)
        _verified(prover, receipt, claims.image_ids[first], claims.journals[first], name)
        names.append(name)
    return names


def _check_record(record: dict[str, Any], pins: Pins, verified: Verified) -> None:
    claims, combined = verified.claims, verified.combined_hash
    guests = record.get("guests")
    recorded = {}
    if isinstance(guests, dict):
        recorded = {n: g.get("image_id") for n, g in guests.items() if isinstance(g, dict)}
    ours = {pins.leaves[image_id]: image_id.hex() for image_id in claims.image_ids}
    if combined is not None:
        ours[AGGREGATOR] = pins.aggregator.hex()
    for name, image_id in ours.items():
        _same(f"result.json: image id of {name}", image_id, recorded.get(name))
    _same("result.json: receipts", verified.receipts, record.get("receipts"))
    if combined is not None:
        root = record.get("root")
        said = root if isinstance(root, dict) else {}
        _same("result.json: verified_count", claims.count, said.get("verified_count"))
        _same("result.json: combined_hash", combined.hex(), said.get("combined_hash"))


def _verified(
    prover: Prover, receipt: bytes, image_id: bytes, journal: bytes | None, what: str
) -> bytes:
    try:
        return verify_receipt(prover, receipt, image_id, journal, what)
    except ReceiptRejectedError as error:
        raise VerificationFailedError(what, error.reason) from None


def _read(folder: Path, name: str) -> bytes:
    path = folder / name
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise VerificationFailedError(name, f"larger than {MAX_FILE_BYTES} bytes")
        return path.read_bytes()
    except OSError as error:
        if name == results.SUMS:
            raise InputError(
                "folder",
                str(folder),
                f"has no readable {name} ({error.strerror})",
                "give the output folder of a finished batch",
            ) from None
        raise VerificationFailedError(name, f"cannot be read ({error.strerror})") from None


def _same(check: str, expected: object, found: object) -> None:
    if expected != found:
        raise VerificationFailedError(check, f"expected {expected}, found {found}")


if __name__ == "__main__":
    sys.exit(main())
