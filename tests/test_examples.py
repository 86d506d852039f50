"""The examples: programs with known answers, run from their own folder."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from typing import TYPE_CHECKING, Any

import pytest

from runner.files import SHIPPED
from runner.provers.guests import Manifest
from tests.command import RUN, run

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

COMPARISON = SHIPPED / "examples" / "public_comparison"


def inputs() -> ModuleType:
    """The program that writes the inputs."""
    spec = importlib.util.spec_from_file_location("inputs", COMPARISON / "inputs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fibonacci_modular() -> bytes:
    a, b = 0, 1
    for _ in range(100_000):
        a, b = b, (a + b) % 7919
    return (100_000).to_bytes(4, "little") + a.to_bytes(4, "little")


def root(balances: list[int]) -> bytes:
    """The root of the tree over balances, as the program's documentation says."""
    row = [hashlib.sha256(b"\0" + one.to_bytes(8, "little")).digest() for one in balances]
    while len(row) > 1:
        pairs = zip(row[::2], row[1::2], strict=True)
        row = [hashlib.sha256(b"\1" + left + right).digest() for left, right in pairs]
    return row[0]


def transfers() -> bytes:
    made = inputs()
    balances = made.balances()
    old = root(balances)
    for source, target, amount in made.transfers():
        balances[source] -= amount
        balances[target] += amount
    return old + root(balances) + (100).to_bytes(4, "little")


ANSWERS = {
    "fibonacci_modular": fibonacci_modular,
    "sha256_bytes": lambda: hashlib.sha256(inputs().data()).digest(),
    "ecdsa_secp256k1": lambda: bytes.fromhex(inputs().KEY) + inputs().MESSAGE.encode(),
    "transfers": transfers,
}


PROVERS = {
    "risc0": ("guests=guests", "prover=execute"),
    "openvm": ("guests=guests/openvm", "prover=openvm", "prover.kind=execute", "strategy=none"),
}


@pytest.mark.parametrize("zkvm", PROVERS)
@pytest.mark.parametrize("guest", ANSWERS)
def test_a_program_of_the_comparison_gives_the_known_answer(
    guest: str, zkvm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(f"runner_{zkvm}", reason=f"the extension for {zkvm} is not installed")
    monkeypatch.chdir(COMPARISON)
    out = tmp_path / "out"
    given = [f"guest={guest}", *PROVERS[zkvm], f"output={out}"]
    assert run(monkeypatch, *RUN, *given, "metrics=off", "audit=off") == 0
    (line,) = (out / "leaves.jsonl").read_text().splitlines()
    answer, journal = ANSWERS[guest](), bytes.fromhex(json.loads(line)["journal"])
    if zkvm == "openvm":  # its journals are whole words
        answer += bytes(-len(answer) % 4)
    assert journal == answer


def test_a_signature_that_does_not_hold_gives_no_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    value: dict[str, Any] = inputs().inputs()["ecdsa_secp256k1"]
    (tmp_path / "in.jsonl").write_text(json.dumps({**value, "message": "Satoshi Nakamota"}) + "\n")
    monkeypatch.chdir(COMPARISON)
    given = ["guest=ecdsa_secp256k1", "guests=guests", f"guest.inputs_file={tmp_path / 'in.jsonl'}"]
    rest = ["prover=execute", f"output={tmp_path / 'out'}", "metrics=off", "audit=off"]
    assert run(monkeypatch, *RUN, *given, *rest) == 1
    assert "the signature does not hold" in capfd.readouterr().err


def test_the_inputs_are_those_that_the_program_writes() -> None:
    for name, value in inputs().inputs().items():
        (line,) = (COMPARISON / "inputs" / f"{name}.jsonl").read_text().splitlines()
        assert json.loads(line) == value
    assert len(inputs().data()) == 2048


@pytest.mark.parametrize("folder", ["guests", "guests/openvm"])
def test_its_programs_are_those_of_its_manifest(folder: str) -> None:
    manifest = Manifest.load(COMPARISON / folder)
    sources = COMPARISON / folder / "programs" / "src" / "bin"
    assert set(manifest.guests) == {path.stem for path in sources.glob("*.rs")}
    for name in manifest.guests:
        assert manifest.get(name).elf_path.is_file()


COMPOSITION = SHIPPED / "examples" / "composition"


def composed(folder: Path, monkeypatch: pytest.MonkeyPatch, *given: str) -> list[dict[str, Any]]:
    """Run the example of composition, and return its leaf list."""
    monkeypatch.chdir(COMPOSITION)
    rest = [f"output={folder}", "metrics=off", "audit=off", "cache=off"]
    assert run(monkeypatch, *RUN, "experiment=composition", *given, *rest) == 0
    return [json.loads(line) for line in (folder / "leaves.jsonl").read_text().splitlines()]


def test_a_guest_uses_what_another_has_proved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, both = composed(tmp_path / "out", monkeypatch, "prover=execute")
    assert (first["shows"], second["shows"]) == ("55", "89")
    assert both["shows"] == {"program": first["image_id"], "sum": "144"}
    image_id = Manifest.load(COMPOSITION / "guests").get("proved_sum").image_id
    assert both["image_id"] == image_id.hex()
