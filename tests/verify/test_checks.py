"""The verifier against honest folders and tampered ones, with receipts of the fake prover.

Whoever tampers here does it well: after each change ``SHA256SUMS`` is written anew, so that the
change is caught by what is proved and not by a checksum.
"""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import pytest

from runner.batch.run import run as run_batch
from runner.errors import InputError, RunnerError, VerificationFailedError
from runner.folder import LEAVES, RECEIPTS, RESULT, SUMS, write_sums
from runner.inclusion import main as check_inclusion
from runner.model import ReceiptKind
from runner.plan import merkle
from runner.plan.journal import AggregationResult
from runner.provers.guests import Manifest
from runner.provers.prover import load_prover
from runner.verify.__main__ import main as verify
from runner.verify.checks import PinnedIds, VerifiedBatch, verify_folder
from tests import builders
from tests.fakes.prover import ADAPTER, fake_receipt, forged

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SPEC = builders.prover(ReceiptKind.COMPOSITE)


def make(folder: Path, guests: Path, **changes: object) -> Path:
    """Run a batch of five leaves, of which the second and the fourth are the same."""
    settings = builders.batch_settings(
        folder,
        guests,
        inputs=["a", "b", "c", "b", "d"],
        count=None,
        strategy=builders.strategy("two_level", 2),
    )
    run_batch(dataclasses.replace(settings, **changes))  # type: ignore[arg-type]
    return folder


@pytest.fixture
def batch(tmp_path: Path, guests: Path) -> Path:
    return make(tmp_path / "batch", guests)


@pytest.fixture
def unaggregated(tmp_path: Path, guests: Path) -> Path:
    return make(tmp_path / "none", guests, strategy=builders.strategy("none"))


def check(folder: Path, guests: Path) -> VerifiedBatch:
    return verify_folder(folder, PinnedIds.of(Manifest.load(guests)), load_prover(SPEC))


def sums(folder: Path) -> None:
    names = [line.split("  ")[1] for line in (folder / SUMS).read_text().splitlines()]
    write_sums(folder, [name for name in names if (folder / name).exists()])


def edit_record(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / RESULT
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    sums(folder)


def edit_leaves(folder: Path, change: Callable[[list[dict[str, Any]]], None]) -> None:
    path = folder / LEAVES
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    change(lines)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    sums(folder)


def refused(folder: Path, guests: Path) -> VerificationFailedError:
    with pytest.raises(VerificationFailedError) as caught:
        check(folder, guests)
    assert "\n" not in str(caught.value)
    return caught.value


def test_an_honest_batch_holds(batch: Path, guests: Path) -> None:
    verified = check(batch, guests)
    assert verified.claims.count == 5
    assert verified.receipts == ["root.receipt"]


def test_a_batch_without_aggregation_holds(unaggregated: Path, guests: Path) -> None:
    verified = check(unaggregated, guests)
    assert (verified.claims.count, len(verified.receipts)) == (5, 4)
    assert verified.combined_hash is None


def test_every_leaf_is_provably_included_and_no_other(batch: Path, guests: Path) -> None:
    verified = check(batch, guests)
    for position in range(5):
        proof = verified.inclusion(position)
        assert merkle.InclusionProof.from_json(json.loads(json.dumps(proof.to_json()))).holds()
        assert not dataclasses.replace(proof, journal=b"another").holds()
    for position in (-1, 5):
        with pytest.raises(InputError, match="--leaf"):
            verified.inclusion(position)


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
        (("root", "verified_count"), 7, "result.json: verified_count"),
        (("root", "combined_hash"), "00" * 32, "result.json: combined_hash"),
        (("guests", "sha256", "image_id"), "00" * 32, "result.json: image id of sha256"),
        (("guests", "aggregator", "image_id"), "00" * 32, "result.json: image id of aggregator"),
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


def test_a_batch_of_an_adapter_outside_the_package_is_verified_when_it_is_named(
    batch: Path, guests: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify([str(batch), "--guests", str(guests)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(
        "error: --adapter = 'fake': the batch says it was proved with this zkVM"
    )
    assert "give --adapter MODULE:CLASS" in error
    assert verify([str(batch), "--guests", str(guests), "--adapter", ADAPTER]) == 0
    assert "VERIFIED: 5 leaves" in capsys.readouterr().out


def test_a_leaf_of_such_a_batch_is_shown_to_be_in_it(
    batch: Path, guests: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named = ["--guests", str(guests), "--adapter", ADAPTER]
    proof = tmp_path / "proof.json"
    assert verify([str(batch), *named, "--leaf", "3", "--out", str(proof)]) == 0
    assert check_inclusion([str(proof), "--receipt", str(batch / "root.receipt"), *named]) == 0
    assert "INCLUDED: sha256" in capsys.readouterr().out


def test_an_executed_batch_proves_nothing(tmp_path: Path, guests: Path) -> None:
    spec = builders.prover(ReceiptKind.EXECUTE)
    folder = make(tmp_path / "executed", guests, prover=spec)
    assert "nothing was proved" in str(refused(folder, guests))


def test_only_allowed_guests_may_be_leaves(batch: Path, guests: Path) -> None:
    pins = PinnedIds.of(Manifest.load(guests))
    narrow = dataclasses.replace(
        pins, leaves={i: name for i, name in pins.leaves.items() if name == "fibonacci"}
    )
    with pytest.raises(VerificationFailedError, match="leaf image id"):
        verify_folder(batch, narrow, load_prover(SPEC))


@pytest.mark.parametrize(
    "line", ["00  ../../etc/passwd", "00  /etc/passwd", "nonsense", "\x00\xff", "0" * 200]
)
def test_sums_cannot_lead_outside_the_folder(line: str, batch: Path, guests: Path) -> None:
    with (batch / SUMS).open("a", encoding="latin-1") as file:
        file.write(line + "\n")
    assert SUMS in str(refused(batch, guests))


@pytest.mark.parametrize("name", ["result.json", "leaves.jsonl"])
def test_json_nested_without_end_is_an_error_not_a_crash(
    name: str, batch: Path, guests: Path
) -> None:
    (batch / name).write_text("[" * 100_000)
    sums(batch)
    refused(batch, guests)


def test_a_folder_that_is_no_batch_is_an_input_error(tmp_path: Path, guests: Path) -> None:
    with pytest.raises(RunnerError, match="finished batch") as caught:
        check(tmp_path, guests)
    assert caught.value.exit_code == 2


def test_the_kind_of_unaggregated_receipts_is_checked(unaggregated: Path, guests: Path) -> None:
    edit_record(unaggregated, lambda data: data.update(kind="succinct"))
    assert refused(unaggregated, guests).check == "receipt kind"
