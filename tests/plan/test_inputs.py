"""Inputs: a value that a guest cannot take is named, with its place and what to give instead."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import InputError
from runner.plan import inputs
from runner.plan.fields import FieldSpec
from runner.plan.input_file import read_inputs
from runner.plan.inputs import InputSpec, RangeSeries, TemplateSeries, leaves

if TYPE_CHECKING:
    from pathlib import Path

REASON = "fibonacci(94) does not fit in 64 bits"
FIBONACCI = InputSpec((FieldSpec("n", "u32", max=93, reason=REASON),), (RangeSeries(modulo=94),))
SHA256 = InputSpec((FieldSpec("message", "bytes"),), (TemplateSeries("leaf-{i}"),))
PAIR = InputSpec((FieldSpec("n", "u64"), FieldSpec("flag", "bool"), FieldSpec("name", "string")))


def one(kind: str, low: int | None = None, high: int | None = None) -> InputSpec:
    return InputSpec((FieldSpec("x", kind, min=low, max=high),))


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (94, f"larger than 93: {REASON}"),
        (2**32, f"larger than 93: {REASON}"),
        (-1, "smaller than 0"),
        ("ten", "not a whole number"),
        ("10", "not a whole number"),
        (1.5, "not a whole number"),
        (1.0, "not a whole number"),
        (float("nan"), "not a whole number"),
        (True, "not a whole number"),
        (None, "no value"),
        ({"n": None}, "no value"),
        ({"n": [1]}, "not a whole number"),
    ],
)
def test_numbers_the_guest_cannot_take(value: object, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        leaves(FIBONACCI, inputs=[1, 2, 3, value])
    error = caught.value
    assert (error.field, error.problem) == ("guest.inputs[3].n", problem)
    assert error.remedy == "give an integer from 0 to 93"
    given_ = value["n"] if isinstance(value, dict) else value
    assert error.value is given_


def test_the_message_is_one_line_with_the_remedy() -> None:
    with pytest.raises(InputError) as caught:
        leaves(FIBONACCI, inputs=[94])
    assert str(caught.value) == (
        f"guest.inputs[0].n = 94: larger than 93: {REASON}; give an integer from 0 to 93"
    )


@pytest.mark.parametrize("value", [10**5000, {"m": 10**5000}], ids=["bare", "inside"])
def test_numbers_too_long_to_print_still_get_a_message(value: object) -> None:
    with pytest.raises(InputError) as caught:
        leaves(FIBONACCI, inputs=[value])
    assert "too long to print" in str(caught.value)


def test_input_descriptions_are_checked() -> None:
    with pytest.raises(InputError, match="twice"):
        InputSpec((FieldSpec("n", "u32"), FieldSpec("n", "u32")))
    with pytest.raises(InputError, match=r"guest\.series"):
        InputSpec((FieldSpec("n", "u32"),), (RangeSeries(), RangeSeries()))
    with pytest.raises(InputError, match=r"guest\.series\.modulo = 0"):
        RangeSeries(modulo=0)


# --- sources ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sources",
    [
        {},
        {"inputs": [1], "count": 1},
        {"inputs": [], "count": 0},
        {"count": 1, "inputs_file": "a.csv"},
        {"inputs": [1], "count": 1, "inputs_file": "a.csv"},
    ],
)
def test_exactly_one_source(sources: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="exactly one") as caught:
        leaves(FIBONACCI, **sources)
    for name in ("guest.inputs", "guest.count", "guest.inputs_file"):
        assert name in caught.value.field


@pytest.mark.parametrize("value", ["12", {"n": 5}, 5, b"12"])
def test_inputs_is_a_list(value: list[object]) -> None:
    with pytest.raises(InputError, match="not a list"):
        leaves(FIBONACCI, inputs=value)


def test_an_empty_list_is_an_empty_batch() -> None:
    with pytest.raises(InputError, match=r"guest\.inputs = \[\]: empty batch"):
        leaves(FIBONACCI, inputs=[])


def test_leaves_are_numbered() -> None:
    batch = leaves(FIBONACCI, inputs=[10, {"n": 20}])
    assert [(leaf.index, leaf.value) for leaf in batch] == [(0, {"n": 10}), (1, {"n": 20})]


def test_a_range_wraps() -> None:
    numbers = [leaf.value["n"] for leaf in leaves(FIBONACCI, count=190)]
    assert numbers == [*range(94), *range(94), 0, 1]
    assert [RangeSeries(start=3, step=10).at(i) for i in range(3)] == [3, 13, 23]
    assert [RangeSeries(start=3, step=-2, modulo=4).at(i) for i in range(3)] == [3, 1, 3]


def test_a_template_is_no_format_string() -> None:
    assert TemplateSeries("{i}-{i.real}-{}-{i}").at(7) == "7-{i.real}-{}-7"
    batch = leaves(SHA256, count=3)
    assert [leaf.value for leaf in batch] == [{"message": f"leaf-{i}"} for i in range(3)]


@pytest.mark.parametrize(
    ("count", "problem"),
    [
        (0, "empty batch"),
        (-1, "not a batch size"),
        (True, "not a batch size"),
        (False, "not a batch size"),
        ("5", "not a batch size"),
        (2.0, "not a batch size"),
        (inputs.MAX_LEAVES + 1, "not a batch size"),
        pytest.param(10**5000, "not a batch size", id="huge"),
    ],
)
def test_unusable_counts(count: int, problem: str) -> None:
    with pytest.raises(InputError, match=rf"guest\.count = .*: {problem}; give"):
        leaves(FIBONACCI, count=count)


def test_a_series_that_runs_out_says_how_far_it_goes() -> None:
    spec = InputSpec(FIBONACCI.fields, (RangeSeries(),))
    assert len(leaves(spec, count=94)) == 94
    with pytest.raises(InputError) as caught:
        leaves(spec, count=95)
    assert str(caught.value).startswith(
        f"guest.count = 95: input 94 would be n = 94: larger than 93: {REASON}; give at most 94,"
    )


def test_a_guest_without_a_series_has_no_inputs_of_its_own() -> None:
    with pytest.raises(InputError, match=r"guest\.count = 2: this guest has no inputs of its own"):
        leaves(PAIR, count=2)
    assert len(leaves(InputSpec(()), count=2)) == 2


def test_too_many_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "MAX_LEAVES", 3)
    assert len(leaves(FIBONACCI, inputs=[1, 2, 3])) == 3
    with pytest.raises(InputError, match=r"guest\.inputs = '4 values': more than 3 leaves"):
        leaves(FIBONACCI, inputs=[1, 2, 3, 4])


def test_a_hundred_thousand_leaves_are_cheap(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text("".join(f'{{"message": "leaf-{i}"}}\n' for i in range(10**5)))
    start = time.process_time()
    assert len(leaves(SHA256, count=10**5)) == 10**5
    assert time.process_time() - start < 2
    start = time.process_time()
    assert leaves(SHA256, inputs_file=path) == leaves(SHA256, count=10**5)
    assert time.process_time() - start < 5


# --- files ------------------------------------------------------------------------------------


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
        ("a.jsonl", "NaN\n", 1, "n = nan: not a whole number"),
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
    folder = tmp_path / "folder.jsonl"
    folder.mkdir()
    with pytest.raises(InputError, match="Is a directory"):
        leaves(FIBONACCI, inputs_file=folder)


def test_long_values_do_not_flood_the_message(tmp_path: Path) -> None:
    path = written(tmp_path, "a.jsonl", json.dumps("x" * 10_000))
    with pytest.raises(InputError) as caught:
        leaves(FIBONACCI, inputs_file=path)
    assert len(str(caught.value)) < 400


@given(st.lists(st.text(max_size=12), min_size=1, max_size=8))
def test_any_text_survives_a_json_file(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    path = tmp_path_factory.getbasetemp() / "texts.jsonl"
    path.write_text("".join(json.dumps(text) + "\n" for text in texts))
    spec = one("string")
    assert leaves(spec, inputs_file=path) == leaves(spec, inputs=texts)
