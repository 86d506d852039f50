"""A configuration that a test may change."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from runner.alerts import config


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """A copy of conf/alerts."""
    return Path(shutil.copytree(config.CONF, tmp_path / "conf"))
