"""Hydra, set up for composing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hydra import initialize_config_dir

from runner.cli import paths, schema
from runner.cli.project import CONF

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def hydra() -> Iterator[None]:
    # The command registers these when it is imported, which a test that runs alone does not do.
    schema.register()
    paths.register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield
