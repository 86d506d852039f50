"""The benchmarks run once, small, so that a change that breaks one is seen before it is needed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).resolve().parent.parent


def test_the_cost_of_metrics_is_measured(tmp_path: Path) -> None:
    script = ROOT / "benchmarks" / "metrics_cost.py"
    small = ["--rounds", "2", "--batches", "1", "--leaves", "5", "--folder", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, script, *small], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])["figures"]
    for share in ("recording", "publishing", "live figures"):
        assert 0 < figures[f"share of {share}, 5 leaves executed"] < 1
    assert figures["events recorded, 5 leaves executed"] > 0


def test_the_cost_of_the_audit_log_is_measured(tmp_path: Path) -> None:
    script = ROOT / "benchmarks" / "audit_cost.py"
    small = ["--rounds", "2", "--batches", "1", "--leaves", "5", "--folder", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, script, *small], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])["figures"]
    assert 0 < figures["share of the log, 5 leaves executed"] < 1
    assert figures["lines of a batch"] == 1 + 1 + 2 * 5 + 2  # nothing is aggregated


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
