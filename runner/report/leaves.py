"""The leaves of a run for people and other tools: their inputs and what their journals show.

They come from ``leaves.jsonl``, which is not trusted, and are only shown. Whether a journal was
proved, and shows this, is checked by :mod:`runner.verify`.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from runner.errors import InputError, RunnerError
from runner.folder import LEAVES, compact, read_lines
from runner.report.checked_json import JsonObject, one_line
from runner.report.export import cell, write_file
from runner.untrusted import parse_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["LeafRow", "first_leaves", "write_leaves"]

_MOST_LETTERS = 200
_MOST_COLUMNS = 1000


@dataclass(frozen=True, slots=True)
class LeafRow:
    """One line of the leaf list.

    Attributes:
        index: the leaf's position in the batch.
        guest: the name of its guest.
        image_id: the image id of its guest in hex.
        input: the input by its field names, as JSON.
        shows: what its journal shows: an object, a list or a text.
    """

    index: int
    guest: str
    image_id: str
    input: dict[str, object]
    shows: object

    @property
    def input_text(self) -> str:
        """The input on one line of limited length."""
        values = list(self.input.values())
        return _text(values[0] if len(values) == 1 else self.input)

    @property
    def journal_text(self) -> str:
        """What the journal shows on one line of limited length."""
        return _text(self.shows)

    def cells(self) -> dict[str, object]:
        """The values of the row by column: each part of the input and of the journal is one."""
        found: dict[str, object] = {
            "index": self.index,
            "guest": self.guest,
            "image_id": self.image_id,
        }
        found |= {f"input.{name}": _plain(value) for name, value in self.input.items()}
        if isinstance(self.shows, dict):
            return found | {f"journal.{name}": _plain(one) for name, one in self.shows.items()}
        return found | {"journal": _plain(self.shows)}


def first_leaves(folder: Path, most: int) -> list[LeafRow]:
    """The first leaves of a run; none where the list is missing or is not this runner's."""
    try:
        return list(islice(_rows(folder), most))
    except RunnerError:
        return []


def write_leaves(folder: Path, file: Path) -> None:
    """Write the leaves of a run as CSV, with a column for each part of inputs and journals.

    Args:
        folder: the folder of the run.
        file: the file to write.

    Raises:
        InputError: the folder has no leaf list of this runner, or the file cannot be written.
    """
    names: dict[str, None] = {}
    for row in _rows(folder):
        names |= dict.fromkeys(row.cells())
        if len(names) > _MOST_COLUMNS:
            remedy = "read leaves.jsonl itself"
            raise InputError("--leaves", str(file), f"more than {_MOST_COLUMNS} columns", remedy)
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([cell(name) for name in names])
    for row in _rows(folder):
        cells = row.cells()
        writer.writerow([cell(cells.get(name)) for name in names])
    write_file("--leaves", file, text.getvalue().encode("utf-8", "replace"))


def _rows(folder: Path) -> Iterator[LeafRow]:
    try:
        for number, line in enumerate(read_lines(folder, LEAVES), start=1):
            yield _row(JsonObject(parse_json(line, names=True), f"line {number}"))
    except ValueError as error:
        problem = f"not a leaf list of this runner: {one_line(str(error), 200)}"
        remedy = "give the folder of a finished run"
        raise InputError("leaves", str(folder / LEAVES), problem, remedy) from None


def _row(line: JsonObject) -> LeafRow:
    return LeafRow(
        line.count("index"),
        line.text("guest"),
        line.text("image_id"),
        line.node("input").data,
        line.data.get("shows"),
    )


def _text(value: object) -> str:
    text = one_line(value if isinstance(value, str) else compact(value), _MOST_LETTERS + 1)
    return text if len(text) <= _MOST_LETTERS else f"{text[: _MOST_LETTERS - 3]}..."


def _plain(value: object) -> object:
    return compact(value) if isinstance(value, dict | list) else value
