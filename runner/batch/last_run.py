"""The last run's gauges."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner.batch.summary import Summary
    from runner.metrics import Recorder

__all__ = []


def _summary_metrics(recorder: Recorder, summary: Summary) -> None:
    if summary.size_savings_percent is None:
        return
    recorder.set("l2_proof_size_savings_percent", summary.size_savings_percent)
    recorder.set("l2_proof_size_savings_ratio", summary.size_savings_percent / 100)
    recorder.set("l2_receipt_bytes", summary.bytes_before, stage="before")
    recorder.set("l2_receipt_bytes", summary.bytes_after, stage="after")
    if summary.levels:
        recorder.inc("l2_aggregation_proof_count", summary.leaves)
        recorder.inc("l2_aggregation_batch_seconds_total", summary.wall_s)
        recorder.set("l2_tps_current", summary.tps)
        recorder.set("l2_gas_savings_percent", summary.model.gas_savings_percent)
        recorder.set("l2_model_gas_savings_ratio", summary.model.gas_savings_percent / 100)
