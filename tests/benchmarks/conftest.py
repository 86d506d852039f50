"""A small repository of Git."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.benchmarks.repositories import git

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    folder = tmp_path / "repo"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    return folder
