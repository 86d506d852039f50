"""Folders of finished batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.verify.folders import make

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def batch(tmp_path: Path, guests: Path) -> Path:
    return make(tmp_path / "batch", guests)


@pytest.fixture
def unaggregated(tmp_path: Path, guests: Path) -> Path:
    return make(tmp_path / "none", guests, strategy=builders.strategy("none"))
