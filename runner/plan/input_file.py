"""Inputs from a file of JSON lines or CSV, read one line at a time.

This module says where each value stood in the file. Whether the guest can take the value is decided
in :mod:`runner.plan.fields`.
"""

from __future__ import annotations

import csv
import json
import re
from typing import TYPE_CHECKING

from runner.errors import InputError
from runner.plan.fields import INTEGER_SIZES
from runner.untrusted import open_regular, parse_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from runner.model import Scalar
    from runner.plan.fields import FieldSpec

__all__ = ["read_inputs"]

_FILE = "guest.inputs_file"
_MOST_LINE_BYTES = 256 << 20
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,99})")


def read_inputs(path: Path, fields: Sequence[FieldSpec]) -> Iterator[tuple[str, object]]:
    """Read the values in a file, one at a time.

    The file's extension decides its format:

    - ``.jsonl``, ``.ndjson`` and ``.json`` hold one JSON value a line, an object or a bare value;
    - ``.csv`` has a header that names the fields and then one input a row. Numbers and truth values
      are read by the field's type, and everything else is text.

    The file is UTF-8, with or without a byte order mark. Blank lines are skipped.

    Yields:
        The place of a value as ``path:line``, and the value, not yet checked against the guest.

    Raises:
        InputError: the extension is unknown, the file cannot be read or is not UTF-8, or a line
            is not JSON or CSV.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        known = ", ".join(_READERS)
        raise InputError(_FILE, str(path), "unknown extension", f"use one of {known}")
    try:
        yield from reader(path, fields)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(_FILE, str(path), reason, "give a readable file") from None


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    # The file is decoded line by line, so that an error can name its line.
    # The user names the file, so it may be a link. A sweep reads it more than once, so it cannot be
    # a FIFO, which can be read once.
    with open_regular(path, follow=True) as file:
        lines = iter(lambda: file.readline(_MOST_LINE_BYTES + 1), b"")
        for number, raw in enumerate(lines, start=1):
            where = f"{path}:{number}"
            if len(raw) > _MOST_LINE_BYTES:
                problem = f"a line of more than {_MOST_LINE_BYTES} bytes"
                raise InputError(_FILE, where, problem, "write one value a line")
            try:
                yield where, raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                problem = f"not UTF-8 (byte {error.start + 1} of the line)"
                raise InputError(_FILE, where, problem, "save the file as UTF-8") from None


def _read_json(path: Path, fields: Sequence[FieldSpec]) -> Iterator[tuple[str, object]]:  # noqa: ARG001  # all readers take it
    for where, line in _lines(path):
        if not line.strip():
            continue
        try:
            value = parse_json(line)
        except ValueError as error:
            detail = str(error)
            if isinstance(error, json.JSONDecodeError):
                # The error's own text would also give a line, counted within this one line.
                detail = f"{error.msg} at column {error.colno}"
            problem, remedy = f"not JSON: {detail}", "write one JSON value a line"
            raise InputError(_FILE, where, problem, remedy) from None
        yield where, value


def _read_csv(path: Path, fields: Sequence[FieldSpec]) -> Iterator[tuple[str, object]]:
    types = {field.name: field.type for field in fields}
    header: list[str] | None = None
    rows = csv.reader((line for _, line in _lines(path)), strict=True)
    start = 1
    try:
        for row in rows:
            where, start = f"{path}:{start}", rows.line_num + 1
            if not row:
                continue
            if header is None:
                header = row
                if sorted(header) != sorted(types):
                    problem = f"header {_start(','.join(header))} does not name the guest's fields"
                    raise InputError(_FILE, where, problem, f"begin with {','.join(types)}")
                continue
            if len(row) != len(header):
                problem = f"{len(row)} values under a header of {len(header)}"
                raise InputError(_FILE, where, problem, "quote values that hold commas")
            yield where, {n: _cell(types[n], text) for n, text in zip(header, row, strict=True)}
    except csv.Error as error:
        remedy = "mend the row, or use JSON lines"
        raise InputError(_FILE, f"{path}:{rows.line_num}", f"not CSV: {error}", remedy) from None


def _start(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."


def _cell(kind: str, text: str) -> Scalar:
    """Read a CSV cell by its field's type.

    Text that does not fit the type stays text, and the encoder then refuses it.
    """
    if kind in INTEGER_SIZES:
        return int(text) if _DECIMAL.fullmatch(text) else text
    if kind == "bool":
        return {"true": True, "false": False}.get(text, text)
    return text


_READERS: dict[str, Callable[[Path, Sequence[FieldSpec]], Iterator[tuple[str, object]]]] = {
    ".jsonl": _read_json,
    ".ndjson": _read_json,
    ".json": _read_json,
    ".csv": _read_csv,
}
