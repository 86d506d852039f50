"""Journals are shown as what they are, and bytes that do not fit are shown as bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.codec.reads import Layout, journal_layout
from runner.errors import InputError

DEEP = {
    "enum": {
        "A": None,
        "B": {"struct": {"n": "u8", "more": "Vec<Option<(char, String)>>"}},
        "C": ["[bool; 3]", "f32", "()"],
        "D": "Vec<()>",
    }
}


def layout(journal: object, codec: str = "risc0") -> Layout:
    return journal_layout({"journal": journal, "codec": codec, "types": {"Deep": DEEP}})


@pytest.mark.parametrize(
    ("journal", "data", "shown"),
    [
        ("u64", (12200160415121876738).to_bytes(8, "little"), "12200160415121876738"),
        ("u32", b"\x37\0\0\0", "55"),
        ("i32", b"\xff\xff\xff\xff", "-1"),
        ("bool", b"\1\0\0\0", "true"),
        ("Option<u8>", b"\0\0\0\0", "null"),
        ("hex", b"\xde\xad", "dead"),
        ("raw", b"", ""),
        ("text", b"a\x1b[2J\xc3\xa9", "a\x1b[2Jé"),
        ("String", b"\2\0\0\0ab\0\0", "ab"),
        ("Digest", bytes(32), "00" * 32),
        ("(u64, Vec<u32>)", b"\7" + bytes(7) + b"\1\0\0\0\2\0\0\0", ["7", [2]]),
        ({"struct": {"a": "u8"}}, b"\3\0\0\0", {"a": 3}),
        ({"n": "u32", "rest": "hex"}, b"\3\0\0\0\xff", {"n": 3, "rest": "ff"}),
        ({"n": {"type": "u32", "codec": "borsh"}, "m": {"type": "u8", "codec": "borsh"}},
         b"\3\0\0\0\1", {"n": 3, "m": 1}),
        ({"f": {"type": "text", "frame": True}, "n": "u8"}, b"\1\0\0\0a\2\0\0\0",
         {"f": "a", "n": 2}),
        ("u64", b"\x01\x02", "0102 (2 bytes, not a u64)"),
        ("u64", bytes(9), f"{'00' * 9} (9 bytes, not a u64)"),
        ("u8", b"\0\1\0\0", "00010000 (4 bytes, not a u8)"),
        ("i8", b"\x80\0\0\0", "80000000 (4 bytes, not an i8)"),
        ("bool", b"\2\0\0\0", "02000000 (4 bytes, not a bool)"),
        ("char", b"\0\xd8\0\0", "00d80000 (4 bytes, not a char)"),
        ("String", b"\1\0\0\0\xff\0\0\0", "01000000ff000000 (8 bytes, not a String)"),
        ("text", b"\xff", "ff (1 bytes, not a text)"),
    ],
)  # fmt: skip
def test_journals_for_people(journal: object, data: bytes, shown: object) -> None:
    assert layout(journal).show(data) == shown


def test_the_size_of_a_journal_is_known_where_its_type_tells() -> None:
    assert layout("u64").size() == 8
    assert layout({"a": "u8", "b": "Digest"}).size() == 36
    assert layout("(u8, [bool; 3])", "borsh").size() == 4
    assert layout("hex").size() == layout("Vec<u8>").size() == 32


@pytest.mark.parametrize("journal", [None, {}, 5, [], "u65", {"a": {"codec": "xml", "type": "u8"}}])
def test_what_describes_no_journal_is_refused(journal: object) -> None:
    with pytest.raises(InputError, match=r"guest\.journal"):
        layout(journal)


@given(st.binary(max_size=80), st.sampled_from(["risc0", "borsh", "bincode"]))
def test_no_bytes_break_the_reader(data: bytes, codec: str) -> None:
    """What is shown can be written, or says that it does not fit."""
    for journal in ("Deep", "Vec<Deep>", "[Deep; 900000000]", "Vec<()>", "[(); 900000000]",
                    {"a": "text", "b": "raw"}):  # fmt: skip
        shown = layout(journal, codec).show(data)
        if isinstance(shown, str) and "bytes, not a" in shown:
            assert shown.startswith(data.hex())
