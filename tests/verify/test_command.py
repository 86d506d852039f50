"""``python -m runner.verify`` and ``runner.inclusion`` on folders and options of all kinds."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from runner.batch.run import run as run_batch
from runner.folder import LEAVES, RESULT, ROOT, SUMS
from runner.inclusion import main as inclusion
from runner.provers.guests import Manifest
from runner.verify.__main__ import main as verify
from tests import builders
from tests.fakes.prover import ADAPTER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def batch(tmp_path: Path, guests: Path) -> Path:
    run_batch(builders.batch_settings(tmp_path / "batch", guests, count=8))
    return tmp_path / "batch"


@pytest.fixture
def options(guests: Path) -> list[str]:
    return ["--guests", str(guests), "--adapter", ADAPTER]


def image_id(guests: Path, name: str = "sha256") -> str:
    return Manifest.load(guests).get(name).image_id.hex()


def edit_manifest(guests: Path, change: Callable[[dict[str, Any]], None]) -> None:
    data = json.loads((guests / "manifest.json").read_text())
    change(data["guests"])
    (guests / "manifest.json").write_text(json.dumps(data))


# -- which programs may be leaves ----------------------------------------------------------------


def test_a_guest_that_the_manifest_does_not_have_can_be_allowed(
    batch: Path, guests: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    allowed = image_id(guests)
    edit_manifest(guests, lambda entries: entries.pop("sha256"))
    assert verify([str(batch), *options]) == 1
    assert "leaf image id" in capsys.readouterr().err
    assert verify([str(batch), *options, "--allow", allowed]) == 0
    out = capsys.readouterr().out
    assert f"leaf image ids: all of {allowed}, allowed by the id alone" in out
    assert "VERIFIED: 8 leaves" in out


def test_a_guest_that_the_manifest_has_can_be_the_only_one_allowed(
    batch: Path, guests: Path, options: list[str]
) -> None:
    assert verify([str(batch), *options, "--allow", image_id(guests)]) == 0
    assert verify([str(batch), *options, "--allow", image_id(guests, "fibonacci")]) == 1
    both = ["--allow", image_id(guests, "fibonacci"), "--allow", image_id(guests)]
    assert verify([str(batch), *options, *both]) == 0


def test_one_program_may_have_two_names(batch: Path, guests: Path, options: list[str]) -> None:
    edit_manifest(guests, lambda entries: entries.update(another=entries["sha256"]))
    assert verify([str(batch), *options]) == 0
    assert verify([str(batch), *options, "--allow", image_id(guests)]) == 0


@pytest.mark.parametrize("text", ["", "00", "zz" * 32, "0x" + "00" * 32])
def test_a_malformed_image_id_is_refused(
    text: str, batch: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify([str(batch), *options, "--allow", text]) == 2
    assert "64 hex characters" in capsys.readouterr().err


# -- what is said --------------------------------------------------------------------------------


def test_what_is_not_checked_is_named_in_a_line_and_field_by_field(
    batch: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify([str(batch), *options]) == 0
    (line,) = [text for text in capsys.readouterr().out.splitlines() if "not checked" in text]
    assert "the run's own word: " in line
    assert "machine (" in line
    assert line.endswith(f"{LEAVES}: input")
    assert verify([str(batch), *options, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["verified"], said["leaves"], said["kind"]) == (True, 8, "composite")
    assert {"machine.host", "jobs[].prove_s", f"{LEAVES}: input"} <= set(said["not_checked"])


def test_the_machine_format_has_failures_too(
    batch: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (batch / ROOT).write_bytes(b"something else")
    assert verify([str(batch), *options, "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["verified"] is False
    assert "root.receipt" in said["error"]


# -- folders that are not what they seem ---------------------------------------------------------


def to_zero(path: Path) -> None:
    path.symlink_to("/dev/zero")


def to_a_file_of_proc(path: Path) -> None:
    path.symlink_to("/proc/self/maps")


@pytest.mark.parametrize("name", [SUMS, RESULT, LEAVES, ROOT])
@pytest.mark.parametrize("fault", [to_zero, os.mkfifo, to_a_file_of_proc], ids=lambda f: f.__name__)
def test_a_file_that_never_ends_is_refused_at_once(
    name: str,
    fault: Callable[[Path], None],
    batch: Path,
    options: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    (batch / name).unlink()
    fault(batch / name)
    assert verify([str(batch), *options]) == (2 if name == SUMS else 1)
    error = capsys.readouterr().err
    assert "a symbolic link" in error or "not a regular file" in error


def test_a_name_in_the_sums_leads_nowhere_else(batch: Path, options: list[str]) -> None:
    (batch / "away").symlink_to("/proc")
    with (batch / SUMS).open("a") as file:
        file.write(f"{'0' * 64}  away/self/environ\n")
    assert verify([str(batch), *options]) == 1


@pytest.mark.parametrize("fault", [to_zero, os.mkfifo], ids=lambda f: f.__name__)
@pytest.mark.parametrize("which", ["proof", "receipt"])
def test_an_inclusion_proof_or_receipt_that_never_ends_is_refused(
    which: str, fault: Callable[[Path], None], batch: Path, tmp_path: Path, options: list[str]
) -> None:
    proof = tmp_path / "proof.json"
    assert verify([str(batch), *options, "--leaf", "3", "--out", str(proof)]) == 0
    broken = proof if which == "proof" else batch / ROOT
    broken.unlink()
    fault(broken)
    assert inclusion([str(proof), "--receipt", str(batch / ROOT), *options]) == 2


# -- inclusion -----------------------------------------------------------------------------------


@pytest.fixture
def proof(batch: Path, tmp_path: Path, options: list[str]) -> Path:
    path = tmp_path / "proof.json"
    assert verify([str(batch), *options, "--leaf", "3", "--out", str(path)]) == 0
    return path


def edited(proof: Path, **fields: object) -> None:
    proof.write_text(json.dumps(json.loads(proof.read_text()) | fields))


def test_the_number_of_leaves_is_compared_with_the_receipt(
    proof: Path, batch: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    receipt = ["--receipt", str(batch / ROOT), *options]
    assert inclusion([str(proof), *receipt]) == 0
    out = capsys.readouterr().out
    assert "ok  verified_count: 8 leaves" in out
    assert "not proved, the prover's own word: position 3\n" in out
    edited(proof, count=9)
    assert inclusion([str(proof), *receipt]) == 1
    assert "the proof says 9 leaves, the receipt proves 8" in capsys.readouterr().err


def test_without_a_receipt_the_number_of_leaves_is_called_unproved(
    proof: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    root = json.loads(proof.read_text())["root"]
    assert inclusion([str(proof), "--root", root, *options]) == 0
    assert "not proved, the prover's own word: position 3 of 8" in capsys.readouterr().out


@pytest.mark.parametrize("position", [0, 7])
def test_a_position_without_room_for_the_siblings_does_not_hold(
    position: int, proof: Path, batch: Path, options: list[str]
) -> None:
    edited(proof, position=position)
    assert inclusion([str(proof), "--receipt", str(batch / ROOT), *options]) == 1
