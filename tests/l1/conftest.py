"""A chain, a registry on it, and engines of one account."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.chains import TestChain
from tests.l1.benches import Bench

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[TestChain]:
    """A chain of this test's own."""
    with TestChain(tmp_path, ["--slots-in-an-epoch", "4"]) as chain:
        yield chain


@pytest.fixture
def bench(chain: TestChain, tmp_path: Path) -> Iterator[Bench]:
    """An engine on the chain, with everything that a test does to it."""
    with Bench(chain, tmp_path / "store") as bench:
        yield bench
