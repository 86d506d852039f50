"""Fixtures: fake guests, the fake prover, its behaviours, a clock that is told the time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runner.model import ReceiptKind
from runner.provers.guests import Manifest
from runner.provers.prover import ProverSpec
from tests import fakes

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def guests(tmp_path: Path) -> Path:
    """A folder with a manifest and the fake guests fibonacci, sha256 and aggregator."""
    folder = tmp_path / "guests"
    fakes.write_guests(folder)
    return folder


@pytest.fixture
def manifest(guests: Path) -> Manifest:
    """The manifest of ``guests``."""
    return Manifest.load(guests)


@pytest.fixture
def fake_spec() -> ProverSpec:
    """Composite receipts of the fake prover."""
    return ProverSpec(fakes.ADAPTER, ReceiptKind.COMPOSITE)


@pytest.fixture
def behaviours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> fakes.Behaviours:
    """What fake provers do, and a record of what they did, also in workers started from now on."""
    folder = tmp_path / "behaviours"
    folder.mkdir()
    monkeypatch.setenv(fakes.FOLDER, str(folder))
    return fakes.Behaviours(folder)


@pytest.fixture
def clock() -> fakes.FakeClock:
    """Seconds that pass only when told; ``clock.sleep`` lets them pass and records it."""
    return fakes.FakeClock()
