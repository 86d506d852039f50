"""Counts a batch that has its result, and sets the gauges that describe the last run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import runner
from runner.metric_table import (
    AGGREGATION,
    AGGREGATION_BATCH_SECONDS,
    AGGREGATION_CACHED_BATCHES,
    AGGREGATION_CACHED_LEAVES,
    AGGREGATION_DURATION_MS,
    AGGREGATION_MADE_LEAVES,
    AGGREGATION_PROOF_COUNT,
    AGGREGATION_STRATEGY,
    BUILD_INFO,
    CACHE_HIT_RATE,
    CACHE_HIT_RATIO,
    CACHE_HITS,
    CACHE_MISSES,
    EXECUTED_AGGREGATIONS,
    EXECUTED_BATCHES,
    EXECUTED_LEAVES,
    GAS_SAVINGS_PERCENT,
    GPU_MEMORY_USED_BYTES,
    GPU_UTILIZATION_RATIO,
    LAST_RUN_COMPLETION_TIMESTAMP_SECONDS,
    LAST_RUN_DURATION_SECONDS,
    LAST_RUN_EXIT_STATUS,
    LAST_RUN_LEAVES,
    LAST_RUN_START_TIMESTAMP_SECONDS,
    LAST_RUN_SUCCESS_TIMESTAMP_SECONDS,
    LAST_RUN_WORK_PER_SECOND,
    MODEL_GAS_SAVINGS_RATIO,
    PARALLEL_WORKERS_ACTIVE,
    PARALLEL_WORKERS_LIMIT,
    PROOF_SIZE_SAVINGS_PERCENT,
    PROOF_SIZE_SAVINGS_RATIO,
    QUEUE_DEPTH,
    RECEIPT_BYTES,
    TPS_CURRENT,
)
from runner.model import ReceiptKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.batch.batch import Batch
    from runner.batch.run_info import RunInfo
    from runner.batch.summary import Summary
    from runner.metrics import Recorder
    from runner.monitoring.gpu import GpuFigures

__all__ = ["count_batch", "set_gauges"]


def count_batch(recorder: Recorder, summary: Summary) -> None:
    """Count a batch that has its result, under the names of what was done with it.

    An aggregation is one batch aggregated into one root, however many proofs its tree took. It
    counts if this run proved the root. A root from the cache is no aggregation, and neither is an
    executed one.

    Args:
        recorder: the metrics of the run.
        summary: the summary of the run.
    """
    if summary.kind == ReceiptKind.EXECUTE.value:
        recorder.inc(EXECUTED_BATCHES)
        recorder.inc(EXECUTED_LEAVES, summary.leaves)
        if summary.root_made:
            recorder.inc(EXECUTED_AGGREGATIONS)
    elif summary.root_made:
        recorder.inc(AGGREGATION)
        recorder.inc(AGGREGATION_STRATEGY, strategy=summary.strategy)
        recorder.inc(AGGREGATION_DURATION_MS, summary.aggregate_s * 1000)
        recorder.inc(AGGREGATION_PROOF_COUNT, summary.leaves)
        recorder.inc(AGGREGATION_MADE_LEAVES, summary.made_leaves)
        recorder.inc(AGGREGATION_CACHED_LEAVES, summary.distinct - summary.made_leaves)
        recorder.inc(AGGREGATION_BATCH_SECONDS, summary.wall_s)
    elif summary.levels:
        recorder.inc(AGGREGATION_CACHED_BATCHES)


def set_gauges(  # noqa: PLR0913  # all that the gauges say
    recorder: Recorder,
    batch: Batch,
    info: RunInfo,
    *,
    gpus: Sequence[GpuFigures],
    summary: Summary | None,
    exit_status: int,
) -> None:
    """Set the gauges of a run that ends now.

    Args:
        recorder: the metrics of the run.
        batch: the batch that was run.
        info: what was known of the run before its first job.
        gpus: the figures of the GPUs over the run.
        summary: the summary of the run; None if it failed.
        exit_status: the exit status of the run, which is 0 if it did not fail.
    """
    now = time.time()
    recorder.set(PARALLEL_WORKERS_ACTIVE, 0)
    for gpu in gpus:
        recorder.set(GPU_UTILIZATION_RATIO, gpu.utilization, gpu=str(gpu.index))
        recorder.set(GPU_MEMORY_USED_BYTES, gpu.memory_bytes, gpu=str(gpu.index))
    recorder.set(QUEUE_DEPTH, 0)
    recorder.set(PARALLEL_WORKERS_LIMIT, info.workers)
    recorder.set(LAST_RUN_START_TIMESTAMP_SECONDS, info.started)
    recorder.set(LAST_RUN_COMPLETION_TIMESTAMP_SECONDS, now)
    recorder.set(LAST_RUN_DURATION_SECONDS, info.elapsed_s())
    recorder.set(LAST_RUN_EXIT_STATUS, exit_status)
    recorder.set(LAST_RUN_LEAVES, len(batch.leaves))
    if exit_status == 0:
        recorder.set(LAST_RUN_SUCCESS_TIMESTAMP_SECONDS, now)
    recorder.set(
        BUILD_INFO,
        1,
        version=runner.__version__,
        zkvm=info.versions.zkvm,
        zkvm_version=info.versions.zkvm_version,
        receipt_kind=batch.prover.kind.value,
    )
    hits = recorder.value(CACHE_HITS)
    looked_up = hits + recorder.value(CACHE_MISSES)
    rate = hits / looked_up if looked_up else 0.0
    recorder.set(CACHE_HIT_RATE, 100 * rate)
    recorder.set(CACHE_HIT_RATIO, rate)
    if summary is not None:
        _set_result(recorder, summary)


def _set_result(recorder: Recorder, summary: Summary) -> None:
    """Set the gauges of sizes and of aggregation. A batch that only executes has none of them."""
    if summary.size_savings_percent is None:
        return
    recorder.set(PROOF_SIZE_SAVINGS_PERCENT, summary.size_savings_percent)
    recorder.set(PROOF_SIZE_SAVINGS_RATIO, summary.size_savings_percent / 100)
    recorder.set(RECEIPT_BYTES, summary.bytes_before, stage="before")
    recorder.set(RECEIPT_BYTES, summary.bytes_after, stage="after")
    for unit, work in summary.work.items():
        recorder.set(LAST_RUN_WORK_PER_SECOND, work.per_s, unit=unit)
    if summary.levels:
        recorder.set(TPS_CURRENT, summary.tps)
        recorder.set(GAS_SAVINGS_PERCENT, summary.model.gas_savings_percent)
        recorder.set(MODEL_GAS_SAVINGS_RATIO, summary.model.gas_savings_percent / 100)
