"""The zkVM behind the extension: executions, a verification and, marked ``real``, proofs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import runner_risc0 as native

from benchmarks.suite import builders

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

EXECUTIONS = {
    "fibonacci-20": lambda: builders.fibonacci_run(20),
    "sha256-1024": lambda: builders.sha256_run(1024),
    "aggregator-8": lambda: builders.aggregation_run(8),
}
PROOFS = 2


@pytest.mark.benchmark(group="native")
@pytest.mark.parametrize("name", EXECUTIONS)
def test_execute(benchmark: BenchmarkFixture, name: str) -> None:
    run = EXECUTIONS[name]()
    found = benchmark(native.execute, run.elf, run.stdin, list(run.claims))
    assert found.segments == 1


@pytest.mark.benchmark(group="native")
def test_verify_a_leaf(benchmark: BenchmarkFixture) -> None:
    receipt, image_id = builders.kept_receipt()
    journal = benchmark(native.verify, receipt, image_id)
    assert journal == (55).to_bytes(8, "little")


@pytest.mark.real
@pytest.mark.benchmark(group="proof", timer=builders.WALL)
def test_prove_a_leaf(benchmark: BenchmarkFixture) -> None:
    run = builders.fibonacci_run(20)
    proof = benchmark.pedantic(native.prove, (run.elf, run.stdin, []), rounds=PROOFS)
    assert native.verify(proof.receipt, run.guest.image_id) == proof.execution.journal


@pytest.mark.real
@pytest.mark.benchmark(group="proof", timer=builders.WALL)
def test_prove_an_aggregation(benchmark: BenchmarkFixture) -> None:
    leaf, run = builders.fibonacci_run(2), builders.aggregation_run(1)
    receipt = native.prove(leaf.elf, leaf.stdin, []).receipt
    proof = benchmark.pedantic(native.prove, (run.elf, run.stdin, [receipt]), rounds=PROOFS)
    assert native.verify(proof.receipt, run.guest.image_id) == proof.execution.journal
