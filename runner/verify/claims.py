"""What a batch's folder claims, read and well-formed but not yet verified."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runner.errors import InputError, RunnerError, VerificationFailedError
from runner.folder import (
    JOURNALS,
    LEAVES,
    MOST_INLINE_BYTES,
    JournalFile,
    read_file,
    read_lines,
    read_record,
)
from runner.plan import merkle
from runner.plan.plan import Plan
from runner.provers.prover import BUILT_IN, adapters
from runner.untrusted import parse_json, unhex

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "Claims",
    "adapter_of",
    "read_claims",
]

_FIELDS = {
    "index": (int,),
    "job": (int,),
    "guest": (str,),
    "image_id": (str,),
    "input": (dict,),
    "journal": (str, dict),
    "shows": (str, list, dict),
}
_JOURNAL_FILE = re.compile(rf"{JOURNALS}/job-[0-9]{{1,9}}\.bin")
_MISSING = {"index": (int,), "guest": (str,), "input": (dict,), "missing": (str,)}
"""The fields of a leaf that was asked for and is not in the batch."""

_KINDS = {int: "a whole number", str: "a text", dict: "an object", list: "a list"}


@dataclass(frozen=True, slots=True)
class Claims:
    """What a batch's files say was proved, well-formed but not yet verified.

    Attributes:
        plan: the plan of the batch.
        image_ids: the image id of each leaf, by its position in the batch.
        journals: the journal of each leaf, by its position in the batch.
        files: the file of each leaf's journal, where it is too large for the leaf list.
        guests: the name that the leaf list gives each leaf's guest.
        numbers: the number of each leaf among those that were asked for.
        missing: why leaves that were asked for are not in the batch, by their number.
        shows: how the leaf list shows each leaf's journal.
    """

    plan: Plan
    image_ids: list[bytes]
    journals: list[bytes]
    guests: list[str]
    shows: list[object]
    files: list[JournalFile | None]
    numbers: list[int]
    missing: dict[int, str]

    @property
    def count(self) -> int:
        """The number of leaves."""
        return len(self.journals)

    def hashes(self) -> list[bytes]:
        """Return the leaf hash of each leaf job, by job id.

        :func:`read_claims` has found that positions which share a job have the same hash.
        """
        return [
            merkle.leaf_hash(self.image_ids[first], self.journals[first])
            for first in self.plan.first_positions()
        ]


def adapter_of(folder: Path) -> str:
    """The installed adapter of the zkVM that a batch says it was proved with.

    A folder that names the wrong zkVM is refused by that zkVM's verifier. For a folder that names
    none, the first adapter is returned, and the checks then say what is wrong with the folder.

    Raises:
        InputError: No installed adapter is of that zkVM. The folder's own word for an adapter is
            never followed, for that would be to run code that the folder chooses.
    """
    first = next(iter(BUILT_IN))
    try:
        versions = read_record(folder).get("versions")
    except RunnerError:
        return first
    zkvm = versions.get("zkvm") if isinstance(versions, dict) else None
    if not isinstance(zkvm, str):
        return first
    if zkvm not in BUILT_IN and zkvm not in adapters():
        raise InputError(
            "--adapter",
            zkvm,
            "the batch says it was proved with this zkVM, and no installed adapter is of it",
            "install its adapter, or give --adapter MODULE:CLASS and --guests FOLDER",
        )
    return zkvm


def read_claims(folder: Path, record: dict[str, Any]) -> Claims:
    """Read the leaf list of a batch, and the plan over it.

    Args:
        folder: the output folder of the batch.
        record: the batch's record, which holds the plan.

    Raises:
        VerificationFailedError: the leaf list or the plan is malformed, or they do not fit each
            other.
    """
    image_ids, journals, jobs, guests, shows, files = [], [], [], [], [], []
    read: dict[str, bytes] = {}
    numbers: list[int] = []
    missing: dict[int, str] = {}
    for index, line in enumerate(read_lines(folder, LEAVES)):
        try:
            leaf = _leaf(parse_json(line, names=True), index)
            if "missing" in leaf:
                missing[index] = leaf["missing"]
                continue
            image_ids.append(unhex(leaf["image_id"], 32))
            journal, file = _journal(folder, leaf["journal"], read)
        except ValueError as error:
            raise VerificationFailedError(LEAVES, f"line {index + 1}: {error}") from None
        journals.append(journal)
        files.append(file)
        numbers.append(index)
        jobs.append(leaf["job"])
        guests.append(leaf["guest"])
        shows.append(leaf["shows"])
    try:
        plan = Plan.from_json(record.get("plan"))
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
    return Claims(plan, image_ids, journals, guests, shows, files, numbers, missing)


def _journal(
    folder: Path, given: object, read: dict[str, bytes]
) -> tuple[bytes, JournalFile | None]:
    """A journal of the leaf list, and the file that it is in, where it is in one.

    Args:
        folder: the output folder of the batch.
        given: what the leaf list says.
        read: the journals that were read from files before, by name.

    Raises:
        ValueError: the leaf list says it in another way than a run does.
        VerificationFailedError: the file cannot be read.
    """
    if not isinstance(given, dict):
        return unhex(given), None
    name = given.get("file")
    if not isinstance(name, str) or not _JOURNAL_FILE.fullmatch(name):
        raise ValueError("journal names no file of journals")
    if name not in read:
        read[name] = read_file(folder, name)
    file = JournalFile.of(name, read[name])
    if given != file.to_json() or file.size <= MOST_INLINE_BYTES:
        raise ValueError(f"journal is not what is in {name}")
    return read[name], file


def _leaf(line: object, index: int) -> dict[str, Any]:
    """A line of the leaf list, with exactly the fields that a run writes, of their types."""
    fields = _MISSING if isinstance(line, dict) and "missing" in line else _FIELDS
    if not isinstance(line, dict) or line.keys() != fields.keys():
        raise ValueError(f"not an object with exactly {', '.join(fields)}")
    for name, kinds in fields.items():
        # The test is for the exact type, because isinstance would take JSON's true for 1.
        if type(line[name]) not in kinds:
            raise ValueError(f"{name} is not {' or '.join(_KINDS[kind] for kind in kinds)}")
    if line["index"] != index:
        raise ValueError("out of order")
    return line
