"""The proof cache on disk, with blobs of a leaf receipt's size."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import pytest

from benchmarks.suite import builders

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_benchmark.fixture import BenchmarkFixture

    from runner.cache.proof_cache import ProofCache


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[ProofCache]:
    with builders.full_cache(tmp_path / "proofs") as cache:
        yield cache


@pytest.mark.benchmark(group="disk", timer=builders.WALL)
def test_put_and_evict(benchmark: BenchmarkFixture, cache: ProofCache) -> None:
    numbers = count(builders.KEPT)
    evicted = benchmark(lambda: builders.put(cache, next(numbers)))
    assert evicted == 1
    assert cache.stats().entries == builders.KEPT


@pytest.mark.benchmark(group="cache")
def test_get(benchmark: BenchmarkFixture, cache: ProofCache) -> None:
    entry = benchmark(cache.get, builders.key(0))
    assert len(entry.data) == builders.LEAF_RECEIPT_BYTES


@pytest.mark.benchmark(group="cache")
def test_get_of_what_is_not_there(benchmark: BenchmarkFixture, cache: ProofCache) -> None:
    assert benchmark(cache.get, builders.key(builders.KEPT)) is None
