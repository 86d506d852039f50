"""Types in Rust's spelling and in YAML, and what is wrong with others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.codec.reads import Read, encode, read_layout
from runner.codec.schema import Types
from runner.codec.values import UnusableError
from runner.errors import InputError

NAMED = Types(
    {
        "Point": {"struct": {"x": "i32", "y": "i32"}},
        "Loop": {"struct": {"next": "Option<Loop>"}},
        "Colour": {"enum": ["Red", "Green"]},
        "Big": {"enum": {"A": "Point", "B": {"points": "Vec<Point>", "colour": "Colour"}}},
        **{f"D{i}": f"(D{i + 1}, D{i + 1})" for i in range(12)},
        "D12": "()",
    }
)


def reads(given: object, codec: str = "risc0") -> tuple[Read, ...]:
    return read_layout(given, NAMED, codec, "guest.input", "input")


def stdin(given: object, value: object, codec: str = "risc0") -> bytes:
    return encode(reads(given, codec), value, lambda name: name.encode() * 2)[1]


@pytest.mark.parametrize(
    ("spelled", "name"),
    [
        ("u32", "u32"),
        (" Vec < Option< u8 > > ", "Vec<Option<u8>>"),
        ("Vec<u8>", "Vec<u8>"),
        ("[u8;4]", "[u8; 4]"),
        ("((u8), (u8,), ())", "(u8, (u8), ())"),
        ("Box<Point>", "Point"),
        ({"struct": {"a": "u8", "b": {"enum": ["X"]}}}, "{a: u8, b: enum of X}"),
        ({"struct": ["u8"]}, "u8"),
        ({"struct": None}, "()"),
        ("Big", "Big"),
    ],
)
def test_types(spelled: object, name: str) -> None:
    assert NAMED.read(spelled, "here").name == name


@pytest.mark.parametrize(
    ("spelled", "problem"),
    [
        ("", "no type"),
        ("u32 u32", "no type"),
        ("Vec<u8", "no type"),
        ("Vec<>", "no type"),
        ("[u8; x]", "no type"),
        ("[u8, 4]", "no type"),
        ("(u8", "no type"),
        ("u8; drop", "no type"),
        ("é", "no type"),
        ("Vec<" * 40 + "u8" + ">" * 40, "no type"),
        ("u8" * 10_000, "no type"),
        ("u33", "no such type"),
        ("HashMap<u8>", "HashMap is not known"),
        ("Loop", "contains itself: Loop in Loop"),
        ("D0", "too large a type"),
        (7, "no type"),
        ({"struct": 5}, "not the fields"),
        ({"enum": []}, "not 1 to 256"),
        ({"enum": ["A", "A"]}, "twice"),
        ({"enum": [5]}, "not a name"),
        ({"struct": {5: "u8"}}, "not a name"),
        ({"type": "u8", "minimum": 3}, "no such part"),
        ({"type": "Vec<u16>", "max": 3}, "takes no limits"),
    ],
)
def test_what_is_no_type(spelled: object, problem: str) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        NAMED.read(spelled, "here")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["u8", "Vec", "not a name", ""])
def test_names_of_types_are_checked(name: str) -> None:
    with pytest.raises(InputError, match=r"guest\.types"):
        Types({name: "u8"}).check()


@given(st.text(max_size=30))
def test_no_spelling_breaks_the_reader(text: str) -> None:
    try:
        kind = NAMED.read(text, "here")
    except InputError:
        return
    assert NAMED.read(text, "here") == kind


@pytest.mark.parametrize(
    ("given", "value", "name", "problem"),
    [
        ("Vec<Point>", [{"x": 1, "y": 2}, {"x": 1}], "input[1]", "field y is missing"),
        ("Vec<Point>", [{"x": 1, "y": 2**31}], "input[0].y", "larger than"),
        ("Big", {"B": {"points": [], "colour": "Blue"}}, "input.B.colour", "no variant of Colour"),
        ("Big", {"B": {"points": [{"x": 1, "y": None}], "colour": "Red"}},
         "input.B.points[0].y", "no value"),
        ("Big", "A", "input", "A holds Point"),
        ("Big", {"Red": 1, "Green": 2}, "input", "no variant"),
        ("(Colour, u8)", [{"Red": 1}, 1], "input[0]", "Red holds nothing"),
        ("[u8; 4]", "hex:010203", "input", "has 3 bytes, not 4"),
        ("[u16; 2]", [1], "input", "has 1 values, not 2"),
        ("Vec<u8>", [1, 256], "input[1]", "not a byte"),
        ("Digest", "hex:00", "input", "has 1 bytes, not 32"),
        ("(u8, String)", [1, 2], "input[1]", "not text"),
        ("Option<Option<u8>>", 3, "input", "no Option"),
        ("f32", 1e39, "input", "too large for f32"),
        ("f64", "nan", "input", "not a number"),
        ("char", "ab", "input", "not one character"),
        ("()", 0, "input", "has no value"),
        ({"a": "u8", "b": "Vec<Point>"}, {"a": 1, "b": [{"x": "1", "y": 1}]}, "b[0].x",
         "not a whole number"),
    ],
)  # fmt: skip
def test_an_error_names_the_path_of_the_wrong_value(
    given: object, value: object, name: str, problem: str
) -> None:
    with pytest.raises(UnusableError, match=problem) as caught:
        stdin(given, value)
    assert caught.value.name == name
    assert caught.value.remedy


def test_raw_bytes_have_neither_length_nor_padding() -> None:
    assert stdin("raw", "hex:0102030405") == bytes([1, 2, 3, 4, 5])
    assert stdin("raw", "file:ab") == b"abab"
    assert stdin("text", "hex:00") == b"hex:00"


def test_several_reads_and_frames() -> None:
    given = {
        "n": "u8",
        "frame": {"type": "raw", "frame": True},
        "order": {"type": "(u8, String)", "codec": "borsh", "frame": True},
        "rest": {"type": "u16", "codec": "bincode"},
    }
    value = {"n": 1, "frame": "abc", "order": [2, "x"], "rest": 3}
    assert stdin(given, value) == bytes.fromhex(
        "0100000003000000 61626306000000 02 01000000 780300".replace(" ", "")
    )
    with pytest.raises(InputError, match=r"guest\.input\.a\.frame"):
        reads({"a": {"type": "u8", "frame": "yes"}})
    with pytest.raises(InputError, match=r"guest\.input\.a\.codec = 'xml': no such codec"):
        reads({"a": {"type": "u8", "codec": "xml"}})
    with pytest.raises(InputError, match=r"guest\.codec = 'xml': no such codec"):
        reads("u8", "xml")


def test_limits_hold_inside_of_types() -> None:
    kind = {"struct": {"age": {"type": "u8", "max": 120, "reason": "people"}}}
    assert stdin(kind, {"age": 120}) == bytes([120, 0, 0, 0])
    with pytest.raises(UnusableError, match="larger than 120: people") as caught:
        stdin(kind, {"age": 121})
    assert caught.value.name == "input.age"
