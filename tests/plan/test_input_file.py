"""Inputs from files: JSON lines and CSV, and the line that is at fault."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.codec.reads import read_layout
from runner.codec.schema import Types
from runner.errors import InputError
from runner.plan.input_file import read_inputs
from runner.plan.inputs import InputSpec, leaves
from tests.plan.input_specs import FIBONACCI, PAIR, one

if TYPE_CHECKING:
    from pathlib import Path


def written(tmp_path: Path, name: str, content: str | bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", '10\n{"n": 20}\n'),
        ("a.ndjson", '10\r\n\r\n{"n": 20}'),
        ("a.JSON", "\ufeff10\n\n 20 \n"),
        ("a.csv", "n\n10\n20\n"),
        ("a.csv", '\ufeffn\r\n"10"\r\n\r\n20'),
    ],
)
def test_files(tmp_path: Path, name: str, content: str) -> None:
    batch = leaves(FIBONACCI, inputs_file=str(written(tmp_path, name, content)))
    assert [leaf.value for leaf in batch] == [{"n": 10}, {"n": 20}]


def test_a_csv_with_several_fields_in_any_order(tmp_path: Path) -> None:
    content = 'name,n,flag\n"a,\nb",18446744073709551615,true\n7,0,false\n'
    path = written(tmp_path, "a.csv", content)
    assert list(read_inputs(path, PAIR.fields)) == [
        (f"{path}:2", {"name": "a,\nb", "n": 2**64 - 1, "flag": True}),
        (f"{path}:4", {"name": "7", "n": 0, "flag": False}),
    ]
    assert len(leaves(PAIR, inputs_file=path)) == 2


@pytest.mark.parametrize(
    ("name", "content", "line", "problem"),
    [
        ("a.jsonl", "1\n94\n", 2, "n = 94: larger than 93: fibonacci"),
        ("a.jsonl", "1\n\ntrue\n", 3, "n = True: not a whole number"),
        ("a.jsonl", "null\n", 1, "n = None: no value"),
        ("a.jsonl", "NaN\n", 1, "not JSON: NaN is no number of JSON"),
        ("a.jsonl", "[1, 2]\n", 1, "not one input of this guest"),
        ("a.jsonl", "1\n{'n': 2}\n", 2, "not JSON: .* at column 2"),
        ("a.jsonl", "[\n1\n]\n", 1, "not JSON"),
        ("a.jsonl", "1 2\n", 1, "not JSON: Extra data at column 3"),
        ("a.jsonl", '{"n": 1, "n": 2}\n', 1, "twice"),
        ("a.jsonl", '{"m": 1}\n', 1, "unknown field 'm'"),
        pytest.param("a.jsonl", "9" * 5000 + "\n", 1, "not JSON", id="many digits"),
        pytest.param("a.jsonl", "[" * 200_000 + "\n", 1, "not JSON", id="deep"),
        ("a.jsonl", b"1\n2\n\xff\n", 3, "not UTF-8 .byte 1"),
        ("a.csv", b"n\n\xe9\n", 2, "not UTF-8"),
        ("a.csv", "n\n94\n", 2, "larger than 93"),
        ("a.csv", "n\n1\nten\n", 3, "n = 'ten': not a whole number"),
        ("a.csv", "n\n1.0\n", 2, "not a whole number"),
        ("a.csv", "n\n 1\n", 2, "not a whole number"),
        ("a.csv", "n\n1_0\n", 2, "not a whole number"),
        ("a.csv", "n\n01\n", 2, "not a whole number"),
        ("a.csv", "n\n-1\n", 2, "smaller than 0"),
        ("a.csv", "n\n٣\n", 2, "not a whole number"),
        ("a.csv", 'n\n""\n', 2, "not a whole number"),
        ("a.csv", "n\n1,2\n", 2, "2 values under a header of 1"),
        ("a.csv", "m\n1\n", 1, "header m does not name"),
        ("a.csv", "1\n2\n", 1, "header 1 does not name"),
        ("a.csv", "n,n\n1,2\n", 1, "header n,n does not name"),
        ("a.csv", 'n\n"1\n', 2, "not CSV"),
    ],
)
def test_errors_name_file_and_line(
    tmp_path: Path, name: str, content: str | bytes, line: int, problem: str
) -> None:
    path = written(tmp_path, name, content)
    with pytest.raises(InputError, match=problem) as caught:
        leaves(FIBONACCI, inputs_file=path)
    assert caught.value.field == "guest.inputs_file"
    assert caught.value.value == f"{path}:{line}"
    assert "\n" not in str(caught.value)


def test_a_csv_truth_value(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "x\nTRUE\n")
    with pytest.raises(InputError, match="x = 'TRUE': neither true nor false"):
        leaves(one("bool"), inputs_file=path)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.jsonl", "", "empty batch"),
        ("a.jsonl", "\n\n", "empty batch"),
        ("a.csv", "", "empty batch"),
        ("a.csv", "n\n", "empty batch"),
        ("a.txt", "1\n", "unknown extension"),
        ("jsonl", "1\n", "unknown extension"),
    ],
)
def test_unusable_files(tmp_path: Path, name: str, content: str, problem: str) -> None:
    path = written(tmp_path, name, content)
    with pytest.raises(InputError, match=problem) as caught:
        leaves(FIBONACCI, inputs_file=path)
    assert (caught.value.field, caught.value.value) == ("guest.inputs_file", str(path))


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        leaves(FIBONACCI, inputs_file=tmp_path / "none.csv")
    fifo = tmp_path / "fifo.jsonl"
    os.mkfifo(fifo)
    with pytest.raises(InputError, match="not a regular file"):
        leaves(FIBONACCI, inputs_file=fifo)


@pytest.mark.parametrize(
    ("name", "content"), [("a.jsonl", json.dumps("x" * 10_000)), ("a.csv", "x" * 10_000)]
)
def test_long_values_do_not_flood_the_message(tmp_path: Path, name: str, content: str) -> None:
    with pytest.raises(InputError) as caught:
        leaves(FIBONACCI, inputs_file=written(tmp_path, name, content))
    assert len(str(caught.value)) < 400


def test_a_file_does_not_steer_the_terminal(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "\x1b[2J\u202en\n1\n")
    with pytest.raises(InputError, match=r"header \\x1b\[2J\\u202en does not name") as caught:
        leaves(FIBONACCI, inputs_file=path)
    assert str(caught.value).isprintable()


@given(st.lists(st.text(max_size=12), min_size=1, max_size=8))
def test_any_text_survives_a_json_file(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    path = tmp_path_factory.getbasetemp() / "texts.jsonl"
    path.write_text("".join(json.dumps(text) + "\n" for text in texts))
    spec = one("string")
    assert leaves(spec, inputs_file=path) == leaves(spec, inputs=texts)


# --- folders, Parquet, and files that values name ---------------------------------------------


def test_a_folder_has_one_input_a_file(tmp_path: Path) -> None:
    (tmp_path / "b.bin").write_bytes(b"\0\1")
    (tmp_path / "a.bin").write_bytes(b"")
    (tmp_path / ".hidden").write_bytes(b"no")
    batch = leaves(one("raw"), inputs_file=tmp_path)
    assert [(leaf.value, leaf.stdin) for leaf in batch] == [
        ({"x": "file:a.bin"}, b""),
        ({"x": "file:b.bin"}, b"\0\1"),
    ]
    assert [leaf.value["x"] for leaf in leaves(one("String"), inputs_file=tmp_path)] == ["", "\0\1"]
    (tmp_path / "b.bin").write_bytes(b"\xff")
    with pytest.raises(InputError, match=r"b\.bin': not UTF-8"):
        leaves(one("text"), inputs_file=tmp_path)
    with pytest.raises(InputError, match="the guest has 3 fields"):
        leaves(PAIR, inputs_file=tmp_path)
    (tmp_path / "c").mkdir()
    with pytest.raises(InputError, match="c': not a regular file"):
        leaves(one("raw"), inputs_file=tmp_path)


def test_an_empty_folder_is_an_empty_batch(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="empty batch"):
        leaves(one("raw"), inputs_file=tmp_path)


def test_values_name_files_beside_the_file_of_inputs(tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(b"\1\2\3\4\5")
    path = written(tmp_path, "in.jsonl", '"file:data.bin"\n"file:none.bin"\n')
    with pytest.raises(InputError, match=r"in\.jsonl:2': x = 'file:none.bin': No such file"):
        leaves(one("raw"), inputs_file=path)
    path = written(tmp_path, "in.jsonl", '"file:data.bin"\n')
    assert leaves(one("raw"), inputs_file=path)[0].stdin == b"\1\2\3\4\5"
    assert leaves(one("raw"), inputs=[f"file:{tmp_path}/data.bin"])[0].stdin == b"\1\2\3\4\5"
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="not a regular file"):
        leaves(one("raw"), inputs=[f"file:{tmp_path}/pipe"])


def test_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "in.parquet"
    rows = [{"a": 2**64 - 1, "data": b"\0\xff", "points": [{"x": -1}]}] * 3
    kinds = {"a": pyarrow.uint64(), "data": pyarrow.binary(),
             "points": pyarrow.list_(pyarrow.struct({"x": pyarrow.int32()}))}  # fmt: skip
    parquet.write_table(pyarrow.Table.from_pylist(rows, pyarrow.schema(kinds)), path)
    reads = {"data": "Vec<u8>", "a": "u64", "points": "Vec<Point>"}
    types = Types({"Point": {"struct": {"x": "i32"}}})
    spec = InputSpec(read_layout(reads, types, "borsh", "guest.input", "input"))
    batch = leaves(spec, inputs_file=path)
    assert batch[2].value == {"data": "hex:00ff", "a": 2**64 - 1, "points": [{"x": -1}]}
    assert batch[2].stdin == bytes.fromhex("02000000 00ff ffffffffffffffff 01000000 ffffffff")
    with pytest.raises(InputError, match="columns a,data,points are not the guest's fields"):
        leaves(FIBONACCI, inputs_file=path)
    parquet.write_table(pyarrow.table({"n": [1, 94]}), path)
    with pytest.raises(InputError, match=r"in\.parquet: row 2': n = 94: larger than 93"):
        leaves(FIBONACCI, inputs_file=path)
    path.write_bytes(b"PAR1 but no more")
    with pytest.raises(InputError, match="not Parquet"):
        leaves(FIBONACCI, inputs_file=path)


def test_csv_cells_of_types_with_parts_are_json(tmp_path: Path) -> None:
    reads = {"point": "(u8, bool)", "name": "Option<String>", "n": "Option<u8>", "f": "f64"}
    spec = InputSpec(read_layout(reads, Types(), "risc0", "guest.input", "input"))
    path = written(tmp_path, "a.csv", 'point,name,n,f\n"[1, true]",,,NaN\n"[2, false]",5,5,1e3\n')
    assert [leaf.value for leaf in leaves(spec, inputs_file=path)] == [
        {"point": [1, True], "name": None, "n": None, "f": "NaN"},
        {"point": [2, False], "name": "5", "n": 5, "f": 1000.0},
    ]
