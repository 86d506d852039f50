"""Sets the gauges that describe the result of the last run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.metric_table import (
    AGGREGATION_BATCH_SECONDS,
    AGGREGATION_PROOF_COUNT,
    GAS_SAVINGS_PERCENT,
    MODEL_GAS_SAVINGS_RATIO,
    PROOF_SIZE_SAVINGS_PERCENT,
    PROOF_SIZE_SAVINGS_RATIO,
    RECEIPT_BYTES,
    TPS_CURRENT,
)

if TYPE_CHECKING:
    from runner.batch.summary import Summary
    from runner.metrics import Recorder

__all__ = ["record_result"]


def record_result(recorder: Recorder, summary: Summary) -> None:
    """Set the gauges of sizes and of aggregation. A batch that only executes has none of them.

    Args:
        recorder: the metrics of the run.
        summary: the summary of its verified result.
    """
    if summary.size_savings_percent is None:
        return
    recorder.set(PROOF_SIZE_SAVINGS_PERCENT, summary.size_savings_percent)
    recorder.set(PROOF_SIZE_SAVINGS_RATIO, summary.size_savings_percent / 100)
    recorder.set(RECEIPT_BYTES, summary.bytes_before, stage="before")
    recorder.set(RECEIPT_BYTES, summary.bytes_after, stage="after")
    if summary.levels:
        recorder.inc(AGGREGATION_PROOF_COUNT, summary.leaves)
        recorder.inc(AGGREGATION_BATCH_SECONDS, summary.wall_s)
        recorder.set(TPS_CURRENT, summary.tps)
        recorder.set(GAS_SAVINGS_PERCENT, summary.model.gas_savings_percent)
        recorder.set(MODEL_GAS_SAVINGS_RATIO, summary.model.gas_savings_percent / 100)
