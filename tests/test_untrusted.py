"""Files that are not what they seem, and JSON made to deceive."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.folder import compact
from runner.text import visible
from runner.untrusted import digest_of, open_regular, parse_json, read_regular, unhex

HEX = st.binary(max_size=40).map(bytes.hex)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "inner").write_bytes(b"inner")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "away").symlink_to("sub")
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        # A socket's path may have 107 bytes, which a folder of pytest's can have already.
        here = Path.cwd()
        os.chdir(tmp_path)
        listener.bind("socket")
        os.chdir(here)
    return tmp_path


def test_a_regular_file_is_read(folder: Path) -> None:
    assert read_regular(folder / "file", 7) == b"content"
    assert read_regular(Path("sub/inner"), 7, inside=folder) == b"inner"
    assert digest_of(folder / "file", 7).startswith("ed7002b4")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("link", "a symbolic link"),
        ("zero", "a symbolic link"),
        ("fifo", "not a regular file"),
        ("socket", "not a regular file"),
        ("sub", "not a regular file"),
        ("nothing", "No such file"),
    ],
)
def test_what_is_no_regular_file_is_refused_at_once(folder: Path, name: str, why: str) -> None:
    for path, inside in ((folder / name, None), (Path(name), folder)):
        with pytest.raises(OSError, match=why):
            read_regular(path, 100, inside=inside)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "sub/../../x", "", "away/inner"])
def test_no_way_leads_out_of_the_folder_or_over_a_link(folder: Path, name: str) -> None:
    with pytest.raises(OSError):  # noqa: PT011  # the reasons differ
        open_regular(Path(name), inside=folder)


def test_a_file_without_end_is_read_up_to_the_bound(folder: Path) -> None:
    with pytest.raises(OSError, match="larger than 6 bytes"):
        read_regular(folder / "file", 6)
    # It says that it has no bytes at all.
    with pytest.raises(OSError, match="larger than 10 bytes"):
        read_regular(Path("/proc/self/maps"), 10)


def test_a_link_that_the_user_names_is_followed_to_a_regular_file_alone(folder: Path) -> None:
    assert read_regular(folder / "link", 7, follow=True) == b"content"
    with pytest.raises(OSError, match="not a regular file"):
        read_regular(folder / "zero", 7, follow=True)


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "a": 1}',
        '{"b": {"a": 1, "a": 2}}',
        "[NaN]",
        "[1, Infinity]",
        "[1e999]",
        "[-1.5e400]",
        "[" * 100_000,
    ],
)
def test_json_that_deceives_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"twice|no number|too large|deeply"):
        parse_json(text)


HALVES = [
    '"\\ud800"',
    '{"\\uDfff": 1}',
    b'"\xed\xa0\x80"',
    '"\ud800"',
    '"\\ud800"'.encode("utf-16"),
]


@pytest.mark.parametrize("text", HALVES)
def test_half_of_a_surrogate_pair_is_no_text(text: str | bytes) -> None:
    with pytest.raises(ValueError, match="surrogate"):
        parse_json(text)
    with pytest.raises(ValueError, match="surrogate"):
        parse_json(text, names=True)  # no byte of a name stands so


@given(st.binary())
def test_the_name_of_a_file_comes_back_as_it_was(name: bytes) -> None:
    said = compact({"name": os.fsdecode(name)}).encode()
    assert os.fsencode(parse_json(said, names=True)["name"]) == name
    if visible(os.fsdecode(name)) != os.fsdecode(name):
        with pytest.raises(ValueError, match="surrogate"):
            parse_json(said)


def test_a_whole_surrogate_pair_is_a_character() -> None:
    assert (
        parse_json('"\\ud83d\\ude00"') == parse_json('"\N{GRINNING FACE}"') == "\N{GRINNING FACE}"
    )


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=9))
def test_other_json_is_what_it_is(value: object) -> None:
    import json

    assert parse_json(json.dumps(value)) == value


@given(HEX)
def test_hex_has_one_spelling(text: str) -> None:
    assert unhex(text).hex() == text
    for other in (text.upper(), f" {text}", f"{text}\n", f"{text[:2]} {text[2:]}", f"{text}0"):
        if other != text:
            with pytest.raises(ValueError, match="lower-case hex"):
                unhex(other)
    with pytest.raises(ValueError, match="bytes, not"):
        unhex(text, len(text) // 2 + 1)
