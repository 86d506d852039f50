"""The verifier on folders that were tampered with, with receipts of the fake prover.

Whoever tampers here does it well: after each change ``SHA256SUMS`` is written anew, so that the
change is caught by what is proved and not by a checksum.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from runner.folder import RECEIPTS
from runner.plan.journal import AggregationResult
from runner.provers.guests import Manifest
from tests.fakes.prover import fake_receipt, forged
from tests.verify.folders import check, edit_leaves, edit_record, refused, sums

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize("name", ["root.receipt", "leaves.jsonl", "result.json", "SHA256SUMS"])
@pytest.mark.parametrize("where", [0.0, 0.3, 0.5, 0.9, 1.0])
def test_one_changed_byte_in_any_file_is_caught(
    name: str, where: float, batch: Path, guests: Path
) -> None:
    data = bytearray((batch / name).read_bytes())
    data[min(int(len(data) * where), len(data) - 1)] ^= 0x04
    (batch / name).write_bytes(data)
    refused(batch, guests)


@pytest.mark.parametrize("name", ["root.receipt", "leaves.jsonl", "result.json"])
def test_a_missing_file_is_caught(name: str, batch: Path, guests: Path) -> None:
    (batch / name).unlink()
    assert name in str(refused(batch, guests))


def test_a_forged_root_receipt_is_caught(batch: Path, guests: Path) -> None:
    root = batch / "root.receipt"
    root.write_bytes(forged(root.read_bytes()))
    sums(batch)
    assert refused(batch, guests).check == "root.receipt"


def test_a_receipt_of_another_program_is_caught(batch: Path, guests: Path) -> None:
    sha = Manifest.load(guests).get("sha256")
    journal = check(batch, guests)
    root = AggregationResult(sha.image_id, 5, journal.combined_hash or b"")
    (batch / "root.receipt").write_bytes(fake_receipt(sha.image_id, root.encode()))
    sums(batch)
    assert refused(batch, guests).check == "root.receipt"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"self_image_id": bytes(32)}, "self_image_id"),
        ({"verified_count": 4}, "verified_count"),
        ({"verified_count": 6}, "verified_count"),
        ({"combined_hash": bytes(32)}, "combined_hash"),
    ],
)
def test_a_root_that_says_something_else_is_caught(
    change: dict[str, Any], expected: str, batch: Path, guests: Path
) -> None:
    """The receipt verifies, but the aggregator was given something else and the journal differs."""
    aggregator = Manifest.load(guests).get("aggregator").image_id
    honest = AggregationResult(aggregator, 5, check(batch, guests).combined_hash or b"")
    journal = dataclasses.replace(honest, **change).encode()
    (batch / "root.receipt").write_bytes(fake_receipt(aggregator, journal))
    sums(batch)
    assert refused(batch, guests).check == expected


def swap(lines: list[dict[str, Any]]) -> None:
    for key in ("journal", "shows", "input"):
        lines[0][key], lines[2][key] = lines[2][key], lines[0][key]


def move_a_byte(lines: list[dict[str, Any]]) -> None:
    first, second = lines[0]["journal"], lines[2]["journal"]
    lines[0]["journal"], lines[2]["journal"] = first + second[:2], second[2:]


def drop(lines: list[dict[str, Any]]) -> None:
    lines.pop()


def add(lines: list[dict[str, Any]]) -> None:
    lines.append({**lines[-1], "index": 5})


def change_one(lines: list[dict[str, Any]]) -> None:
    lines[4]["journal"] = "00" * 32


def change_a_twin(lines: list[dict[str, Any]]) -> None:
    lines[3]["journal"] = "00" * 32


def another_guest(lines: list[dict[str, Any]]) -> None:
    lines[2]["image_id"] = "11" * 32


def reorder(lines: list[dict[str, Any]]) -> None:
    lines.reverse()


def garble(lines: list[dict[str, Any]]) -> None:
    lines[1] = {"nothing": "of use"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (swap, "combined_hash"),
        (move_a_byte, "combined_hash"),
        (drop, "plan"),
        (add, "plan"),
        (change_one, "combined_hash"),
        (change_a_twin, "leaf list"),
        (another_guest, "leaf image id"),
        (reorder, "leaves.jsonl"),
        (garble, "leaves.jsonl"),
    ],
)
def test_a_tampered_leaf_list_is_caught(
    change: Callable[[list[dict[str, Any]]], None], expected: str, batch: Path, guests: Path
) -> None:
    edit_leaves(batch, change)
    assert refused(batch, guests).check == expected


def test_a_leaf_dropped_from_list_and_plan_alike_is_caught(batch: Path, guests: Path) -> None:
    """The folder is consistent in itself, and only the receipt shows that there were five."""
    edit_leaves(batch, drop)

    def without_last(data: dict[str, Any]) -> None:
        plan = data["plan"]
        plan["leaves"] = [0, 1, 2, 1]
        plan["leaf_jobs"] = 3
        plan["aggregations"] = [
            {"id": 3, "level": 1, "children": [0, 1]},
            {"id": 4, "level": 1, "children": [2, 1]},
            {"id": 5, "level": 2, "children": [3, 4]},
        ]
        plan["root"] = 5

    edit_record(batch, without_last)
    assert refused(batch, guests).check == "verified_count"


@pytest.mark.parametrize(
    ("keys", "value", "expected"),
    [
        (("status",), "failed", "result.json"),
        (("format",), 99, "result.json"),
        (("kind",), "succinct", "receipt kind"),
        (("kind",), "execute", "receipt"),
        (("root", "verified_count"), 7, "result.json: root.verified_count"),
        (("root", "combined_hash"), "00" * 32, "result.json: root.combined_hash"),
        (("guests", "sha256", "image_id"), "00" * 32, "result.json: guests"),
        (
            ("guests", "aggregator", "image_id"),
            "00" * 32,
            "result.json: guests.aggregator.image_id",
        ),
        (("receipts",), [], "result.json: receipts"),
        (("plan", "leaf_jobs"), 10**12, "plan"),
        (("plan", "aggregations"), None, "plan"),
        (("plan", "root"), None, "plan"),
        (("plan",), [[]], "plan"),
    ],
)
def test_a_tampered_record_is_caught(
    keys: tuple[str, ...], value: object, expected: str, batch: Path, guests: Path
) -> None:
    def change(data: dict[str, Any]) -> None:
        for key in keys[:-1]:
            data = data[key]
        data[keys[-1]] = value

    edit_record(batch, change)
    assert refused(batch, guests).check == expected


def test_another_receipt_in_a_batch_without_aggregation_is_caught(
    unaggregated: Path, guests: Path
) -> None:
    receipts = unaggregated / RECEIPTS
    (receipts / "job-0.receipt").write_bytes((receipts / "job-1.receipt").read_bytes())
    sums(unaggregated)
    assert refused(unaggregated, guests).check == "receipts/job-0.receipt"
