"""Inputs from a file of JSON lines, CSV or Parquet, read piece by piece, or from a folder of files.

This module says where each value stood in the file. Whether the guest can take the value is decided
in :mod:`runner.codec.reads`.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING

from runner.codec.compound import Option
from runner.codec.texts import Text
from runner.errors import InputError
from runner.untrusted import open_regular, parse_json, read_regular

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from runner.codec.kind import Kind
    from runner.codec.reads import Read

__all__ = ["file_reader", "read_inputs"]

_FILE = "guest.inputs_file"
_MOST_LINE_BYTES = 256 << 20
_MOST_FILE_BYTES = 1 << 30
_ROWS = 4096
"""The rows of a Parquet file that are in memory at a time."""


def read_inputs(path: Path, fields: Sequence[Read]) -> Iterator[tuple[str, object]]:
    """Read the values in a file, one at a time.

    The file's extension decides its format:

    - ``.jsonl``, ``.ndjson`` and ``.json`` hold one JSON value a line, an object or a bare value;
    - ``.csv`` has a header that names the fields and then one input a row. Texts and byte strings
      stand as they are, and everything else as JSON; an empty cell is null for an option;
    - ``.parquet`` has a column for each field and one input a row.

    JSON lines and CSV are UTF-8, with or without a byte order mark. Blank lines are skipped. A
    folder has one input a file: the only field of the guest is that file's bytes, or its text.

    Args:
        path: the file or folder.
        fields: the fields of the guest. There are none for a guest with an encoder of its own.

    Yields:
        The place of a value as ``path:line``, and the value, not yet checked against the guest.

    Raises:
        InputError: the extension is unknown, the file cannot be read or is not UTF-8, or a line
            is not JSON or CSV.
    """
    reader = _READERS.get(path.suffix.lower())
    if path.is_dir():
        reader = _read_folder
    if reader is None:
        known = ", ".join(_READERS)
        raise InputError(_FILE, str(path), "unknown extension", f"use one of {known}")
    try:
        yield from reader(path, fields)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(_FILE, str(path), reason, "give a readable file") from None


def file_reader(folder: Path) -> Callable[[str], bytes]:
    """A function that reads the file which a value names with ``file:``.

    Args:
        folder: the folder that its path is relative to. ``~`` at the start is a home folder.
    """

    def read(name: str) -> bytes:
        try:
            path = folder / Path(name).expanduser()
        except RuntimeError:
            raise ValueError("this home folder is not known") from None
        return read_regular(path, _MOST_FILE_BYTES, follow=True)

    return read


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


def _read_json(path: Path, fields: Sequence[Read]) -> Iterator[tuple[str, object]]:  # noqa: ARG001  # all readers take it
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


def _read_csv(path: Path, fields: Sequence[Read]) -> Iterator[tuple[str, object]]:
    kinds = {field.name: field.kind for field in fields}
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
                if kinds and sorted(header) != sorted(kinds):
                    problem = f"header {_start(','.join(header))} does not name the guest's fields"
                    raise InputError(_FILE, where, problem, f"begin with {','.join(kinds)}")
                continue
            if len(row) != len(header):
                problem = f"{len(row)} values under a header of {len(header)}"
                raise InputError(_FILE, where, problem, "quote values that hold commas")
            yield where, {n: _cell(kinds.get(n), text) for n, text in zip(header, row, strict=True)}
    except csv.Error as error:
        remedy = "mend the row, or use JSON lines"
        raise InputError(_FILE, f"{path}:{rows.line_num}", f"not CSV: {error}", remedy) from None


def _start(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."


def _cell(kind: Kind | None, text: str) -> object:
    """Read a CSV cell by its field's type: texts as they stand, and everything else as JSON.

    Text that does not fit the type stays text, and the encoder then refuses it.
    """
    if isinstance(kind, Option) and not text:
        return None
    if kind is None or kind.textual or text != text.strip():
        return text
    try:
        return parse_json(text)
    except ValueError:
        return text


def _read_parquet(path: Path, fields: Sequence[Read]) -> Iterator[tuple[str, object]]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        remedy = "pip install 'zk-batch-runner[parquet]'"
        raise InputError(_FILE, str(path), "pyarrow is not installed", remedy) from None
    names = [field.name for field in fields]
    row = 0
    with open_regular(path, follow=True) as file:
        try:
            table = parquet.ParquetFile(file)
            found = table.schema_arrow.names
            if names and sorted(found) != sorted(names):
                problem = f"columns {_start(','.join(found))} are not the guest's fields"
                raise InputError(_FILE, str(path), problem, f"name them {','.join(names)}")
            for batch in table.iter_batches(_ROWS):
                for values in batch.to_pylist():
                    row += 1
                    yield f"{path}: row {row}", _plain(values)
        except (ArrowException, ValueError, OSError) as error:
            problem = f"not Parquet: {' '.join(str(error).split())[:200]}"
            raise InputError(_FILE, str(path), problem, "give a Parquet file") from None


def _plain(value: object) -> object:
    """A value of a Parquet file as JSON has it: byte strings in hex."""
    if isinstance(value, bytes):
        return f"hex:{value.hex()}"
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value


def _read_folder(folder: Path, fields: Sequence[Read]) -> Iterator[tuple[str, object]]:
    """Each file of a folder as one input, in the order of their names; hidden ones are skipped."""
    if len(fields) > 1:
        problem = f"a folder of files, and the guest has {len(fields)} fields"
        raise InputError(_FILE, str(folder), problem, "give JSON lines that name files with file:")
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if not path.is_file():
            remedy = "keep only files of inputs in it"
            raise InputError(_FILE, str(path), "not a regular file", remedy)
        if fields and isinstance(fields[0].kind, Text):
            try:
                yield str(path), read_regular(path, _MOST_FILE_BYTES, follow=True).decode()
            except UnicodeDecodeError:
                problem, remedy = "not UTF-8", "save it as UTF-8, or let the guest read bytes"
                raise InputError(_FILE, str(path), problem, remedy) from None
        else:
            yield str(path), f"file:{path.name}"


_READERS: dict[str, Callable[[Path, Sequence[Read]], Iterator[tuple[str, object]]]] = {
    ".jsonl": _read_json,
    ".ndjson": _read_json,
    ".json": _read_json,
    ".csv": _read_csv,
    ".parquet": _read_parquet,
}
