"""Journals in the leaf list: shown as what they are, and large ones in files of their own."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from runner.batch.run import run as run_batch
from runner.codec.reads import journal_layout, read_layout
from runner.codec.schema import Types
from runner.folder import JOURNALS, LEAVES, MOST_INLINE_BYTES, SUMS
from runner.plan.inputs import InputSpec
from tests import builders
from tests.verify.folders import check, edit_leaves, edit_record, refused, sums

if TYPE_CHECKING:
    from pathlib import Path

GUEST = {
    "name": "echo",
    "types": {"Player": {"struct": {"name": "String", "score": "u64", "id": "Digest"}}},
    "input": {"player": "Player"},
    "journal": "Player",
    "codec": "borsh",
}
ANNE = {"name": "Anne", "score": 2**60, "id": "ab" * 32}


def ran(folder: Path, guests: Path, guest: dict[str, Any], inputs: list[object]) -> Path:
    reads = read_layout(
        guest["input"], Types(guest.get("types", {})), guest["codec"], "guest.input", "input"
    )
    run_batch(
        builders.batch_settings(
            folder,
            guests,
            guest="echo",
            spec=InputSpec(reads),
            journal=journal_layout(guest),
            inputs=inputs,
            count=None,
            strategy=builders.strategy("single"),
            config={"guest": guest},
        )
    )
    return folder


def leaf_lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / LEAVES).read_text().splitlines()]


@pytest.fixture
def players(tmp_path: Path, guests: Path) -> Path:
    return ran(tmp_path / "batch", guests, GUEST, [ANNE, {**ANNE, "name": "Bo"}])


@pytest.fixture
def large(tmp_path: Path, guests: Path) -> Path:
    guest = {"name": "echo", "input": {"data": "raw"}, "journal": "hex", "codec": "risc0"}
    big = [f"hex:{bytes([n]).hex() * (MOST_INLINE_BYTES + 1)}" for n in (1, 2)]
    return ran(tmp_path / "batch", guests, guest, [big[0], "small", big[1], big[0]])


def test_a_struct_is_an_object_in_the_leaf_list(players: Path, guests: Path) -> None:
    first, second = leaf_lines(players)
    assert first["input"] == {"player": ANNE}
    assert first["shows"] == {"name": "Anne", "score": str(2**60), "id": "ab" * 32}
    assert second["shows"]["name"] == "Bo"
    check(players, guests)


@pytest.mark.parametrize(
    "shown", [{**ANNE, "score": str(2**60), "name": "Bo"}, ANNE, "Anne", [], None, 7]
)
def test_what_shows_another_journal_is_caught(players: Path, guests: Path, shown: object) -> None:
    def change(lines: list[dict[str, Any]]) -> None:
        lines[0]["shows"] = shown

    edit_leaves(players, change)
    assert LEAVES in str(refused(players, guests))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("journal", "String"),
        ("journal", "Nobody"),
        ("journal", {"deep": "Vec<" * 50}),
        ("journal", None),
        ("codec", "bincode"),
        ("codec", ["borsh"]),
        ("types", {"Player": {"struct": {"name": "Player"}}}),
        ("types", 5),
    ],
)
def test_a_layout_that_does_not_fit_is_caught(
    players: Path, guests: Path, name: str, value: object
) -> None:
    edit_record(players, lambda record: record["config"]["guest"].update({name: value}))
    refused(players, guests)


def test_a_large_journal_is_in_a_file_of_its_own(large: Path, guests: Path) -> None:
    lines = leaf_lines(large)
    assert [isinstance(line["journal"], dict) for line in lines] == [True, False, True, True]
    assert lines[0]["journal"] == lines[3]["journal"]
    assert lines[0]["journal"]["bytes"] == MOST_INLINE_BYTES + 1
    assert lines[0]["journal"]["file"] in (large / SUMS).read_text()
    assert sorted(path.name for path in (large / JOURNALS).iterdir()) == ["job-0.bin", "job-2.bin"]
    assert (large / JOURNALS / "job-2.bin").read_bytes() == b"\2" * (MOST_INLINE_BYTES + 1)
    assert "in journals/job-0.bin" in lines[0]["shows"]
    verified = check(large, guests)
    assert verified.claims.journals[3] == b"\1" * (MOST_INLINE_BYTES + 1)
    assert verified.inclusion(2).holds()


def test_a_changed_file_of_a_journal_is_caught(large: Path, guests: Path) -> None:
    file = large / JOURNALS / "job-0.bin"
    file.write_bytes(b"\3" + file.read_bytes()[1:])
    assert "SHA-256" in str(refused(large, guests))
    sums(large)
    assert "journal is not what is in journals/job-0.bin" in str(refused(large, guests))


@pytest.mark.parametrize(
    "change",
    [
        {"file": "../outside.bin"},
        {"file": "journals/../result.json"},
        {"file": "journals/job-9.bin"},
        {"file": None},
        {"bytes": 1},
        {"sha256": "00" * 32},
        {"more": 1},
    ],
)
def test_a_leaf_list_that_names_another_file_is_caught(
    large: Path, guests: Path, change: dict[str, object]
) -> None:
    edit_leaves(large, lambda lines: lines[0]["journal"].update(change))
    refused(large, guests)


def test_a_journal_file_that_is_a_link_is_not_followed(large: Path, guests: Path) -> None:
    file = large / JOURNALS / "job-0.bin"
    other = large.parent / "other.bin"
    file.rename(other)
    file.symlink_to(other)
    assert "symbolic link" in str(refused(large, guests))


def test_a_small_journal_is_not_in_a_file(large: Path, guests: Path) -> None:
    """Two folders must not say the same in two ways."""
    (large / JOURNALS / "job-1.bin").write_bytes(b"small")

    def change(lines: list[dict[str, Any]]) -> None:
        digest = sha256(b"small").hexdigest()
        lines[1]["journal"] = {"file": "journals/job-1.bin", "sha256": digest, "bytes": 5}

    edit_leaves(large, change)
    refused(large, guests)
