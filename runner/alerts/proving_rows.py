"""Panels about what proves: the zkVM, the GPUs, runs of several segments, and the cluster."""

from __future__ import annotations

from runner.alerts.panels import TARGET, Panel, Query, gained, mean, quantile
from runner.alerts.styles import BARS, STACKED, STEPS

__all__ = ["CLUSTER", "GPUS", "LONG_RUNS", "ZKVM"]

ZKVM = (
    Panel(
        "Cycles by kind",
        (Query(gained("l2_guest_cycles_total", "type"), "{{type}}"),),
        style=BARS,
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
        style=STACKED,
    ),
    Panel(
        "Segments",
        (
            Query(gained("l2_segments_total"), "proved"),
            Query(gained("l2_executed_segments_total"), "executed"),
        ),
        style=STACKED,
    ),
)

_EACH_GPU = f"GPU {{{{gpu}}}} {TARGET}"

GPUS = (
    Panel(
        "GPU utilization",
        (Query("l2_gpu_utilization_ratio@", _EACH_GPU),),
        width=12,
        limits=(0, 1),
        empty="no GPU was used",
        style=STEPS,
    ),
    Panel(
        "GPU memory",
        (Query("l2_gpu_memory_used_bytes@", _EACH_GPU),),
        width=12,
        limits=(0, None),
        empty="no GPU was used",
        style=STEPS,
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
        style=STACKED,
    ),
    Panel(
        "Errors on GPUs per interval",
        (Query(gained("l2_cuda_errors_total", "job, instance")),),
        style=BARS,
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

LONG_RUNS = (
    Panel(
        "Runs of several segments per interval",
        (Query(gained("l2_long_runs_total", "job, instance")),),
        style=BARS,
    ),
    Panel(
        "Segments proved one by one per interval",
        (Query(gained("l2_segment_proofs_total", "job, instance")),),
        style=BARS,
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
    Panel(
        "Receipts of segments lifted and joined per interval",
        (Query(gained("l2_segment_joins_total", "job, instance")),),
        empty="no receipt of a segment was joined",
        style=BARS,
        note="Those from the cache are not counted.",
    ),
    Panel(
        "Time of a lift or a join",
        (
            Query(mean("l2_segment_join_duration_seconds"), "mean"),
            Query(quantile("l2_segment_join_duration_seconds"), "95 of 100 take less than"),
        ),
        "bargauge",
        unit="s",
        empty="no receipt of a segment was joined",
        note="Over the time shown.",
    ),
)

CLUSTER = (
    Panel(
        "Jobs of the last run by machine",
        (Query("l2_host_jobs@", f"{{{{host}}}} {TARGET}"),),
        empty="no worker was elsewhere",
        style=STEPS,
    ),
    Panel(
        "Bytes between workers and the store",
        (Query(gained("l2_store_bytes_total", "way"), "{{way}}"),),
        unit="bytes",
        style=STACKED,
    ),
    Panel(
        "Errors of the store per interval",
        (Query(gained("l2_store_errors_total", "job, instance")),),
        style=BARS,
        note="They cost no proof.",
    ),
)
