"""Programs for OpenVM that no manifest pins, named by their ELF files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runner.errors import ProverError
from runner.model import Child, ReceiptKind
from runner.plan.journal import aggregator_stdin
from runner.provers.guests import AGGREGATOR, Manifest, default_folder, guest_of_file
from runner.provers.prover import ProverSpec, load_prover
from tests.native.commands import call

if TYPE_CHECKING:
    from pathlib import Path

    from runner.provers.prover import Prover

pytest.importorskip(
    "runner_openvm", reason="the OpenVM extension is not installed (make setup-openvm)"
)

SETTINGS = ("prover=openvm", "prover.kind=execute", "metrics=off", "audit=off", "progress=lines")
GUEST = ("guest=program", "guest.fields=[{name: n, type: u32}]", "guest.inputs=[10]")


@pytest.fixture(scope="module")
def prover() -> Prover:
    return load_prover(ProverSpec("openvm", ReceiptKind.EXECUTE))


def another(folder: Path, place: int, word: bytes) -> Path:
    """A program that no manifest has: fibonacci with other bytes at a place of its file."""
    data = bytearray(Manifest.load(default_folder("openvm")).get("fibonacci").elf_path.read_bytes())
    data[place : place + len(word)] = word
    elf = folder / "mine.elf"
    elf.write_bytes(data)
    return elf


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A program that does what fibonacci does. The byte is one of the ELF's padding, in memory."""
    return another(tmp_path, 15, b"\x01")


def test_an_elf_is_named_by_its_path_alone(mine: Path, prover: Prover, tmp_path: Path) -> None:
    chosen = (*SETTINGS, *GUEST, "strategy=none", f"guest.elf={mine}", "output=out")
    done = call("runner", *chosen, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    image_id = prover.image_id(mine.read_bytes()).hex()
    assert f"which no manifest pins; its image id is {image_id}" in done.stderr
    assert image_id in (tmp_path / "out" / "result.json").read_text()


def test_an_instruction_of_an_extension_is_unusable_input(tmp_path: Path) -> None:
    elf = another(tmp_path, 0xC00, (0x2B).to_bytes(4, "little"))  # modular arithmetic's opcode
    chosen = (*SETTINGS, *GUEST, "strategy=none", f"guest.elf={elf}", "output=out")
    done = call("runner", *chosen, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "couldn't parse the next instruction" in done.stderr
    assert "no other extension of OpenVM" in done.stderr


def test_public_values_of_another_runtime_are_told_apart(tmp_path: Path, prover: Prover) -> None:
    # A constant of SHA-256: what the program publishes is no digest of its journal.
    elf = another(tmp_path, 0x1014 + 0xC0, b"\x00\x00\x00\x00")
    guest = guest_of_file("mine", elf, prover.image_id)
    with pytest.raises(ProverError, match="the runtime in guests/openvm/rt leaves them"):
        prover.run(guest, (10).to_bytes(4, "little"), (), ReceiptKind.EXECUTE, 1)


def test_an_executed_aggregation_says_that_it_takes_pinned_guests(
    mine: Path, prover: Prover
) -> None:
    aggregator = Manifest.load(default_folder("openvm")).get(AGGREGATOR)
    leaf = Child(prover.image_id(mine.read_bytes()), bytes(8), None)
    stdin = aggregator_stdin(aggregator.image_id, [(leaf.image_id, leaf.journal)])
    with pytest.raises(ProverError, match="use strategy=none, or prove it"):
        prover.run(aggregator, stdin, (leaf,), ReceiptKind.EXECUTE, 1)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("guest.assumptions=[{leaf: 0}]", "prover = 'openvm': takes no assumptions"),
        ("guest.max_cycles=3000", "guest.max_cycles = 3000: OpenVM has no such limit"),
        ("executor.max_cycles=3000", "executor.max_cycles = 3000: OpenVM has no such limit"),
    ],
)
def test_what_openvm_does_not_have_is_unusable_input(
    setting: str, said: str, tmp_path: Path
) -> None:
    done = call("runner", *SETTINGS, setting, "output=out", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {said}")
    assert done.stderr.count("\n") == 1
