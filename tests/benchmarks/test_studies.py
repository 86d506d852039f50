"""Every study runs once on something small, so that a change that breaks one is seen."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.studies import builds, plain_guests
from runner.files import SHIPPED

if TYPE_CHECKING:
    from pathlib import Path


def run(study: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"benchmarks.studies.{study}", *arguments]
    return subprocess.run(
        command, cwd=SHIPPED, capture_output=True, text=True, check=False, timeout=120
    )


def measure(study: str, *arguments: str) -> dict[str, Any]:
    """The JSON in the last line that a study prints."""
    done = run(study, *arguments)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_the_cost_of_metrics_is_measured(tmp_path: Path) -> None:
    small = ["--rounds", "2", "--batches", "1", "--leaves", "5", "--folder", str(tmp_path)]
    figures = measure("metrics_cost", *small)["figures"]
    for share in ("recording", "publishing", "live figures"):
        assert 0 < figures[f"share of {share}, 5 leaves executed"] < 1
    assert figures["events recorded, 5 leaves executed"] > 0


def test_the_cost_of_the_audit_log_is_measured(tmp_path: Path) -> None:
    small = ["--rounds", "2", "--batches", "1", "--leaves", "5", "--folder", str(tmp_path)]
    figures = measure("audit_cost", *small)["figures"]
    assert 0 < figures["share of the log, 5 leaves executed"] < 1
    assert figures["lines of a batch"] == 1 + 1 + 2 * 5 + 2  # nothing is aggregated


def test_the_runner_is_measured_against_a_loop() -> None:
    """Its own check is that both end with the same root."""
    small = ["--rounds", "1", "--leaves", "20", "--workers", "1"]
    figures = measure("runner_overhead", *small)["figures"]
    assert {"added a job, one process", "added a job, 1 processes"} <= figures.keys()
    for part in ("plan", "jobs", "dispatch", "recording", "worker", "outputs", "keys"):
        assert figures[f"part, {part}"] > 0


def test_large_batches_are_measured() -> None:
    plans = measure("scale", "plans", "--leaves", "10", "40", "--strategies", "two_level")["rows"]
    assert [(row["leaves"], row["aggregations"]) for row in plans] == [(10, 4), (40, 6)]
    assert all(0 < row["planned MiB"] <= row["all MiB"] for row in plans)
    (row,) = measure("scale", "batches", "--leaves", "7", "--strategies", "auto")["rows"]
    assert (row["leaves"], row["aggregations"]) == (7, 1)
    assert row["runner MiB"] > 0


def test_the_yardstick_divides_plain_time_by_ours() -> None:
    def samples(*seconds: float) -> list[plain_guests.Sample]:
        return [plain_guests.Sample(s, s * s, 1, 1, 1, 1) for s in seconds]

    measured = {
        "plain": {"leaf": samples(10.0, 14.0), "aggregation": samples(80.0)},
        "ours": {"leaf": samples(6.0, 6.0), "aggregation": samples(20.0)},
    }
    found = plain_guests.ratios(measured, lambda sample: sample.seconds)
    assert found == {"leaf": 2.0, "aggregation": 4.0, "batch": 104 / 32}
    found = plain_guests.ratios(measured, lambda sample: sample.processor_seconds)
    assert found == {"leaf": 296 / 72, "aggregation": 16.0, "batch": 6696 / 472}


@pytest.mark.parametrize("text", ["cuda", "=folder", "a=,SIMD", "a=/nowhere/at/all"])
def test_a_malformed_build_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not NAME=FOLDER|there is no runner_risc0"):
        builds.Build.parse(text)


def test_builds_are_compared_by_their_shortest_times(monkeypatch: pytest.MonkeyPatch) -> None:
    times = {"slow": iter([8.0, 6.0]), "fast": iter([3.0, 4.0])}

    def fake_round(self: builds.Build, children: int, threads: int) -> dict[str, float]:
        spent = next(times[self.name])
        names = ("leaf_s", "leaf_processor_s", "aggregation_s", "aggregation_processor_s")
        return dict.fromkeys(names, spent)

    monkeypatch.setattr(builds.Build, "round", fake_round)
    both = [builds.Build.parse(f"{name}=,RUNNER_SIMD=off") for name in times]
    found = builds.compare(both, rounds=2, children=8, threads=0)
    assert [found[name]["leaf_s"] for name in times] == [6.0, 3.0]
    assert found["fast"]["times_as_fast"] == {"leaf_s": 2.0, "aggregation_s": 2.0}


@pytest.mark.real
def test_provers_are_measured_side_by_side(tmp_path: Path) -> None:
    out = tmp_path / "provers.json"
    done = run("provers", "--save", str(out), "--provers", "composite", "--leaves", "2")
    assert done.returncode == 0, done.stderr
    [row] = json.loads(out.read_text(encoding="utf-8"))["rows"]
    assert (row["prover"], row["leaves"], row["levels"]) == ("composite", 2, 1)
    assert row["after"] > row["before"] > 0  # a composite root carries its leaves' receipts
    assert row["leaf_s"] < row["aggregate_s"]
    assert row["before_ms"] > 0
