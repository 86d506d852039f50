"""The OpenVM adapter over a stand-in for its extension."""

from __future__ import annotations

import hashlib
import json
import sys
from typing import TYPE_CHECKING

import pytest

from runner.provers import guests as guests_module
from runner.provers.guests import Manifest
from runner.provers.prover import load_prover
from tests.provers.fake_openvm import SPEC, FakeNative

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runner.provers.prover import Prover


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of the guests of all adapters."""
    folder = tmp_path / "home"
    (folder / "openvm").mkdir(parents=True)
    (folder / "openvm" / "vm.bin").write_bytes(b"definition")
    pin = {"vm_sha256": hashlib.sha256(b"definition").hexdigest()}
    (folder / "openvm" / "manifest.json").write_text(json.dumps(pin))
    monkeypatch.setattr(guests_module, "DEFAULT_FOLDER", folder)
    return folder


@pytest.fixture
def native(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: Path) -> Iterator[FakeNative]:
    fake = FakeNative()
    monkeypatch.setitem(sys.modules, "runner_openvm", fake)
    monkeypatch.delitem(sys.modules, "runner.provers.openvm.adapter", raising=False)
    monkeypatch.setenv("RUNNER_KEYS", str(tmp_path / "keys"))
    load_prover.cache_clear()
    yield fake
    load_prover.cache_clear()
    sys.modules.pop("runner.provers.openvm.adapter", None)


@pytest.fixture
def prover(native: FakeNative) -> Prover:
    return load_prover(SPEC)


@pytest.fixture
def pinned(guests: Path, native: FakeNative) -> Manifest:
    """The fake guests, with the commitments that a manifest for OpenVM has."""
    path = guests / "manifest.json"
    data = json.loads(path.read_text())
    data["zkvm"] = "openvm"
    for entry in data["guests"].values():
        executable, vm = native.commitments((guests / entry["elf"]).read_bytes())
        image_id = native.image_id(executable, vm).hex()
        entry |= {"executable": executable.hex(), "vm": vm.hex(), "image_id": image_id}
    path.write_text(json.dumps(data))
    return Manifest.load(guests)
