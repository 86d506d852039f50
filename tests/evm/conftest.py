"""A chain, and servers that are no nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.chains import TestChain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestChain]:
    """A chain that the tests of a module share."""
    folder: Path = tmp_path_factory.mktemp("node")
    with TestChain(folder) as chain:
        yield chain
