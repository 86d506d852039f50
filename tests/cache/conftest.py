"""Folders for caches, and a cache."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runner.cache.proof_cache import ProofCache
from tests.cache.entries import MEMORY

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=MEMORY) as made:
        yield Path(made)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "cache"


@pytest.fixture
def cache(folder: Path) -> Iterator[ProofCache]:
    with ProofCache(folder, max_entries=3, max_bytes=100) as opened:
        yield opened
