"""The bytes of values are those that the Rust libraries make of them (``vectors/src/main.rs``)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runner.codec.forms import FORMS
from runner.codec.reads import Read, journal_layout
from runner.codec.schema import Types
from runner.codec.values import UnusableError

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "vectors.json").read_text())
TYPES = Types(
    {
        "Point": {"struct": {"x": "i32", "y": "i64"}},
        "Nothing": {"struct": None},
        "Metres": {"struct": ["u16"]},
        "Pair": {"struct": ["u8", "String"]},
        "Shape": {
            "enum": [
                "Empty",
                {"Named": "String"},
                {"Line": ["Point", "Point"]},
                {"Circle": {"centre": "Point", "radius": "u64", "filled": "bool"}},
            ]
        },
        "Order": {
            "struct": {
                "id": "u128",
                "owner": "[u8; 4]",
                "shapes": "Vec<Shape>",
                "note": "Option<String>",
                "parts": "Vec<Vec<u16>>",
                "last": "(bool, i8)",
            }
        },
        "Long": {"struct": {"signature": "[u8; 64]"}},
    }
)


def no_file(name: str) -> bytes:
    raise FileNotFoundError(name)


def vectors() -> list[Any]:
    return [
        pytest.param(case, form, id=f"{form}-{case['type']}-{number}")
        for number, case in enumerate(CASES)
        for form in FORMS
        if form in case
    ]


@pytest.mark.parametrize(("case", "form"), vectors())
def test_python_and_rust_agree(case: dict[str, Any], form: str) -> None:
    read = Read("x", TYPES.read(case["type"], "here"), FORMS[form])
    data = read.encode(case["value"], no_file)
    assert data.hex() == case[form]
    # What is shown can be given again, and means the same.
    shown, end = read.decode(data, 0)
    assert end == len(data)
    assert read.encode(shown, no_file) == data
    assert json.loads(json.dumps(shown)) == shown
    size = read.kind.size(read.form)
    assert size in (None, len(data))


def test_the_vectors_have_every_form_and_kind_of_type() -> None:
    named = " ".join(case["type"] for case in CASES)
    for kind in ("u8", "i128", "usize", "f32", "f64", "bool", "char", "()", "String", "Option",
                 "Vec<u8>", "[u8; 5]", "Digest", "Box", "Shape", "Order", "ByteBuf"):  # fmt: skip
        assert kind in named
    assert all(sum(form in case for case in CASES) > 40 for form in FORMS)


def test_what_borsh_does_not_have_is_refused() -> None:
    for kind, value in (("f64", "NaN"), ("char", "a")):
        read = Read("x", TYPES.read(kind, "here"), FORMS["borsh"])
        with pytest.raises(UnusableError, match="borsh has no"):
            read.encode(value, no_file)


def test_a_journal_is_shown_as_what_it_is() -> None:
    order = next(case for case in CASES if case["type"] == "Order")
    for form in FORMS:
        layout = journal_layout({"journal": "Order", "codec": form, "types": TYPES.named})
        shown = layout.show(bytes.fromhex(order[form]))
        assert isinstance(shown, dict)
        assert shown["shapes"] == [
            "Empty",
            {"Named": "é"},
            {"Line": [{"x": -1, "y": str(-(2**63))}, {"x": 7, "y": "8"}]},
            {"Circle": {"centre": {"x": -1, "y": str(-(2**63))}, "radius": str(2**40),
                        "filled": True}},
        ]  # fmt: skip
        assert shown["owner"] == "hex:010203ff"
        assert shown["id"] == str(2**128 - 6)
