"""Metrics: one event of each type, the metrics text, and durable writes.

``benchmarks.studies.metrics_cost`` measures which share of a batch they take.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import pytest

from benchmarks.suite import builders
from runner.metric_table import GUEST_CYCLES, PROOF_GENERATION_DURATION_SECONDS, QUEUE_DEPTH
from runner.monitoring.ledger import Ledger
from runner.monitoring.textfile import write_textfile

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_benchmark.fixture import BenchmarkFixture


@pytest.mark.benchmark(group="metrics")
def test_counter(benchmark: BenchmarkFixture) -> None:
    recorder = builders.busy_recorder()
    benchmark(recorder.inc, GUEST_CYCLES, 5, guest="sha256", type="user")
    assert recorder.value(GUEST_CYCLES, guest="sha256", type="user") > 1e6


@pytest.mark.benchmark(group="metrics")
def test_gauge(benchmark: BenchmarkFixture) -> None:
    recorder = builders.busy_recorder()
    benchmark(recorder.set, QUEUE_DEPTH, 5)
    assert recorder.value(QUEUE_DEPTH) == 5


@pytest.mark.benchmark(group="metrics")
def test_histogram(benchmark: BenchmarkFixture) -> None:
    recorder = builders.busy_recorder()
    times = PROOF_GENERATION_DURATION_SECONDS
    benchmark(recorder.observe, times, 17, zkvm="risc0", kind="composite")
    assert recorder.value(times, zkvm="risc0", kind="composite") > 0


@pytest.mark.benchmark(group="metrics")
def test_render(benchmark: BenchmarkFixture) -> None:
    text = benchmark(builders.busy_recorder().render)
    assert text.endswith(b"\n")


@pytest.mark.benchmark(group="disk", timer=builders.WALL)
def test_durable_write(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    text, path = builders.busy_recorder().render(), tmp_path / "runner.prom"
    benchmark(write_textfile, path, text)
    assert path.read_bytes() == text


@pytest.mark.benchmark(group="disk", timer=builders.WALL)
def test_run_into_ledger_and_textfile(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.json", tmp_path / "runner.prom")
    run, numbers = builders.busy_recorder(), count()
    benchmark(lambda: ledger.record(f"run-{next(numbers)}", run))
    assert (tmp_path / "runner.prom").exists()
