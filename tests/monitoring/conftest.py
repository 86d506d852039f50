"""The textfile and the ledger of a test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runner.monitoring.ledger import Ledger

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def textfile(tmp_path: Path) -> Path:
    return tmp_path / "runner.prom"


@pytest.fixture
def ledger(tmp_path: Path, textfile: Path) -> Ledger:
    return Ledger(tmp_path / "runner.prom.ledger.json", textfile)
