"""Hydra, set up for composing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hydra import initialize_config_dir

from runner.cli.project import CONF

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def hydra() -> Iterator[None]:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield
