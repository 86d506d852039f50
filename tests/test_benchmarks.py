"""The benchmarks run once, small, so that a change that breaks one is seen before it is needed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).resolve().parent.parent


def measure(script: str, *arguments: str) -> dict[str, Any]:
    """What a benchmark's last line says, as JSON."""
    command = [sys.executable, str(ROOT / "benchmarks" / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_the_cost_of_metrics_is_measured(tmp_path: Path) -> None:
    small = ["--rounds", "2", "--batches", "1", "--leaves", "5", "--folder", str(tmp_path)]
    figures = measure("metrics_cost.py", *small)["figures"]
    for share in ("recording", "publishing", "live figures"):
        assert 0 < figures[f"share of {share}, 5 leaves executed"] < 1
    assert figures["events recorded, 5 leaves executed"] > 0


def test_the_runner_is_measured_against_a_loop() -> None:
    """Its own check is that both end with the same root."""
    small = ["--rounds", "1", "--leaves", "20", "--workers", "1"]
    figures = measure("runner_overhead.py", *small)["figures"]
    assert {"added a job, one process", "added a job, 1 processes"} <= figures.keys()
    for part in ("plan", "jobs", "dispatch", "recording", "worker", "outputs", "keys"):
        assert figures[f"part, {part}"] > 0


def test_large_batches_are_measured() -> None:
    plans = measure("scale.py", "plans", "--leaves", "10", "40", "--strategies", "two_level")[
        "rows"
    ]
    assert [(row["leaves"], row["aggregations"]) for row in plans] == [(10, 4), (40, 6)]
    assert all(0 < row["planned MiB"] <= row["all MiB"] for row in plans)
    (row,) = measure("scale.py", "batches", "--leaves", "7", "--strategies", "auto")["rows"]
    assert (row["leaves"], row["aggregations"]) == (7, 1)
    assert row["runner MiB"] > 0


def test_the_yardstick_divides_plain_time_by_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import bench_proof

    def samples(*seconds: float) -> list[bench_proof.Sample]:
        return [bench_proof.Sample(s, 1, 1, 1, 1) for s in seconds]

    found = bench_proof.ratios(
        {
            "plain": {"leaf": samples(10.0, 14.0), "aggregation": samples(80.0)},
            "ours": {"leaf": samples(6.0, 6.0), "aggregation": samples(20.0)},
        }
    )
    assert found == {"leaf": 2.0, "aggregation": 4.0, "batch": 104 / 32}
