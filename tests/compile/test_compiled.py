"""Crates of others, compiled for the zkVM by a real compiler and executed."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from runner.compile.__main__ import main
from runner.init.__main__ import main as init
from runner.model import ReceiptKind
from runner.provers.guests import Manifest
from runner.provers.prover import ProverSpec, load_prover
from tests.new_project import compiled_before

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAIN = """
fn main() {
    let n: u32 = risc0_zkvm::guest::env::read();
    risc0_zkvm::guest::env::commit_slice(&json::answer(n).to_le_bytes());
}
"""
LIBRARY = "pub fn answer(n: u32) -> u64 { 7000 + n as u64 }\n"


def crate(project: Path) -> Path:
    """A crate ``json`` with two programs, one of the same name, that depends on a crate ``json``.

    That one would come from crates.io, and has no such function there. ``[patch.crates-io]`` puts
    another in its place, as it does with RISC Zero's accelerated crates.
    """
    assert init([str(project)]) == 0
    folder = project / "guests" / "square"
    text = (folder / "Cargo.toml").read_text().replace('name = "square"', 'name = "json"')
    text += '\n[dependencies]\njson = "0.12"\n\n[patch.crates-io]\njson = { path = "patched" }\n'
    (folder / "Cargo.toml").write_text(text)
    (folder / "src" / "lib.rs").unlink()
    for source in ("main.rs", "bin/second.rs"):
        path = folder / "src" / source
        path.parent.mkdir(exist_ok=True)
        path.write_text(MAIN)
    patched = folder / "patched"
    (patched / "src").mkdir(parents=True)
    (patched / "src" / "lib.rs").write_text(LIBRARY)
    (patched / "Cargo.toml").write_text('[package]\nname = "json"\nversion = "0.12.99"\n')
    return folder


@pytest.fixture
def compiled() -> Iterator[Path]:
    with compiled_before() as folder:
        yield folder


@pytest.mark.real
@pytest.mark.skipif(shutil.which("cargo") is None, reason="cargo is not there")
def test_a_name_that_a_dependency_has_and_a_patch_of_it(
    compiled: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CARGO_TARGET_DIR", str(compiled / "target"))
    folder, out = crate(compiled / "mine"), compiled / "mine" / "guests"
    assert main([str(folder), "--out", str(out)]) == 0, capsys.readouterr().err
    pins = json.loads((out / "manifest.json").read_text())["guests"]
    assert sorted(pins) == ["json", "second"]
    said = capsys.readouterr().out.splitlines()
    assert [f"{name} {pin['image_id']}" for name, pin in sorted(pins.items())] == said[-2:]
    prover = load_prover(ProverSpec("risc0", ReceiptKind.EXECUTE))
    for name in pins:
        guest = Manifest.load(out).get(name)
        run = prover.run(guest, (11).to_bytes(4, "little"), (), ReceiptKind.EXECUTE, 1)
        assert run.journal == (7011).to_bytes(8, "little")
