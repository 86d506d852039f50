"""Runs as a ledger records them, and the totals in what it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.metric_table import (
    AGGREGATION,
    AGGREGATION_PROOF_GENERATION_DURATION_SECONDS,
    LAST_RUN_SUCCESS_TIMESTAMP_SECONDS,
)
from runner.metrics import Recorder, Total

if TYPE_CHECKING:
    from pathlib import Path


DURATION = AGGREGATION_PROOF_GENERATION_DURATION_SECONDS
SUCCESS = LAST_RUN_SUCCESS_TIMESTAMP_SECONDS


def run(aggregations: int = 1, success: float = 0, **gauges: float) -> Recorder:
    recorder = Recorder()
    recorder.inc(AGGREGATION, aggregations)
    for _ in range(aggregations):
        recorder.observe(DURATION, 0.3)
    for name, value in {**gauges, SUCCESS.name: success}.items():
        recorder.restore(Total(name, {}, value))
    return recorder


def value(textfile: Path, name: str) -> float:
    (line,) = [x for x in textfile.read_text().splitlines() if x.startswith(f"{name} ")]
    return float(line.split()[1])


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}
