"""What a batch's folder claims: read and well-formed, and not yet believed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner import merkle, results
from runner.errors import InputError, RunnerError, VerificationFailedError
from runner.plan import Plan
from runner.prover import ADAPTERS

__all__ = [
    "MAX_FILE_BYTES",
    "Claims",
    "adapter_of",
    "check_sums",
    "read",
    "read_claims",
    "read_record",
]

MAX_FILE_BYTES = 4 << 30
"""No file of a batch is larger; a folder from elsewhere must not fill the memory."""


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


def read(folder: Path, name: str) -> bytes:
    """A file of the batch.

    Raises:
        InputError: the folder is none that a finished batch has left.
        VerificationFailedError: the file cannot be read, or is larger than any could be.
    """
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


def check_sums(folder: Path) -> list[str]:
    """The names in ``SHA256SUMS``, once every file is found to be as it says.

    Raises:
        VerificationFailedError: one is not, or a name leads out of the folder.
    """
    named: dict[str, str] = {}
    for line in read(folder, results.SUMS).decode("utf-8", "replace").splitlines():
        digest, _, name = line.partition("  ")
        if not name or Path(name).is_absolute() or ".." in Path(name).parts:
            raise VerificationFailedError(results.SUMS, f"cannot read the line {line[:80]!r}")
        named[name] = digest
    for name in (results.RESULT, results.LEAVES):
        if name not in named:
            raise VerificationFailedError(results.SUMS, f"does not name {name}")
    for name, digest in named.items():
        found = hashlib.sha256(read(folder, name)).hexdigest()
        if found != digest:
            raise VerificationFailedError(
                name, f"SHA-256 is {found[:16]}..., {results.SUMS} says {digest[:16]}..."
            )
    return list(named)


def read_record(folder: Path) -> dict[str, Any]:
    """``result.json`` of a batch that ended well.

    Raises:
        VerificationFailedError: it is something else.
    """
    try:
        record = json.loads(read(folder, results.RESULT))
    except (ValueError, RecursionError) as error:
        raise VerificationFailedError(results.RESULT, f"not JSON: {error}") from None
    if not isinstance(record, dict) or record.get("format") != results.FORMAT:
        raise VerificationFailedError(results.RESULT, f"not of format {results.FORMAT}")
    if record.get("status") != "ok":
        raise VerificationFailedError(results.RESULT, f"the run ended {record.get('status')!r}")
    return record


def adapter_of(folder: Path) -> str:
    """The adapter of the zkVM that a batch says it was proved with.

    A folder that lies here is refused by that verifier; of one that says nothing, the first
    adapter's tells what is wrong.
    """
    first = next(iter(ADAPTERS))
    try:
        versions = read_record(folder).get("versions")
    except RunnerError:
        return first
    zkvm = versions.get("zkvm") if isinstance(versions, dict) else None
    return zkvm if isinstance(zkvm, str) and zkvm in ADAPTERS else first


def read_claims(folder: Path, record: dict[str, Any]) -> Claims:
    """The leaf list and the plan over it.

    Raises:
        VerificationFailedError: either is malformed, or they do not fit each other.
    """
    image_ids, journals, jobs = [], [], []
    lines = read(folder, results.LEAVES).decode("utf-8", "replace").splitlines()
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
