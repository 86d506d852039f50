"""The files in a batch's output folder: their names, how they are written and how they are read.

======================== =========================================================================
``root.receipt``         the aggregated receipt; with strategy ``none`` the folder ``receipts/``
                         holds the leaves' receipts instead
``leaves.jsonl``         the leaf list, one line a leaf: guest, image id, input and journal, which
                         is what a verifier needs
``journals/``            the journals that are too large for the leaf list, which then names them
``printed/``             what the guests printed, a file for each leaf whose guest printed anything
``result.json``          the record: config, plan, figures of every job, versions, image ids and
                         machine
``SHA256SUMS``           the checksums of the files above, for ``sha256sum -c`` and the verifier
``SHA256SUMS.sig``       a signature over these, where somebody has signed the batch
``l1.json``              what became of the root on an L1, where it was submitted to one
``report.html``          a page for people, where ``report=true`` or in a sweep's folder
======================== =========================================================================

A failed run leaves ``result.json`` and, in ``receipts/``, every receipt that was finished. A run in
a folder that was used before first removes what the earlier one left (:func:`clear_result`), so
that the folder never holds parts of two runs.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Self, TypeGuard

from runner.errors import InputError, VerificationFailedError
from runner.files import atomic_write, check_replaceable, fsync_folder
from runner.text import visible
from runner.untrusted import digest_of, open_regular, parse_json, read_regular

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "FORMAT",
    "JOURNALS",
    "L1_RECORD",
    "LEAVES",
    "MAX_FILE_BYTES",
    "MOST_INLINE_BYTES",
    "PRINTED",
    "RECEIPTS",
    "REPORT",
    "RESULT",
    "ROOT",
    "SEGMENTS",
    "SIGNATURE",
    "SUMS",
    "JournalFile",
    "check_sums",
    "clear_result",
    "compact",
    "read_file",
    "read_json",
    "read_lines",
    "read_record",
    "sha256",
    "write_json",
    "write_sums",
]

RESULT = "result.json"
REPORT = "report.html"
LEAVES = "leaves.jsonl"
L1_RECORD = "l1.json"
ROOT = "root.receipt"
RECEIPTS = "receipts"
PRINTED = "printed"
JOURNALS = "journals"
SEGMENTS = "segments"
SUMS = "SHA256SUMS"
SIGNATURE = f"{SUMS}.sig"

FORMAT = 1
"""The version of the record's format, under the key ``format`` in ``result.json``."""

MAX_FILE_BYTES = 1 << 30
"""The largest file of a batch that is read into memory, which may be another's folder."""

MOST_INLINE_BYTES = 64 << 10
"""The largest journal that stands in the leaf list itself."""

MAX_JSON_BYTES = 256 << 20
"""The largest record. Parsed, it takes several times its size in memory."""

_AT_ONCE = 1000
"""The items of a long list whose text is made at once."""

_MAX_SUMMED_BYTES = 16 << 30
"""The largest file whose checksum is compared; only a piece of it is in memory at a time."""


@dataclass(frozen=True, slots=True)
class JournalFile:
    """A journal that stands in a file of its own, as the leaf list names it.

    Attributes:
        file: the name of the file, relative to the output folder.
        sha256: the SHA-256 of the journal in hex.
        size: the number of its bytes.
    """

    file: str
    sha256: str
    size: int

    @property
    def shows(self) -> str:
        """What the leaf list shows of the journal."""
        return f"{self.size} bytes, SHA-256 {self.sha256}, in {self.file}"

    def to_json(self) -> dict[str, str | int]:
        """Return what the leaf list says in place of the journal."""
        return {"file": self.file, "sha256": self.sha256, "bytes": self.size}

    @classmethod
    def of(cls, name: str, data: bytes) -> Self:
        """The description of a journal that stands in a file."""
        return cls(name, hashlib.sha256(data).hexdigest(), len(data))


# -- writing -----------------------------------------------------------------------------------


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write JSON durably and in a form that people can read.

    The text is written while it is made, because with a million leaves it takes gigabytes. A name
    of a file that is not UTF-8 is written as :func:`runner.text.visible` says, and
    :func:`read_json` reads it back.

    Args:
        path: the file to write, in an existing folder.
        data: the JSON values. An iterator among them becomes a list, one item at a time.

    Raises:
        OSError: the file could not be written.
    """
    atomic_write(path, (piece.encode() for piece in itertools.chain(_pieces({**data}), "\n")))


def _pieces(value: object, margin: str = "\n") -> Iterator[str]:
    """Yield the text of a JSON value in pieces.

    Objects, and lists of objects, have one entry a line. Every other value, and each object in a
    list, stands on one line. `json.dumps(indent=...)` would be far slower, because the standard
    library writes only the form on one line in C.
    """
    inner = margin + " "
    if isinstance(value, dict) and value and all(isinstance(key, str) for key in value):
        for number, (key, entry) in enumerate(value.items()):
            yield f"{',' if number else '{'}{inner}{compact(key)}: "
            yield from _pieces(entry, inner)
        yield margin + "}"
    elif _is_rows(value):
        yield "["
        for number, row in enumerate(value):
            yield f"{',' if number else ''}{inner}{compact(row)}"
        yield margin + "]"
    elif isinstance(value, list) and len(value) > _AT_ONCE:
        # A plan has a list of all its leaves.
        for start in range(0, len(value), _AT_ONCE):
            yield (", " if start else "[") + compact(value[start : start + _AT_ONCE])[1:-1]
        yield "]"
    else:
        yield compact(value)


def _is_rows(value: object) -> TypeGuard[Iterable[object]]:
    rows = isinstance(value, list) and bool(value) and isinstance(value[0], dict)
    return rows or isinstance(value, Iterator)


def compact(value: object) -> str:
    """Return a JSON value as text on one line, which can be written as UTF-8."""
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isascii() else visible(text)


def write_sums(folder: Path, names: Iterable[str]) -> None:
    """Write ``SHA256SUMS`` over files of a folder.

    Args:
        folder: the batch's output folder.
        names: the names of the files, relative to the folder.

    Raises:
        OSError: a file could not be read, or the checksums could not be written.
    """
    lines = [f"{sha256(folder / name)}  {name}\n" for name in sorted(names)]
    atomic_write(folder / SUMS, "".join(lines).encode())


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hex.

    Raises:
        OSError: the file could not be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def clear_result(folder: Path) -> None:
    """Remove the result that an earlier run left in a folder, so that a new one can begin in it.

    The checksums go first. What a crash leaves then is no finished batch, and not one that seems to
    have been changed by somebody. The audit log and ``run.log`` stay, because they go on from run
    to run, and so does every file that no batch leaves.

    Raises:
        OSError: a file cannot be removed, or something that is no file has its name. Unless the
            folder itself cannot be changed, nothing was removed.
    """
    receipts = folder / RECEIPTS
    # Without a record beside it, a page may be that of a sweep whose folder this is.
    pages = [folder / REPORT] if os.path.lexists(folder / RESULT) else []
    kept = [] if receipts.is_symlink() else sorted(receipts.glob("job-*.receipt"))
    journals = folder / JOURNALS
    kept += [] if journals.is_symlink() else sorted(journals.glob("job-*.bin"))
    printed = folder / PRINTED
    kept += [] if printed.is_symlink() else sorted(printed.glob("*-*.txt"))
    names = (SUMS, SIGNATURE, RESULT, LEAVES, ROOT, L1_RECORD)
    paths = [*(folder / name for name in names), *pages, *kept]
    for path in paths:
        check_replaceable(path)
    for path in paths:
        path.unlink(missing_ok=True)
        if path.name == SUMS:
            fsync_folder(folder)
    fsync_folder(folder)


# -- reading -----------------------------------------------------------------------------------


def read_file(folder: Path, name: str) -> bytes:
    """Read a file of a finished batch.

    Args:
        folder: the batch's output folder.
        name: the name of the file, relative to the folder.

    Raises:
        InputError: the folder is not one that a finished batch has left.
        VerificationFailedError: the file cannot be read, or is larger than a batch's files can be.
    """
    with _problems(folder, name):
        return read_regular(Path(name), MAX_FILE_BYTES, inside=folder)


@contextlib.contextmanager
def _problems(folder: Path, name: str) -> Iterator[None]:
    """Say what is wrong with a file of a batch, in place of an OSError."""
    try:
        yield
    except OSError as error:
        if name == SUMS:
            problem = _ended(folder) or f"has no readable {name} ({error.strerror})"
            remedy = "give the output folder of a finished batch"
            raise InputError("folder", str(folder), problem, remedy) from None
        raise VerificationFailedError(name, f"cannot be read ({error.strerror})") from None


def _ended(folder: Path) -> str:
    """What a folder without checksums says of its run, or nothing if it does not say."""
    if os.path.lexists(folder / SUMS):
        return ""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        data = read_regular(Path(RESULT), MAX_JSON_BYTES, inside=folder)
        record = parse_json(data, names=True)
        if record.get("status") in ("failed", "interrupted"):
            return f"has no result, the run in it ended {record['status']!r}"
    return ""


def read_json(folder: Path, name: str) -> Any:  # noqa: ANN401  # any JSON value
    """Read a JSON file of a batch.

    Raises:
        ValueError: it is not JSON, or JSON that two readers may take differently.
        InputError: the folder is not one that a finished batch has left.
        VerificationFailedError: the file cannot be read, or is larger than a record can be.
    """
    with _problems(folder, name):
        data = read_regular(Path(name), MAX_JSON_BYTES, inside=folder)
        return parse_json(data, names=True)


def read_lines(folder: Path, name: str) -> Iterator[bytes]:
    """Yield the lines of a batch's file one by one, without their ends.

    Raises:
        InputError: the folder is not one that a finished batch has left.
        VerificationFailedError: the file cannot be read, or a line is larger than a record can be.
    """
    with _problems(folder, name), open_regular(Path(name), inside=folder) as file:
        while line := file.readline(MAX_JSON_BYTES + 1):
            if len(line) > MAX_JSON_BYTES:
                raise VerificationFailedError(name, f"a line is larger than {MAX_JSON_BYTES} bytes")
            yield line.removesuffix(b"\n")


def check_sums(folder: Path) -> list[str]:
    """Check every file that ``SHA256SUMS`` names against its checksum.

    Returns:
        The names of the files.

    Raises:
        InputError: the folder is not one that a finished batch has left.
        VerificationFailedError: a file is not as its checksum says, a line cannot be read or leads
            out of the folder, or the record or the leaf list is not named.
    """
    named: dict[str, str] = {}
    for line in read_file(folder, SUMS).decode("utf-8", "replace").splitlines():
        digest, _, name = line.partition("  ")
        path = PurePath(name)
        usable = name == str(path) and not path.is_absolute() and ".." not in path.parts
        if not usable or name in named or "\0" in name:
            raise VerificationFailedError(SUMS, f"cannot read the line {line[:80]!r}")
        named[name] = digest
    for name in (RESULT, LEAVES):
        if name not in named:
            raise VerificationFailedError(SUMS, f"does not name {name}")
    for name, digest in named.items():
        with _problems(folder, name):
            found = digest_of(Path(name), _MAX_SUMMED_BYTES, inside=folder)
        if found != digest:
            raise VerificationFailedError(
                name, f"SHA-256 is {found[:16]}..., {SUMS} says {digest[:16]}..."
            )
    return list(named)


def read_record(folder: Path) -> dict[str, Any]:
    """Read the record, ``result.json``, of a batch that succeeded.

    Raises:
        VerificationFailedError: the file is not such a record.
    """
    try:
        record = read_json(folder, RESULT)
    except ValueError as error:
        raise VerificationFailedError(RESULT, f"not JSON: {error}") from None
    if not isinstance(record, dict) or type(record.get("format")) is not int:
        raise VerificationFailedError(RESULT, f"not of format {FORMAT}")
    if record["format"] != FORMAT:
        raise VerificationFailedError(RESULT, f"not of format {FORMAT}")
    if record.get("status") not in ("ok", "partial"):
        raise VerificationFailedError(RESULT, f"the run ended {record.get('status')!r}")
    return record
