"""The rows of the Grafana dashboard, in the order in which they stand."""

from __future__ import annotations

from runner.alerts.l1_rows import L1, SAVINGS
from runner.alerts.panels import Row
from runner.alerts.proving_rows import CLUSTER, GPUS, LONG_RUNS, ZKVM
from runner.alerts.run_rows import CACHE, ERRORS, EXECUTED, LAST_RUN, THROUGHPUT, TIME

__all__ = ["ROWS"]

ROWS = (
    Row("Last run", LAST_RUN, height=4),
    Row("Throughput", THROUGHPUT),
    Row("Time", TIME),
    Row("Cache", CACHE),
    Row("Savings", SAVINGS),
    Row("L1", L1),
    Row("Errors", ERRORS),
    Row("zkVM", ZKVM),
    Row("GPUs", GPUS),
    Row("Long runs", LONG_RUNS),
    Row("Cluster", CLUSTER),
    Row("Execute mode", EXECUTED),
)
"""The dashboard from top to bottom."""
