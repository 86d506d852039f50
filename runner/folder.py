"""What a batch leaves in its output folder, and how it is read back.

======================== =====================================================================
``root.receipt``         the aggregated receipt (``receipts/`` instead for strategy ``none``)
``leaves.jsonl``         one line a leaf: guest, image id, input, journal; what a verifier needs
``result.json``          config, plan, figures of every job, versions, image ids, machine
``SHA256SUMS``           of the files above, for ``sha256sum -c`` and the verifier
``report.html``          where ``report=true``, or in a sweep's folder: a page for people
======================== =====================================================================

The second and third are written as they are made: with a million leaves they are gigabytes.

A failed run leaves ``result.json`` and, in ``receipts/``, every receipt that was finished.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from runner.errors import InputError, VerificationFailedError
from runner.files import atomic_write

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


__all__ = [
    "FORMAT",
    "LEAVES",
    "MAX_FILE_BYTES",
    "RECEIPTS",
    "REPORT",
    "RESULT",
    "ROOT",
    "SUMS",
    "check_sums",
    "compact",
    "read",
    "read_record",
    "sha256",
    "write_json",
    "write_sums",
]

FORMAT = 1
RESULT = "result.json"
REPORT = "report.html"
LEAVES = "leaves.jsonl"
ROOT = "root.receipt"
RECEIPTS = "receipts"
SUMS = "SHA256SUMS"


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write JSON durably and readably. Raises OSError.

    Args:
        path: target in an existing folder.
        data: JSON values; iterators become lists, one item at a time.
    """
    atomic_write(path, (piece.encode() for piece in itertools.chain(_pieces({**data}), "\n")))


def _pieces(value: object, margin: str = "\n") -> Iterator[str]:
    """Objects and lists of them with an entry a line; everything else, and each row, on one line.

    `json.dumps(indent=...)` would be slower by far: only its other form is written in C.
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
    else:
        yield compact(value)


def _is_rows(value: object) -> TypeGuard[Iterable[object]]:
    rows = isinstance(value, list) and bool(value) and isinstance(value[0], dict)
    return rows or isinstance(value, Iterator)


def compact(value: object) -> str:
    """A JSON value on one line."""
    return json.dumps(value, ensure_ascii=False)


def write_sums(folder: Path, names: Iterable[str]) -> None:
    """Write ``SHA256SUMS`` over files in ``folder``, named relative to it. Raises OSError."""
    lines = [f"{sha256(folder / name)}  {name}\n" for name in sorted(names)]
    atomic_write(folder / SUMS, "".join(lines).encode())


def sha256(path: Path) -> str:
    """A file's SHA-256 in hex. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


MAX_FILE_BYTES = 4 << 30
"""No file of a batch is larger; a folder from elsewhere must not fill the memory."""


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
        if name == SUMS:
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
    for line in read(folder, SUMS).decode("utf-8", "replace").splitlines():
        digest, _, name = line.partition("  ")
        if not name or Path(name).is_absolute() or ".." in Path(name).parts:
            raise VerificationFailedError(SUMS, f"cannot read the line {line[:80]!r}")
        named[name] = digest
    for name in (RESULT, LEAVES):
        if name not in named:
            raise VerificationFailedError(SUMS, f"does not name {name}")
    for name, digest in named.items():
        found = hashlib.sha256(read(folder, name)).hexdigest()
        if found != digest:
            raise VerificationFailedError(
                name, f"SHA-256 is {found[:16]}..., {SUMS} says {digest[:16]}..."
            )
    return list(named)


def read_record(folder: Path) -> dict[str, Any]:
    """``result.json`` of a batch that ended well.

    Raises:
        VerificationFailedError: it is something else.
    """
    try:
        record = json.loads(read(folder, RESULT))
    except (ValueError, RecursionError) as error:
        raise VerificationFailedError(RESULT, f"not JSON: {error}") from None
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise VerificationFailedError(RESULT, f"not of format {FORMAT}")
    if record.get("status") != "ok":
        raise VerificationFailedError(RESULT, f"the run ended {record.get('status')!r}")
    return record
