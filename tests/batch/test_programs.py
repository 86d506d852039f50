"""Guest programs by their files, and folders of guests without an aggregator."""

from __future__ import annotations

import dataclasses
import json
import shlex
from typing import TYPE_CHECKING

import pytest

from runner.batch.check_command import check_command
from runner.batch.prepare import prepare
from runner.batch.programs import Programs
from runner.batch.run import run as run_batch
from runner.batch.settings import Program
from runner.codec.reads import journal_layout, word_field
from runner.errors import InputError, VerificationFailedError
from runner.folder import RESULT
from runner.inclusion import main as inclusion
from runner.model import ReceiptKind
from runner.plan.inputs import InputSpec
from runner.provers.guests import AGGREGATOR, Manifest, aggregator_of
from runner.provers.prover import load_prover
from runner.verify.__main__ import main as verify
from runner.verify.verified import PinnedIds
from tests import builders
from tests.fakes.prover import ADAPTER, fake_image_id
from tests.verify.folders import SPEC, check

if TYPE_CHECKING:
    from pathlib import Path

    from runner.batch.settings import Settings

PROGRAM = b"\x7fELF" + b"\x01\x01\x01" + b"a program that no manifest has"
IMAGE_ID = fake_image_id(PROGRAM)


@pytest.fixture
def elf(tmp_path: Path) -> Path:
    """The file of a program that is in no manifest."""
    path = tmp_path / "target" / "mine"
    path.parent.mkdir()
    path.write_bytes(PROGRAM)
    return path


@pytest.fixture
def programs(guests: Path) -> Programs:
    """The fake guests."""
    return Programs(guests, load_prover(SPEC))


def without_aggregator(guests: Path) -> None:
    path = guests / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["guests"][AGGREGATOR]
    path.write_text(json.dumps(manifest))


def batch(output: Path, guests: Path, elf: Path, strategy: str) -> Settings:
    return builders.batch_settings(
        output,
        guests,
        guest="mine",
        elf=elf,
        strategy=builders.strategy(strategy),
        config={"guest": {"name": "mine", "journal": "hex"}},
    )


@pytest.mark.parametrize("strategy", ["none", "single"])
def test_a_batch_of_a_file_is_verified_by_whoever_knows_its_image_id(
    strategy: str, tmp_path: Path, guests: Path, elf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    run_batch(batch(out, guests, elf, strategy))
    assert IMAGE_ID.hex() in capsys.readouterr().out
    record = json.loads((out / RESULT).read_text())
    assert record["guests"]["mine"]["image_id"] == IMAGE_ID.hex()
    with pytest.raises(VerificationFailedError, match=f"{IMAGE_ID.hex()}, allowed are.*--allow"):
        check(out, guests)
    named = [str(out), "--guests", str(guests), "--adapter", ADAPTER]
    assert verify([*named, "--allow", IMAGE_ID.hex()]) == 0
    said = capsys.readouterr().out
    # The verifier says the id, and not the name that the batch gives it.
    assert f"all of {IMAGE_ID.hex()}, allowed by the id alone" in said
    assert verify([*named, "--allow", "00" * 32]) == 1
    assert verify([*named, "--allow", "mine"]) == 2


def test_its_leaf_is_shown_to_be_in_the_batch(tmp_path: Path, guests: Path, elf: Path) -> None:
    out, proof = tmp_path / "out", tmp_path / "proof.json"
    run_batch(batch(out, guests, elf, "single"))
    named = ["--guests", str(guests), "--adapter", ADAPTER]
    allowed = [*named, "--allow", IMAGE_ID.hex()]
    assert verify([str(out), *allowed, "--leaf", "2", "--out", str(proof)]) == 0
    receipt = [str(proof), "--receipt", str(out / "root.receipt")]
    assert inclusion([*receipt, *allowed]) == 0
    assert inclusion([*receipt, *named]) == 1
    assert inclusion([*receipt, *named, "--allow", "00" * 32]) == 1


def test_the_command_that_is_printed_checks_the_batch(
    tmp_path: Path, guests: Path, elf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "a folder; with $signs"
    guests.rename(folder)
    settings = dataclasses.replace(
        batch(tmp_path / "out put", folder, elf, "single"),
        prover=builders.prover(ReceiptKind.COMPOSITE, folder),
    )
    run_batch(settings)
    words = shlex.split(check_command(settings, prepare(settings)))
    assert words[:4] == ["python", "-m", "runner.verify", "out put"]
    assert verify(words[3:]) == 0


@pytest.mark.parametrize("strategy", ["none", "single"])
def test_the_command_allows_all_guests_of_a_batch_that_has_an_unpinned_one(
    strategy: str, tmp_path: Path, guests: Path, elf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pinned = Manifest.load(guests).get("sha256").image_id
    spec = InputSpec((word_field("data", "bytes"),))
    mine = Program(spec, journal_layout({"journal": "hex"}), elf)
    config = {
        "guest": {"name": "sha256", "journal": "hex"},
        "programs": {"m": {"name": "mine", "journal": "hex"}},
    }
    settings = builders.batch_settings(
        tmp_path / "out",
        guests,
        guest="sha256",
        programs={"mine": mine},
        config=config,
        inputs=[{"guest": "sha256", "input": "a"}, {"guest": "mine", "input": "b"}],
        count=None,
        strategy=builders.strategy(strategy),
        prover=builders.prover(ReceiptKind.COMPOSITE, guests),
    )
    run_batch(settings)
    printed = capsys.readouterr().out.partition("check it with:\n")[2]
    words = shlex.split(printed)
    allowed = [words[at + 1] for at, word in enumerate(words) if word == "--allow"]
    assert allowed == [pinned.hex(), IMAGE_ID.hex()]
    assert verify(words[words.index("runner.verify") + 1 :]) == 0
    without = [word for word in words if word not in {"--allow", *allowed}]
    assert verify(without[without.index("runner.verify") + 1 :]) == 1


def test_what_the_manifest_pins_is_told_apart_from_what_it_does_not(
    programs: Programs, guests: Path, elf: Path, tmp_path: Path
) -> None:
    assert not programs.guest("mine", elf).pinned
    shipped = guests / "elfs" / "sha256.bin"
    link = tmp_path / "link"
    link.symlink_to(shipped)
    found = programs.guest("sha256", link)
    assert found.pinned
    assert found.elf_path == shipped.resolve()


@pytest.mark.parametrize(
    ("name", "file", "problem"),
    [
        ("fibonacci", "mine", "has another program by the name fibonacci"),
        ("mine", "sha256", "has this program by the name sha256, not mine"),
        ("fibonacci", "sha256", "has this program by the name sha256"),
        ("mine", "nowhere", "cannot be read \\(No such file"),
        ("mine", "target", "cannot be read \\(not a regular file"),
    ],
)
def test_a_file_that_cannot_be_the_guest_is_refused(
    guests: Path, elf: Path, name: str, file: str, problem: str
) -> None:
    programs = Programs(guests, load_prover(SPEC))
    paths = {"mine": elf, "sha256": guests / "elfs" / "sha256.bin", "target": elf.parent}
    with pytest.raises(InputError, match=problem) as caught:
        programs.guest(name, paths.get(file, elf.with_name(file)))
    assert caught.value.field == "guest.elf"


def test_no_leaf_is_called_the_aggregator(elf: Path, guests: Path) -> None:
    without_aggregator(guests)
    with pytest.raises(InputError, match="the name of the guest that aggregates"):
        Programs(guests, load_prover(SPEC)).guest(AGGREGATOR, elf)


def test_a_file_that_changes_during_the_run_is_not_run(
    tmp_path: Path, guests: Path, elf: Path
) -> None:
    guest = prepare(batch(tmp_path / "out", guests, elf, "none")).guest
    elf.write_bytes(PROGRAM + b"!")
    prover = load_prover(SPEC)
    with pytest.raises(InputError, match=r"SHA-256 is .*it must be .*while a batch runs"):
        prover.run(guest, b"", (), ReceiptKind.EXECUTE, 1)


def test_only_a_plan_with_aggregations_needs_an_aggregator(
    tmp_path: Path, guests: Path, elf: Path
) -> None:
    without_aggregator(guests)
    out = tmp_path / "out"
    run_batch(batch(out, guests, elf, "none"))
    assert set(json.loads((out / RESULT).read_text())["guests"]) == {"mine"}
    named = ["--guests", str(guests), "--adapter", ADAPTER, "--allow", IMAGE_ID.hex()]
    assert verify([str(out), *named]) == 0
    with pytest.raises(InputError, match=r"has no aggregator.*strategy=none"):
        prepare(batch(out, guests, elf, "single"))


def test_the_shipped_aggregator_goes_with_guests_of_its_zkvm_alone(guests: Path) -> None:
    own = Manifest.load(guests)
    assert aggregator_of(own, "risc0") == own.guests[AGGREGATOR]
    without_aggregator(guests)
    bare = Manifest.load(guests)
    assert aggregator_of(bare, "fake") is None
    assert PinnedIds.of(bare, "fake").aggregator == b""
    for zkvm in ("risc0", "openvm"):
        found = aggregator_of(bare, zkvm)
        assert found is not None
        assert found.elf_path.is_file()
        assert PinnedIds.of(bare, zkvm).aggregator == found.image_id
