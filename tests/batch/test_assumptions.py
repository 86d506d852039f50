"""Leaves whose guests verify receipts: from other leaves, a folder or the cache."""

from __future__ import annotations

import dataclasses
import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from runner.batch.dry_run import run as dry_run
from runner.batch.run import run as run_batch
from runner.batch.settings import Program
from runner.codec.reads import journal_layout, word_field
from runner.errors import BatchFailedError, InputError
from runner.folder import RESULT
from runner.model import ReceiptKind
from runner.plan.inputs import InputSpec
from runner.provers.guests import Manifest
from tests import builders
from tests.fakes.guests import HEADER
from tests.fakes.prover import VERIFIES, fake_image_id, fake_receipt, forged
from tests.verify.folders import check

if TYPE_CHECKING:
    from pathlib import Path

    from runner.batch.settings import Settings
    from tests.fakes.behaviours import Behaviours

ELF = HEADER + VERIFIES.encode() * 8
FIELDS = {"guest": {"name": "fibonacci", "journal": "u64"}}
CONFIG = {**FIELDS, "programs": {"v": {"name": VERIFIES, "journal": "hex"}}}


@pytest.fixture
def composed(settings: Settings, tmp_path: Path) -> Settings:
    """A batch of fibonacci and of a guest that verifies."""
    elf = tmp_path / "verifies.elf"
    elf.write_bytes(ELF)
    verifies = Program(
        InputSpec((word_field("run", "bytes"),)), journal_layout({"journal": "hex"}), elf
    )
    return dataclasses.replace(
        settings,
        guest="fibonacci",
        spec=InputSpec((word_field("n", "u32"),)),
        journal=journal_layout(FIELDS["guest"]),
        programs={VERIFIES: verifies},
        count=None,
        strategy=builders.strategy("none"),
        config=CONFIG,
    )


def fib(n: int) -> dict[str, Any]:
    return {"guest": "fibonacci", "input": n}


def verifies(guests: Path, journal: int, *assumptions: object) -> dict[str, Any]:
    """An input of the guest that verifies, for the run of fibonacci that commits ``journal``."""
    run = Manifest.load(guests).get("fibonacci").image_id + journal.to_bytes(8, "little")
    found = {"guest": VERIFIES, "input": f"hex:{run.hex()}"}
    return {**found, "assumptions": list(assumptions)} if assumptions else found


def with_inputs(settings: Settings, *inputs: object, **changes: object) -> Settings:
    return dataclasses.replace(settings, inputs=list(inputs), **changes)  # type: ignore[arg-type]


def record(settings: Settings) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((settings.output / RESULT).read_text())
    return data


def verified(settings: Settings, guests: Path) -> None:
    """Check the folder of a batch by somebody who trusts both guests."""
    known = Manifest.load(guests).get("fibonacci").image_id
    check(settings.output, guests, allow=[known.hex(), fake_image_id(ELF).hex()])


def test_a_leaf_verifies_another_that_stands_behind_it(
    composed: Settings, guests: Path, behaviours: Behaviours
) -> None:
    settings = with_inputs(composed, verifies(guests, 55, 2), fib(11), fib(10))
    run_batch(settings)
    assert record(settings)["plan"]["needs"] == [[2], [], []]
    proved = [run.guest for run in behaviours.runs() if run.kind != "execute"]
    assert proved.index(VERIFIES) > 0
    finished = {job["id"]: job for job in record(settings)["jobs"]}
    assert finished[2]["finished"] <= finished[0]["started"]
    assert finished[0]["verifications"] == 2
    verified(settings, guests)


@pytest.mark.parametrize("strategy", ["single", "two_level"])
def test_such_a_batch_is_aggregated(composed: Settings, guests: Path, strategy: str) -> None:
    inputs = [fib(10), fib(11), fib(12), verifies(guests, 89, {"leaves": "fibonacci"}), fib(13)]
    run_batch(with_inputs(composed, *inputs, strategy=builders.strategy(strategy, 2)))
    verified(composed, guests)


def test_assumptions_of_all_leaves_of_a_guest(composed: Settings, guests: Path) -> None:
    given = dataclasses.replace(composed.programs[VERIFIES], assumptions=[{"leaf": 0}])
    inputs = [fib(10), verifies(guests, 55)]
    run_batch(with_inputs(composed, *inputs, programs={VERIFIES: given}))
    assert record(composed)["plan"]["needs"] == [[], [0]]


def test_the_cache_has_the_leaf_only_with_the_same_assumptions(
    composed: Settings, guests: Path, tmp_path: Path
) -> None:
    inputs = [fib(10), fib(11), verifies(guests, 55, 0)]
    run_batch(with_inputs(composed, *inputs))
    again = with_inputs(composed, *inputs, output=tmp_path / "again")
    run_batch(again)
    assert [job["cached"] for job in record(again)["jobs"]] == [True, True, True]
    inputs[2] = verifies(guests, 55, 0, 1)
    other = with_inputs(composed, *inputs, output=tmp_path / "other")
    run_batch(other)
    assert [job["cached"] for job in record(other)["jobs"]] == [True, True, False]


def receipts(settings: Settings, tmp_path: Path, *numbers: int) -> Path:
    """A folder with the receipts of a batch of fibonacci, whose output folder is gone."""
    first = with_inputs(settings, *map(fib, numbers), output=tmp_path / "first")
    run_batch(first)
    folder = tmp_path / "kept"
    shutil.copytree(tmp_path / "first" / "receipts", folder)
    return folder


def test_receipts_come_from_a_folder(composed: Settings, guests: Path, tmp_path: Path) -> None:
    folder = receipts(composed, tmp_path, 10, 11)
    for name in ("guest", "image_id"):
        trusted = Manifest.load(guests).get("fibonacci").image_id.hex()
        item = {"folder": str(folder), name: "fibonacci" if name == "guest" else trusted}
        settings = with_inputs(composed, verifies(guests, 89, item), output=tmp_path / name)
        run_batch(settings)
        assert record(settings)["jobs"][0]["cached"] == (name == "image_id")


def test_receipts_come_from_the_cache(composed: Settings, guests: Path, tmp_path: Path) -> None:
    receipts(composed, tmp_path, 10)
    item = {"cache": "fibonacci", "input": {"n": 10}}
    run_batch(with_inputs(composed, verifies(guests, 55, item)))
    assert record(composed)["jobs"][0]["verifications"] == 2
    item["input"] = {"n": 11}
    with pytest.raises(InputError, match=r"leaf 0\[0\] = .*the cache has no such receipt; prove"):
        run_batch(with_inputs(composed, verifies(guests, 55, item)))


def test_a_receipt_from_a_folder_is_verified(
    composed: Settings, guests: Path, tmp_path: Path, behaviours: Behaviours
) -> None:
    folder = tmp_path / "hostile"
    folder.mkdir()
    own = Manifest.load(guests).get("fibonacci").image_id
    item = {"folder": str(folder), "guest": "fibonacci"}
    for data in (
        b"nonsense",
        b"",
        forged(fake_receipt(own, (55).to_bytes(8, "little"))),
        fake_receipt(fake_image_id(b"other"), (55).to_bytes(8, "little")),
    ):
        (folder / "a.receipt").write_bytes(data)
        with pytest.raises(InputError, match=r"a\.receipt': proves no run of"):
            run_batch(with_inputs(composed, verifies(guests, 55, item)))
    groth16 = fake_receipt(own, (55).to_bytes(8, "little"), ReceiptKind.GROTH16)
    (folder / "a.receipt").write_bytes(groth16)
    with pytest.raises(InputError, match="a Groth16 receipt cannot be an assumption"):
        run_batch(with_inputs(composed, verifies(guests, 55, item)))
    (folder / "a.receipt").unlink()
    (folder / "a.receipt").symlink_to("/dev/zero")
    with pytest.raises(InputError, match="cannot be read"):
        run_batch(with_inputs(composed, verifies(guests, 55, item)))
    assert behaviours.runs() == []


BAD: list[tuple[object, str]] = [
    (9, r"leaf 1\[0\] = 9: no such leaf; give a leaf of this batch, 0 to 1"),
    (-1, "no such leaf"),
    (True, "says of no receipt where it is"),
    ("x", "says of no receipt where it is"),
    ({"leaf": "0"}, "no such leaf"),
    ({"leaves": "sha512"}, "not a guest of this batch"),
    ({"leaves": "aggregator"}, "has no leaf of this guest"),
    ({"folder": "/nowhere", "guest": "fibonacci"}, "no such file or folder"),
    ({"folder": "/nowhere"}, "not exactly one image id"),
    ({"folder": "/nowhere", "guest": "fibonacci", "image_id": "00" * 32}, "not exactly one"),
    ({"folder": "/nowhere", "image_id": "00"}, "give 64 hex digits"),
    ({"folder": "/nowhere", "guest": "fibonacci", "x": 1}, "has other names"),
    ({"cache": "fibonacci"}, "give cache: GUEST and input"),
    ({"cache": "fibonacci", "input": "x"}, "not a whole number"),
    (1, "'leaf 1': needs its own receipt"),
]


@pytest.mark.parametrize(("item", "problem"), BAD)
def test_what_is_wrong_is_told_before_any_proof(
    composed: Settings, guests: Path, behaviours: Behaviours, item: object, problem: str
) -> None:
    with pytest.raises(InputError, match=problem):
        run_batch(with_inputs(composed, fib(10), verifies(guests, 55, item)))
    assert behaviours.runs() == []


def test_leaves_that_need_each_other(composed: Settings, guests: Path) -> None:
    inputs = [fib(1), verifies(guests, 1, 2), verifies(guests, 2, 3), verifies(guests, 3, 1)]
    with pytest.raises(InputError, match="needs its own receipt"):
        run_batch(with_inputs(composed, *inputs))


def test_a_journal_that_does_not_match_is_told_before_any_proof(
    composed: Settings, guests: Path, tmp_path: Path, behaviours: Behaviours
) -> None:
    with pytest.raises(InputError, match=r"leaf 1 = '1 leaves .*: its guest verifies a run that"):
        run_batch(with_inputs(composed, fib(10), verifies(guests, 56, 0)))
    assert {run.kind for run in behaviours.runs()} == {"execute"}
    item = {"folder": str(receipts(composed, tmp_path, 10)), "guest": "fibonacci", "journal": "00"}
    with pytest.raises(InputError, match=r"no receipt in .* proves the journal 00"):
        run_batch(with_inputs(composed, fib(10), verifies(guests, 55, item)))


def test_a_leaf_is_not_run_where_one_that_it_needs_has_failed(
    composed: Settings, guests: Path
) -> None:
    inputs = [fib(94), fib(10), verifies(guests, 55, 0, 1), verifies(guests, 55, 1)]
    partial = with_inputs(
        composed, *inputs, executor=builders.executor("continue"), aggregate="succeeded"
    )
    with pytest.raises(BatchFailedError, match="2 of 4 leaves failed: leaf 0"):
        run_batch(dataclasses.replace(partial, strategy=builders.strategy("single")))
    assert record(partial)["plan"]["needs"] == [[], [0]]
    verified(partial, guests)


def test_a_dry_run_says_what_waits_for_what(composed: Settings, guests: Path) -> None:
    inputs = [fib(10), verifies(guests, 55, 0)]
    settings = with_inputs(composed, *inputs, dry_run=True, dry_run_executes=True)
    report = dry_run(settings)
    assert [one.reason.value for one in report.decisions] == ["no_entry", "children_first"]
    assert [one.failure for one in report.executed] == ["", ""]
    run_batch(with_inputs(composed, *inputs))
    assert [one.reason.value for one in dry_run(settings).decisions] == ["hit", "hit"]
