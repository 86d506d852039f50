"""Inputs: a value that a guest cannot take is named, with its place and what to give instead."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from runner.codec.reads import word_field
from runner.errors import InputError
from runner.plan import inputs
from runner.plan.inputs import InputSpec, RangeSeries, TemplateSeries, leaves
from tests.plan.input_specs import FIBONACCI, PAIR, REASON, SHA256

if TYPE_CHECKING:
    from pathlib import Path


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
        InputSpec((word_field("n", "u32"), word_field("n", "u32")))
    with pytest.raises(InputError, match=r"guest\.series"):
        InputSpec((word_field("n", "u32"),), (RangeSeries(), RangeSeries()))
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


def test_a_template_is_not_a_format_string() -> None:
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
