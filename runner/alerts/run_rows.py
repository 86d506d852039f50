"""Panels about runs: how the last one ended, how fast they are, and what the cache gave."""

from __future__ import annotations

from runner.alerts.panels import TARGET, Panel, Query, gained, mean, quantile
from runner.alerts.styles import BARS, PLAIN, STACKED, STEPS, totals

__all__ = ["CACHE", "ERRORS", "EXECUTED", "LAST_RUN", "THROUGHPUT", "TIME"]

_STATUS = (("0", "OK", "green"), ("1", "failed", "red"), ("130", "stopped", "orange"))

LAST_RUN = (
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
        options=PLAIN,
    ),
    Panel(
        "Since the last end",
        (Query("time() - (l2_last_run_completion_timestamp_seconds@ > 0)"),),
        "stat",
        4,
        unit="s",
        empty="none yet",
        options=PLAIN,
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

THROUGHPUT = (
    Panel(
        "TPS: leaf proofs made and aggregated per second",
        (
            Query("l2_tps_current@", f"current {TARGET}"),
            Query("l2_tps_average@", f"average {TARGET}"),
        ),
        width=12,
        style=STEPS,
        note="A batch sets it when it ends; it stays until the next one.",
    ),
    Panel(
        "Aggregations by strategy",
        (Query("sum by (strategy) (l2_aggregation_strategy_total@)", "{{strategy}}"),),
        "piechart",
        6,
        note="Over all runs.",
    ),
    totals(
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
        style=BARS,
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
        style=STEPS,
        note="Live where python -m runner.server is scraped; a textfile only says 0.",
    ),
    Panel(
        "Work a second in the guest's own unit",
        (Query("l2_last_run_work_per_second@", f"{{{{unit}}}} {TARGET}"),),
        width=24,
        unit="short",
        style=STEPS,
        empty="No guest's config names a unit of work.",
    ),
)

TIME = (
    Panel(
        "Time per phase",
        (
            Query(gained("l2_proof_generation_duration_ms_total"), "making proofs"),
            Query(gained("l2_aggregation_duration_ms_total"), "aggregating, finished batches"),
            Query(gained("l2_proof_verification_duration_ms_total"), "verifying"),
        ),
        width=12,
        style=BARS,
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

CACHE = (
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
        style=STACKED,
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
        options=PLAIN,
    ),
    Panel(
        "Aggregated leaf proofs: made or from the cache",
        (
            Query(gained("l2_aggregation_made_leaves_total"), "made"),
            Query(gained("l2_aggregation_cached_leaves_total"), "from the cache"),
        ),
        width=12,
        style=STACKED,
        note="TPS counts those that were made.",
    ),
    totals(
        "Batches aggregated, or served whole from the cache",
        12,
        {
            "l2_aggregation_total": "aggregated",
            "l2_aggregation_cached_batches_total": "from the cache",
        },
    ),
)

ERRORS = (
    Panel(
        "Errors and retries per interval",
        (
            Query(gained("l2_errors_total", "job, instance"), f"errors {TARGET}"),
            Query(gained("l2_job_retries_total", "job, instance"), f"retries {TARGET}"),
            Query(gained("l2_push_failures_total", "job, instance"), f"failed pushes {TARGET}"),
        ),
        width=16,
        style=BARS,
        note="An attempt that fails and is made again is an error and a retry.",
    ),
    totals(
        "Errors and retries",
        8,
        {
            "l2_errors_total": "errors",
            "l2_job_retries_total": "retries",
            "l2_push_failures_total": "failed pushes",
        },
    ),
)

EXECUTED = (
    totals(
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
        style=BARS,
    ),
    Panel(
        "Cycles executed",
        (Query(gained("l2_executed_cycles_total", "type"), "{{type}}"),),
        width=8,
        style=BARS,
    ),
)
