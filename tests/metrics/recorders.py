"""The names of all metrics, a recorder in which all of them move, and the lines of its text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from runner.metric_kinds import Counter, Gauge, Histogram, Metric
from runner.metric_table import PROOF_GENERATION_DURATION_SECONDS

if TYPE_CHECKING:
    from runner.metrics import Recorder


# These are written out and not taken from the table, because other systems rely on them.
NAMES = {
    "l2_aggregation_total": "counter",
    "l2_aggregation_strategy_total": "counter",
    "l2_aggregation_duration_ms_total": "counter",
    "l2_aggregation_proof_count": "counter",
    "l2_tps_current": "gauge",
    "l2_tps_average": "gauge",
    "l2_gas_savings_percent": "gauge",
    "l2_proof_size_savings_percent": "gauge",
    "l2_cache_hits_total": "counter",
    "l2_cache_misses_total": "counter",
    "l2_cache_evictions_total": "counter",
    "l2_cache_hit_rate": "gauge",
    "l2_proof_generation_total": "counter",
    "l2_proof_verification_total": "counter",
    "l2_proof_generation_duration_ms_total": "counter",
    "l2_proof_verification_duration_ms_total": "counter",
    "l2_parallel_workers_active": "gauge",
    "l2_l1_submission_gas_used": "counter",
    "l2_errors_total": "counter",
}
EXTRA_NAMES = {
    "l2_long_runs_total": "counter",
    "l2_segment_proofs_total": "counter",
    "l2_segment_proof_duration_seconds": "histogram",
    "l2_segment_joins_total": "counter",
    "l2_segment_join_duration_seconds": "histogram",
    "l2_aggregation_batch_seconds_total": "counter",
    "l2_aggregation_made_leaves_total": "counter",
    "l2_aggregation_cached_leaves_total": "counter",
    "l2_aggregation_cached_batches_total": "counter",
    "l2_aggregation_proof_generation_total": "counter",
    "l2_aggregation_proof_generation_duration_seconds": "histogram",
    "l2_proof_generation_duration_seconds": "histogram",
    "l2_proof_verification_duration_seconds": "histogram",
    "l2_cache_hit_ratio": "gauge",
    "l2_proof_size_savings_ratio": "gauge",
    "l2_model_gas_savings_ratio": "gauge",
    "l2_receipt_bytes": "gauge",
    "l2_guest_cycles_total": "counter",
    "l2_segments_total": "counter",
    "l2_job_retries_total": "counter",
    "l2_executed_batches_total": "counter",
    "l2_executed_leaves_total": "counter",
    "l2_executed_aggregations_total": "counter",
    "l2_executed_aggregation_runs_total": "counter",
    "l2_executions_total": "counter",
    "l2_executed_cycles_total": "counter",
    "l2_executed_segments_total": "counter",
    "l2_executed_errors_total": "counter",
    "l2_executed_retries_total": "counter",
    "l2_gpu_proofs_total": "counter",
    "l2_cuda_errors_total": "counter",
    "l2_gpus_set_aside": "gauge",
    "l2_gpu_utilization_ratio": "gauge",
    "l2_gpu_memory_used_bytes": "gauge",
    "l2_store_bytes_total": "counter",
    "l2_store_errors_total": "counter",
    "l2_host_jobs": "gauge",
    "l2_queue_depth": "gauge",
    "l2_parallel_workers_limit": "gauge",
    "l2_l1_submissions_total": "counter",
    "l2_l1_fees_eth_total": "counter",
    "l2_l1_inclusion_seconds": "histogram",
    "l2_l1_confirmation_seconds": "histogram",
    "l2_l1_batches": "gauge",
    "l2_l1_oldest_open_timestamp_seconds": "gauge",
    "l2_l1_last_confirmation_timestamp_seconds": "gauge",
    "l2_l1_last_look_timestamp_seconds": "gauge",
    "l2_l1_balance_eth": "gauge",
    "l2_l1_base_fee_gwei": "gauge",
    "l2_l1_effective_gas_price_gwei": "gauge",
    "l2_l1_measured_gas_savings_ratio": "gauge",
    "l2_l1_fee_bumps_total": "counter",
    "l2_l1_reverts_total": "counter",
    "l2_l1_reorgs_total": "counter",
    "l2_l1_failures_total": "counter",
    "l2_l1_rpc_errors_total": "counter",
    "l2_push_failures_total": "counter",
    "l2_last_run_start_timestamp_seconds": "gauge",
    "l2_last_run_completion_timestamp_seconds": "gauge",
    "l2_last_run_success_timestamp_seconds": "gauge",
    "l2_last_run_duration_seconds": "gauge",
    "l2_last_run_exit_status": "gauge",
    "l2_last_run_leaves": "gauge",
    "l2_last_run_work_per_second": "gauge",
    "l2_build_info": "gauge",
}
DURATION = PROOF_GENERATION_DURATION_SECONDS


def lines(recorder: Recorder) -> list[str]:
    return recorder.render().decode().splitlines()


def only(recorder: Recorder, name: str) -> list[str]:
    """The lines of one metric's series, in order."""
    return [
        line for line in lines(recorder) if re.match(rf"{name}(_bucket|_count|_sum)?[ {{]", line)
    ]


def move(recorder: Recorder, metric: Metric, number: float, labels: dict[str, str]) -> None:
    """Let something happen to a metric of any kind, unless it is one that is computed."""
    match metric:
        case Counter():
            recorder.inc(metric, number, **labels)
        case Gauge():
            recorder.set(metric, number, **labels)
        case Histogram():
            for seconds in (0.0, 0.3, 17.0, 5000.0):
                recorder.observe(metric, seconds, **labels)
