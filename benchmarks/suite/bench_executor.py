"""What the runner adds to the proofs: whole batches with a prover that takes no time.

The prover is the fake one of the tests. So what is measured of a job is everything except its
proof: the job is built and submitted, ``runner.provers.worker.perform`` runs it with all its
verifications, and its outcome is accepted and handed to its parents.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.suite import builders
from runner.engines.inline import InlineEngine
from runner.engines.processes import ProcessEngine

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_benchmark.fixture import BenchmarkFixture

LEAVES = 256
WORKERS = 2


@pytest.mark.benchmark(group="executor")
def test_batch_inline(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    batch = builders.FakeBatch(tmp_path / "guests", LEAVES)
    jobs = benchmark(batch.run, InlineEngine(), 1)
    assert jobs.outcomes[batch.plan.root].journal == jobs.expected_root().encode()


@pytest.mark.benchmark(group="processes", timer=builders.WALL)
def test_batch_in_processes(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    batch = builders.FakeBatch(tmp_path / "guests", LEAVES)
    with ProcessEngine(WORKERS) as engine:
        batch.run(engine, WORKERS)  # the workers start with their first job
        jobs = benchmark(batch.run, engine, WORKERS)
    assert jobs.outcomes[batch.plan.root].journal == jobs.expected_root().encode()


@pytest.mark.benchmark(group="processes", timer=builders.WALL)
def test_start_and_end_a_worker(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    batch = builders.FakeBatch(tmp_path / "guests", 1)

    def start() -> None:
        with ProcessEngine(1) as engine:
            batch.run(engine, 1)

    benchmark(start)
