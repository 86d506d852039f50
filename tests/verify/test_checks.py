"""The verifier on honest folders, and on folders that are no batch that it could check."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import pytest

from runner.errors import InputError, RunnerError, VerificationFailedError
from runner.folder import SUMS
from runner.inclusion import main as check_inclusion
from runner.model import ReceiptKind
from runner.plan import merkle
from runner.provers.guests import Manifest
from runner.provers.prover import load_prover
from runner.verify.__main__ import main as verify
from runner.verify.checks import verify_folder
from runner.verify.verified import PinnedIds
from tests import builders
from tests.fakes.prover import ADAPTER
from tests.verify.folders import SPEC, check, edit_record, make, refused, sums

if TYPE_CHECKING:
    from pathlib import Path


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
        pins, leaves={i: name for i, name in pins.leaves.items() if "fibonacci" in name}
    )
    with pytest.raises(VerificationFailedError, match="leaf image id"):
        verify_folder(batch, narrow, load_prover(SPEC))


@pytest.mark.parametrize(
    "line",
    [
        "00  ../../etc/passwd",
        "00  /etc/passwd",
        "nonsense",
        "\x00\xff",
        "0" * 200,
        "00  ./root.receipt",
        "00  root.receipt/",
    ],
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


def test_a_folder_that_is_not_a_batch_is_an_input_error(tmp_path: Path, guests: Path) -> None:
    with pytest.raises(RunnerError, match="finished batch") as caught:
        check(tmp_path, guests)
    assert caught.value.exit_code == 2


def test_the_kind_of_unaggregated_receipts_is_checked(unaggregated: Path, guests: Path) -> None:
    edit_record(unaggregated, lambda data: data.update(kind="succinct"))
    assert refused(unaggregated, guests).check == "receipt kind"
