"""Engines that run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runner.engines.processes import ProcessEngine
from tests.engines.cases import ENGINES, PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runner.engines.engine import Engine


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Each engine in turn, started once for all tests of the contract."""
    with ENGINES[request.param]() as executor:
        yield executor


@pytest.fixture
def one() -> Iterator[ProcessEngine]:
    with ProcessEngine(1, timeout_s=PATIENCE_S) as executor:
        yield executor


@pytest.fixture
def two() -> Iterator[ProcessEngine]:
    with ProcessEngine(2, timeout_s=PATIENCE_S) as executor:
        yield executor
