"""The rows of the Grafana dashboard: which panels there are, and in which order they stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.alerts.panels import TARGET, Panel, Query, Row, gained, mean, quantile

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ROWS"]

_STATUS = (("0", "OK", "green"), ("1", "failed", "red"), ("130", "stopped", "orange"))
_PLAIN = {"graphMode": "none", "colorMode": "none"}
_BARS = {"drawStyle": "bars", "fillOpacity": 40}
_STACKED = {"drawStyle": "bars", "fillOpacity": 60, "lineWidth": 0, "stacking": {"mode": "normal"}}
_STEPS = {"lineInterpolation": "stepAfter"}


def _totals(title: str, width: int, legends: Mapping[str, str]) -> Panel:
    """A panel of counters as plain numbers, summed over all runs and hosts.

    Args:
        title: the panel's title.
        width: the panel's width in columns.
        legends: the legend of each counter, by the counter's name.
    """
    queries = tuple(Query(f"sum ({name}@)", legend) for name, legend in legends.items())
    return Panel(title, queries, "stat", width, unit="short", note="Over all runs.", options=_PLAIN)


_LAST_RUN = (
    Panel(
        "Status",
        (Query("l2_last_run_exit_status@"),),
        "stat",
        4,
        mappings=_STATUS,
        thresholds=((None, "green"), (1, "red")),
        options={"colorMode": "background", "graphMode": "none"},
        note="0 is success, 1 a failure, 130 a run that was stopped.",
    ),
    Panel(
        "Since the last success",
        # The value 0 means that the host never had a success; it is not a date in 1970.
        (Query("time() - (l2_last_run_success_timestamp_seconds@ > 0)"),),
        "stat",
        4,
        unit="s",
        empty="none yet",
        options=_PLAIN,
    ),
    Panel(
        "Since the last end",
        (Query("time() - (l2_last_run_completion_timestamp_seconds@ > 0)"),),
        "stat",
        4,
        unit="s",
        empty="none yet",
        options=_PLAIN,
    ),
    Panel(
        "Duration",
        (Query("l2_last_run_duration_seconds@"),),
        "stat",
        4,
        options={"colorMode": "none"},
    ),
    Panel("Leaves", (Query("l2_last_run_leaves@"),), "stat", 4, options={"colorMode": "none"}),
    Panel(
        "Made by",
        (Query("l2_build_info@", "{{version}}, {{zkvm}} {{zkvm_version}} {{receipt_kind}}"),),
        "stat",
        4,
        options={"textMode": "name", "graphMode": "none", "colorMode": "none"},
    ),
)

_THROUGHPUT = (
    Panel(
        "TPS: leaf proofs made and aggregated per second",
        (
            Query("l2_tps_current@", f"current {TARGET}"),
            Query("l2_tps_average@", f"average {TARGET}"),
        ),
        width=12,
        style=_STEPS,
        note="A batch sets it when it ends; it stays until the next one.",
    ),
    Panel(
        "Aggregations by strategy",
        (Query("sum by (strategy) (l2_aggregation_strategy_total@)", "{{strategy}}"),),
        "piechart",
        6,
        note="Over all runs.",
    ),
    _totals(
        "Totals",
        6,
        {
            "l2_aggregation_total": "batches aggregated",
            "l2_aggregation_proof_count": "leaf proofs aggregated",
            "l2_proof_generation_total": "proofs made",
            "l2_aggregation_proof_generation_total": "of them aggregation proofs",
            "l2_proof_verification_total": "receipts verified",
        },
    ),
    Panel(
        "Work per interval",
        (
            Query(gained("l2_proof_generation_total"), "proofs made"),
            Query(gained("l2_aggregation_proof_generation_total"), "of them aggregation proofs"),
            Query(gained("l2_proof_verification_total"), "receipts verified"),
            Query(gained("l2_aggregation_proof_count"), "leaf proofs aggregated"),
            Query(gained("l2_aggregation_total"), "batches aggregated"),
        ),
        width=12,
        style=_BARS,
    ),
    Panel(
        "Workers and queue",
        (
            Query("l2_parallel_workers_active@", f"active {TARGET}"),
            Query("l2_parallel_workers_limit@", f"limit {TARGET}"),
            Query("l2_queue_depth@", f"queue {TARGET}"),
        ),
        width=12,
        unit="short",
        style=_STEPS,
        note="Live where python -m runner.server is scraped; a textfile only says 0.",
    ),
)

_TIME = (
    Panel(
        "Time per phase",
        (
            Query(gained("l2_proof_generation_duration_ms_total"), "making proofs"),
            Query(gained("l2_aggregation_duration_ms_total"), "aggregating, finished batches"),
            Query(gained("l2_proof_verification_duration_ms_total"), "verifying"),
        ),
        width=12,
        style=_BARS,
        note="Summed over workers, so it can exceed the wall time.",
    ),
    Panel(
        "Mean time of one",
        (
            Query(mean("l2_proof_generation_duration_seconds"), "proof"),
            Query(mean("l2_aggregation_proof_generation_duration_seconds"), "aggregation proof"),
            Query(mean("l2_proof_verification_duration_seconds"), "verification"),
        ),
        "bargauge",
        6,
        note="Over the time shown.",
    ),
    Panel(
        "95 of 100 take less than",
        (
            Query(
                quantile("l2_proof_generation_duration_seconds", "zkvm, kind"),
                "proof, {{zkvm}} {{kind}}",
            ),
            Query(
                quantile("l2_aggregation_proof_generation_duration_seconds"), "aggregation proof"
            ),
            Query(quantile("l2_proof_verification_duration_seconds"), "verification"),
        ),
        "bargauge",
        6,
        unit="s",
        note="Over the time shown, within the histogram's buckets.",
    ),
)

_CACHE = (
    Panel(
        "Cache hit rate",
        (Query("l2_cache_hit_rate@"),),
        "gauge",
        6,
        thresholds=((None, "red"), (50, "yellow"), (80, "green")),
        limits=(0, 100),
    ),
    Panel(
        "Cache per interval",
        (
            Query(gained("l2_cache_hits_total"), "hits"),
            Query(gained("l2_cache_misses_total"), "misses"),
            Query(gained("l2_cache_evictions_total"), "evictions"),
        ),
        width=12,
        style=_STACKED,
    ),
    Panel(
        "Cache hit rate over all runs",
        (
            Query(
                "sum (l2_cache_hits_total@)"
                " / (sum (l2_cache_hits_total@) + sum (l2_cache_misses_total@))",
                "hits / look-ups",
            ),
        ),
        "stat",
        6,
        unit="percentunit",
        options=_PLAIN,
    ),
    Panel(
        "Aggregated leaf proofs: made or from the cache",
        (
            Query(gained("l2_aggregation_made_leaves_total"), "made"),
            Query(gained("l2_aggregation_cached_leaves_total"), "from the cache"),
        ),
        width=12,
        style=_STACKED,
        note="TPS counts those that were made.",
    ),
    _totals(
        "Batches aggregated, or served whole from the cache",
        12,
        {
            "l2_aggregation_total": "aggregated",
            "l2_aggregation_cached_batches_total": "from the cache",
        },
    ),
)

_SAVINGS = (
    Panel("Gas savings (model, not measured)", (Query("l2_gas_savings_percent@"),), style=_STEPS),
    Panel(
        "Proof size savings (measured)",
        (Query("l2_proof_size_savings_percent@"),),
        style=_STEPS,
    ),
    Panel("Receipt sizes", (Query("l2_receipt_bytes@", f"{{{{stage}}}} {TARGET}"),), style=_STEPS),
)

_L1 = (
    Panel(
        "L1 gas a submission",
        (
            Query(
                f"{gained('l2_l1_submission_gas_used')} / {gained('l2_l1_submissions_total')}",
                "gas a submission",
            ),
        ),
        width=8,
        unit="short",
        empty="nothing was submitted",
    ),
    _totals(
        "L1 submissions",
        8,
        {
            "l2_l1_submissions_total": "submissions",
            "l2_l1_submission_gas_used": "gas",
            "l2_l1_fees_eth_total": "ETH paid",
        },
    ),
    Panel(
        "L1 gas savings (measured)",
        (Query("l2_l1_measured_gas_savings_ratio@"),),
        width=8,
        unit="percentunit",
        style=_STEPS,
        note="The last batch's transaction against its leaves one by one, by the node's estimates.",
    ),
    Panel(
        "Batches by state",
        (Query("l2_l1_batches@", f"{{{{state}}}} {TARGET}"),),
        width=8,
        unit="short",
        style=_STEPS,
    ),
    Panel(
        "95 of 100 are sooner in a block, or confirmed",
        (
            Query(quantile("l2_l1_inclusion_seconds"), "in a block"),
            Query(quantile("l2_l1_confirmation_seconds"), "confirmed"),
        ),
        "bargauge",
        8,
        unit="s",
        note="Over the time shown, within the histogram's buckets.",
    ),
    Panel(
        "Price of gas",
        (
            Query("l2_l1_base_fee_gwei@", f"base fee {TARGET}"),
            Query("l2_l1_effective_gas_price_gwei@", f"paid {TARGET}"),
        ),
        width=8,
        unit="short",
        style=_STEPS,
        note="In gwei, at the last look.",
    ),
    Panel(
        "What went wrong per interval",
        (
            Query(gained("l2_l1_failures_total", "reason"), "{{reason}}"),
            Query(gained("l2_l1_reverts_total"), "reverted in a block"),
            Query(gained("l2_l1_reorgs_total"), "reorganised"),
            Query(gained("l2_l1_fee_bumps_total"), "fees raised"),
            Query(gained("l2_l1_rpc_errors_total", "reason"), "node: {{reason}}"),
        ),
        width=8,
        style=_BARS,
    ),
    Panel(
        "Balance, ETH",
        (Query("l2_l1_balance_eth@"),),
        "stat",
        4,
        unit="short",
        options=_PLAIN,
    ),
    Panel(
        "Since the last confirmation",
        (Query("time() - (l2_l1_last_confirmation_timestamp_seconds@ > 0)"),),
        "stat",
        4,
        unit="s",
        empty="none yet",
        options=_PLAIN,
    ),
    Panel(
        "Oldest that waits",
        (Query("time() - (l2_l1_oldest_open_timestamp_seconds@ > 0)"),),
        "stat",
        4,
        unit="s",
        empty="none waits",
        options=_PLAIN,
    ),
    Panel(
        "Since the last look",
        (Query("time() - (l2_l1_last_look_timestamp_seconds@ > 0)"),),
        "stat",
        4,
        unit="s",
        empty="never looked",
        options=_PLAIN,
    ),
)

_ERRORS = (
    Panel(
        "Errors and retries per interval",
        (
            Query(gained("l2_errors_total", "job, instance"), f"errors {TARGET}"),
            Query(gained("l2_job_retries_total", "job, instance"), f"retries {TARGET}"),
            Query(gained("l2_push_failures_total", "job, instance"), f"failed pushes {TARGET}"),
        ),
        width=16,
        style=_BARS,
        note="An attempt that fails and is made again is an error and a retry.",
    ),
    _totals(
        "Errors and retries",
        8,
        {
            "l2_errors_total": "errors",
            "l2_job_retries_total": "retries",
            "l2_push_failures_total": "failed pushes",
        },
    ),
)

_ZKVM = (
    Panel(
        "Cycles by kind",
        (Query(gained("l2_guest_cycles_total", "type"), "{{type}}"),),
        style=_BARS,
    ),
    Panel(
        "Padded cycles by guest",
        (
            Query(
                "sum by (guest) (increase("
                'l2_guest_cycles_total{type="total",job=~"$job",instance=~"$instance"}'
                "[$__rate_interval]))",
                "{{guest}}",
            ),
        ),
        style=_STACKED,
    ),
    Panel(
        "Segments",
        (
            Query(gained("l2_segments_total"), "proved"),
            Query(gained("l2_executed_segments_total"), "executed"),
        ),
        style=_STACKED,
    ),
)

_EACH_GPU = f"GPU {{{{gpu}}}} {TARGET}"

_GPUS = (
    Panel(
        "GPU utilization",
        (Query("l2_gpu_utilization_ratio@", _EACH_GPU),),
        width=12,
        limits=(0, 1),
        empty="no GPU was used",
        style=_STEPS,
    ),
    Panel(
        "GPU memory",
        (Query("l2_gpu_memory_used_bytes@", _EACH_GPU),),
        width=12,
        limits=(0, None),
        empty="no GPU was used",
        style=_STEPS,
    ),
    Panel(
        "Proofs by GPUs and by the CPU",
        (
            Query(gained("l2_gpu_proofs_total"), "by a GPU"),
            Query(
                f"{gained('l2_proof_generation_total')} - {gained('l2_gpu_proofs_total')}",
                "by the CPU",
            ),
        ),
        style=_STACKED,
    ),
    Panel(
        "Errors on GPUs per interval",
        (Query(gained("l2_cuda_errors_total", "job, instance")),),
        style=_BARS,
        note="The CPU makes the proof that failed on a GPU.",
    ),
    Panel(
        "GPUs set aside",
        (Query("l2_gpus_set_aside@"),),
        "stat",
        thresholds=((None, "green"), (1, "red")),
        options={"graphMode": "none"},
    ),
)

_LONG_RUNS = (
    Panel(
        "Runs of several segments per interval",
        (Query(gained("l2_long_runs_total", "job, instance")),),
        style=_BARS,
    ),
    Panel(
        "Segments proved one by one per interval",
        (Query(gained("l2_segment_proofs_total", "job, instance")),),
        style=_BARS,
        note="Segments from the cache are not counted.",
    ),
    Panel(
        "Time of a segment",
        (
            Query(mean("l2_segment_proof_duration_seconds"), "mean"),
            Query(quantile("l2_segment_proof_duration_seconds"), "95 of 100 take less than"),
        ),
        "bargauge",
        unit="s",
        note="Over the time shown.",
    ),
)

_CLUSTER = (
    Panel(
        "Jobs of the last run by machine",
        (Query("l2_host_jobs@", f"{{{{host}}}} {TARGET}"),),
        empty="no worker was elsewhere",
        style=_STEPS,
    ),
    Panel(
        "Bytes between workers and the store",
        (Query(gained("l2_store_bytes_total", "way"), "{{way}}"),),
        unit="bytes",
        style=_STACKED,
    ),
    Panel(
        "Errors of the store per interval",
        (Query(gained("l2_store_errors_total", "job, instance")),),
        style=_BARS,
        note="They cost no proof.",
    ),
)

_EXECUTED = (
    _totals(
        "Executed, nothing proved",
        8,
        {
            "l2_executed_batches_total": "batches",
            "l2_executed_leaves_total": "leaves",
            "l2_executed_aggregations_total": "batches aggregated",
            "l2_executed_errors_total": "errors",
            "l2_executed_retries_total": "retries",
        },
    ),
    Panel(
        "Executions per interval",
        (
            Query(gained("l2_executions_total"), "guest runs"),
            Query(gained("l2_executed_aggregation_runs_total"), "of them of the aggregator"),
            Query(gained("l2_executed_errors_total"), "errors"),
        ),
        width=8,
        style=_BARS,
    ),
    Panel(
        "Cycles executed",
        (Query(gained("l2_executed_cycles_total", "type"), "{{type}}"),),
        width=8,
        style=_BARS,
    ),
)

ROWS = (
    Row("Last run", _LAST_RUN, height=4),
    Row("Throughput", _THROUGHPUT),
    Row("Time", _TIME),
    Row("Cache", _CACHE),
    Row("Savings", _SAVINGS),
    Row("L1", _L1),
    Row("Errors", _ERRORS),
    Row("zkVM", _ZKVM),
    Row("GPUs", _GPUS),
    Row("Long runs", _LONG_RUNS),
    Row("Cluster", _CLUSTER),
    Row("Execute mode", _EXECUTED),
)
"""The dashboard from top to bottom."""
