"""The batch that the dry runs are about."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from runner.batch.settings import Settings


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Nine leaves over two levels of aggregation (4, 4, 1), with the fake prover."""
    return dataclasses.replace(
        settings,
        count=9,
        strategy=dataclasses.replace(settings.strategy, name="two_level", fan_in=3),
        dry_run=True,
        output=settings.output.with_name("dry"),
    )
