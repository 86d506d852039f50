"""The files of a batch are written piece by piece, and read back as they were."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from runner.folder import _pieces, write_json

if TYPE_CHECKING:
    from pathlib import Path

TEXT = st.text(max_size=5)
SCALARS = st.none() | st.booleans() | st.integers() | TEXT | st.floats(allow_nan=False)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=6
)


@given(st.dictionaries(TEXT, JSON, max_size=4), st.lists(JSON, max_size=4))
def test_what_is_written_is_read_back(data: dict[str, Any], rows: list[Any]) -> None:
    pieces = _pieces({**data, "rows": iter(rows)})
    assert json.loads("".join(pieces)) == {**data, "rows": rows}


def test_there_is_a_line_for_each_entry_and_each_row(tmp_path: Path) -> None:
    rows = ({"id": i, "of": [i]} for i in range(2))
    data = {"a": {"b": [1, 2], "c": {}}, "d": [{"e": 1}], "f": {1: "é"}, "rows": rows}
    write_json(tmp_path / "any.json", data)
    assert (tmp_path / "any.json").read_text(encoding="utf-8").splitlines() == [
        "{",
        ' "a": {',
        '  "b": [1, 2],',
        '  "c": {}',
        " },",
        ' "d": [',
        '  {"e": 1}',
        " ],",
        ' "f": {"1": "é"},',
        ' "rows": [',
        '  {"id": 0, "of": [0]},',
        '  {"id": 1, "of": [1]}',
        " ]",
        "}",
    ]


def test_a_long_list_is_one_line_made_in_pieces() -> None:
    numbers = [*range(2_500), "\ud800"]
    pieces = [*_pieces({"leaves": numbers})]
    assert max(map(len, pieces)) <= 6_000
    text = json.dumps(numbers, ensure_ascii=False).replace("\ud800", "\\ud800")
    assert "".join(pieces) == f'{{\n "leaves": {text}\n}}'


def test_rows_are_written_as_they_come(tmp_path: Path) -> None:
    """No more rows are held than a file's buffer takes."""
    path, ahead = tmp_path / "any.json", []

    def rows() -> Any:  # noqa: ANN401  # an iterator
        for number in range(200):
            written = sum(part.stat().st_size for part in tmp_path.iterdir())
            ahead.append(number * 1000 - written)
            yield {"text": "x" * 1000}

    write_json(path, {"rows": rows()})
    assert max(ahead) < 20_000
