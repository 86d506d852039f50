"""A place for an audit log, a batch with one, and a batch that has been run."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from runner.batch.run import run as run_batch

if TYPE_CHECKING:
    from pathlib import Path

    from runner.batch.settings import Settings


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "audit.jsonl"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """The batch of ``conftest.py``, with an audit log in the output folder."""
    return dataclasses.replace(settings, audit=settings.output / "audit.jsonl")


@pytest.fixture
def finished(settings: Settings) -> Path:
    run_batch(settings)
    return settings.output
