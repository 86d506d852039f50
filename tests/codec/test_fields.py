"""Fields turn values into the guest's bytes, and refuse a value with a hint at what to give."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.codec.reads import Read, encode, word_field
from runner.codec.values import UnusableError
from runner.errors import InputError
from runner.plan.input_file import file_reader

NUMBER = (word_field("n", "u32", max=93),)
MESSAGE = (word_field("message", "bytes"),)
THREE = (word_field("n", "u64"), word_field("flag", "bool"), word_field("name", "string"))


def one(kind: str, low: int | None = None, high: int | None = None) -> tuple[Read, ...]:
    return (word_field("x", kind, min=low, max=high),)


def encoded(fields: tuple[Read, ...], value: object) -> tuple[dict[str, object], bytes]:
    return encode(fields, value, file_reader(Path()))


def stdin(fields: tuple[Read, ...], value: object) -> bytes:
    return encoded(fields, value)[1]


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("u32", 0, "00000000"),
        ("u32", 2**32 - 1, "ffffffff"),
        ("u32", 0x01020304, "04030201"),
        ("u64", 0x0102030405060708, "0807060504030201"),
        ("bool", True, "01000000"),
        ("bool", False, "00000000"),
        ("bytes", "abcde", "05000000 6162636465000000"),
        ("bytes", "", "00000000"),
        ("bytes", "hex:", "00000000"),
        ("bytes", "hex:00fF", "02000000 00ff0000"),
        ("bytes", "base64:AAECAw==", "04000000 00010203"),
        ("bytes", "é", "02000000 c3a90000"),
        ("string", "hex:00", "06000000 6865783a30300000"),
        ("vec_u8", "hex:00ff", "02000000 00000000 ff000000"),
        ("vec_u8", "", "00000000"),
    ],
)
def test_encodings(kind: str, value: object, expected: str) -> None:
    assert stdin(one(kind), value) == bytes.fromhex(expected)
    assert encoded(one(kind), {"x": value}) == ({"x": value}, bytes.fromhex(expected))


@given(st.binary(max_size=64))
def test_every_byte_string_can_be_given(data: bytes) -> None:
    expected = struct.pack("<I", len(data)) + data + bytes(-len(data) % 4)
    assert stdin(MESSAGE, f"hex:{data.hex()}") == expected


def test_fields_go_in_the_guests_order() -> None:
    value, data = encoded(THREE, {"name": "a", "flag": True, "n": 1})
    assert list(value) == ["n", "flag", "name"]
    assert data == bytes.fromhex("0100000000000000 01000000 01000000 61000000")
    assert encoded((), {}) == ({}, b"")


@pytest.mark.parametrize(
    ("fields", "value", "name", "problem"),
    [
        (NUMBER, {}, "", "field n is missing"),
        (NUMBER, {"m": 1}, "", "unknown field 'm'"),
        (NUMBER, {"n": 1, "m": 1}, "", "unknown field 'm'"),
        (NUMBER, {1: 1}, "", "unknown field 1"),
        (NUMBER, [1], "", "not one input"),
        (THREE, 3, "", "not one input"),
        (THREE, {"n": 1, "flag": True}, "", "field name is missing"),
        (THREE, {"n": 1, "flag": 1, "name": ""}, "flag", "neither true nor false"),
        (THREE, {"n": 2**64, "flag": True, "name": ""}, "n", f"larger than {2**64 - 1}"),
        (THREE, {"n": 1, "flag": True, "name": 7}, "name", "not text"),
        (THREE, {"n": 1, "flag": True, "name": "\ud800"}, "name", "not valid Unicode"),
        (one("u32"), 2**32, "x", f"larger than {2**32 - 1}"),
        (one("u32", low=5), 4, "x", "smaller than 5"),
        (MESSAGE, 12, "message", "not text"),
        (MESSAGE, None, "message", "no value"),
        (MESSAGE, "hex:0", "message", "not hex"),
        (MESSAGE, "hex:0g", "message", "not hex"),
        (MESSAGE, "hex:00 11", "message", "not hex"),
        (MESSAGE, "base64:AAA", "message", "not base64"),
        (MESSAGE, "base64:é", "message", "not base64"),
        (one("bytes", low=2), "a", "x", "shorter than 2 (bytes)"),
        (one("vec_u8", high=2), "hex:000000", "x", "longer than 2 (bytes)"),
        ((), 3, "", "not one input"),
    ],
)
def test_other_unusable_values(
    fields: tuple[Read, ...], value: object, name: str, problem: str
) -> None:
    with pytest.raises(UnusableError, match=re.escape(problem)) as caught:
        encoded(fields, value)
    assert caught.value.name == name
    assert caught.value.at("here").field == (f"here.{name}" if name else "here")
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("kind", "limits", "part"),
    [
        ("f46", {}, "type"),
        ("u32", {"max": 2**32}, "max"),
        ("u32", {"min": -1}, "min"),
        ("u32", {"max": "9"}, "max"),
        ("u32", {"min": 5, "max": 4}, "min"),
        ("bool", {"max": 1}, ""),
    ],
)
def test_field_descriptions_are_checked(kind: str, limits: dict[str, Any], part: str) -> None:
    with pytest.raises(InputError) as caught:
        word_field("n", kind, **limits)
    assert caught.value.field == f"guest.fields.n.{part}".rstrip(".")
