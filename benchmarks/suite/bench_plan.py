"""Pure code that runs for every leaf: plans and content addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.suite import builders
from runner.cache.keys import proof_key
from runner.model import ReceiptKind
from runner.plan.plan import Plan

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

SIZES = [
    *[pytest.param(name, 10**3, id=f"{name}-1000") for name in ("single", "two_level")],
    *[pytest.param("three_level", 10**e, id=f"three_level-{10**e}") for e in (3, 4, 5)],
    pytest.param("three_level", 10**6, id="three_level-1000000", marks=pytest.mark.slow),
]


@pytest.mark.benchmark(group="plan")
@pytest.mark.parametrize(("strategy", "leaves"), SIZES)
def test_build(benchmark: BenchmarkFixture, strategy: str, leaves: int) -> None:
    plan = benchmark(builders.plan, strategy, leaves)
    assert len(plan.leaves) == leaves


@pytest.mark.benchmark(group="plan")
def test_read_back(benchmark: BenchmarkFixture) -> None:
    plan = builders.plan("two_level", 10_000)
    assert benchmark(Plan.from_json, plan.to_json()) == plan


@pytest.mark.benchmark(group="keys")
@pytest.mark.parametrize("size", [4, 2**20])
def test_proof_key(benchmark: BenchmarkFixture, size: int) -> None:
    key = benchmark(
        proof_key,
        zkvm="risc0",
        zkvm_version="3.0.6",
        kind=ReceiptKind.COMPOSITE,
        image_id=bytes(32),
        stdin=bytes(size),
    )
    assert len(key) == 64
