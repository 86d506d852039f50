"""What the Grafana dashboard shows: rows of panels over the metric table's names."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ROWS", "Panel", "Query"]

_FILTER = '{job=~"$job",instance=~"$instance"}'
_PLACE = "{{job}} {{instance}}"
_STATUS = (("0", "OK", "green"), ("1", "failed", "red"), ("130", "stopped", "orange"))


@dataclass(frozen=True, slots=True)
class Query:
    """One query of a panel.

    Attributes:
        expr: PromQL; ``@`` after a metric stands for the filter by job and instance.
        legend: of its series, in Grafana's template language.
    """

    expr: str
    legend: str = _PLACE

    @property
    def text(self) -> str:
        """The expression as Grafana gets it."""
        return self.expr.replace("@", _FILTER)


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel.

    Attributes:
        title: unique on the dashboard.
        queries: what it shows.
        kind: Grafana's name for the type.
        width: of 24 columns.
        unit: Grafana's; None takes that of the first metric.
        note: goes before the metrics' help.
        thresholds: value and colour, in ascending order, after the colour below the first.
        limits: of the axis or the gauge.
        options: that replace those of the type.
        mappings: values with text and colour.
        empty: what stands there when nothing comes back.
        style: of lines.
    """

    title: str
    queries: tuple[Query, ...]
    kind: str = "timeseries"
    width: int = 8
    unit: str | None = None
    note: str = ""
    thresholds: tuple[tuple[float | None, str], ...] = ((None, "green"),)
    limits: tuple[float | None, float | None] = (None, None)
    options: Mapping[str, Any] = field(default_factory=dict)
    mappings: tuple[tuple[str, str, str], ...] = ()
    empty: str = "no data"
    style: Mapping[str, Any] = field(default_factory=dict)


def _came_in(metric: str, by: str = "") -> str:
    """What a counter gained per interval, over all that the filter leaves."""
    return f"sum{by and f' by ({by})'} (increase({metric}@[$__rate_interval]))"


def _mean(total: str, count: str) -> str:
    return f"sum (increase({total}@[$__range])) / sum (increase({count}@[$__range]))"


def _quantile(histogram: str, by: str = "") -> str:
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile(0.95, sum by ({labels}) (increase({histogram}_bucket@[$__range])))"


_BARS = {"drawStyle": "bars", "fillOpacity": 60, "lineWidth": 0, "stacking": {"mode": "normal"}}
_STEPS = {"lineInterpolation": "stepAfter"}

ROWS: tuple[tuple[str, tuple[Panel, ...]], ...] = (
    (
        "Last run",
        (
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
                # 0 is a host that never had one, not 1970.
                (Query("time() - (l2_last_run_success_timestamp_seconds@ > 0)"),),
                "stat",
                4,
                unit="s",
                empty="none yet",
                options={"graphMode": "none", "colorMode": "none"},
            ),
            Panel(
                "Since the last end",
                (Query("time() - (l2_last_run_completion_timestamp_seconds@ > 0)"),),
                "stat",
                4,
                unit="s",
                empty="none yet",
                options={"graphMode": "none", "colorMode": "none"},
            ),
            Panel(
                "Duration",
                (Query("l2_last_run_duration_seconds@"),),
                "stat",
                4,
                options={"colorMode": "none"},
            ),
            Panel(
                "Leaves",
                (Query("l2_last_run_leaves@"),),
                "stat",
                4,
                options={"colorMode": "none"},
            ),
            Panel(
                "Made by",
                (
                    Query(
                        "l2_build_info@", "{{version}}, {{zkvm}} {{zkvm_version}} {{receipt_kind}}"
                    ),
                ),
                "stat",
                4,
                options={"textMode": "name", "graphMode": "none", "colorMode": "none"},
            ),
        ),
    ),
    (
        "Throughput",
        (
            Panel(
                "TPS: leaf proofs aggregated per second",
                (
                    Query("l2_tps_current@", f"current {_PLACE}"),
                    Query("l2_tps_average@", f"average {_PLACE}"),
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
            Panel(
                "Totals",
                (
                    Query("sum (l2_aggregation_total@)", "aggregations"),
                    Query("sum (l2_aggregation_proof_count@)", "leaf proofs aggregated"),
                    Query("sum (l2_proof_generation_total@)", "proofs made"),
                    Query("sum (l2_proof_verification_total@)", "receipts verified"),
                    Query("sum (l2_executions_total@)", "runs in execute mode"),
                ),
                "stat",
                6,
                unit="short",
                note="Over all runs.",
                options={"graphMode": "none", "colorMode": "none"},
            ),
            Panel(
                "Work per interval",
                (
                    Query(_came_in("l2_proof_generation_total"), "proofs made"),
                    Query(_came_in("l2_aggregation_total"), "of them aggregations"),
                    Query(_came_in("l2_proof_verification_total"), "receipts verified"),
                    Query(_came_in("l2_executions_total"), "execute only"),
                    Query(_came_in("l2_aggregation_proof_count"), "leaf proofs aggregated"),
                ),
                width=12,
                style={"drawStyle": "bars", "fillOpacity": 40},
            ),
            Panel(
                "Workers and queue",
                (
                    Query("l2_parallel_workers_active@", f"active {_PLACE}"),
                    Query("l2_parallel_workers_limit@", f"limit {_PLACE}"),
                    Query("l2_queue_depth@", f"queue {_PLACE}"),
                ),
                width=12,
                unit="short",
                style=_STEPS,
                note="Live where python -m runner.server is scraped; a textfile only says 0.",
            ),
        ),
    ),
    (
        "Time",
        (
            Panel(
                "Time per phase",
                (
                    Query(_came_in("l2_proof_generation_duration_ms_total"), "making proofs"),
                    Query(_came_in("l2_aggregation_duration_ms_total"), "of them aggregations"),
                    Query(_came_in("l2_proof_verification_duration_ms_total"), "verifying"),
                ),
                width=12,
                style={"drawStyle": "bars", "fillOpacity": 40},
                note="Summed over workers, so it can exceed the wall time.",
            ),
            Panel(
                "Mean time of one",
                (
                    Query(
                        _mean(
                            "l2_proof_generation_duration_seconds_sum",
                            "l2_proof_generation_duration_seconds_count",
                        ),
                        "proof",
                    ),
                    Query(
                        _mean(
                            "l2_aggregation_duration_seconds_sum",
                            "l2_aggregation_duration_seconds_count",
                        ),
                        "aggregation",
                    ),
                    Query(
                        _mean(
                            "l2_proof_verification_duration_seconds_sum",
                            "l2_proof_verification_duration_seconds_count",
                        ),
                        "verification",
                    ),
                ),
                "bargauge",
                6,
                note="Over the time shown.",
            ),
            Panel(
                "95 of 100 take less than",
                (
                    Query(
                        _quantile("l2_proof_generation_duration_seconds", "zkvm, kind"),
                        "proof, {{zkvm}} {{kind}}",
                    ),
                    Query(_quantile("l2_aggregation_duration_seconds"), "aggregation"),
                    Query(_quantile("l2_proof_verification_duration_seconds"), "verification"),
                ),
                "bargauge",
                6,
                unit="s",
                note="Over the time shown, within the histogram's buckets.",
            ),
        ),
    ),
    (
        "Cache",
        (
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
                    Query(_came_in("l2_cache_hits_total"), "hits"),
                    Query(_came_in("l2_cache_misses_total"), "misses"),
                    Query(_came_in("l2_cache_evictions_total"), "evictions"),
                ),
                width=12,
                style=_BARS,
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
                options={"graphMode": "none", "colorMode": "none"},
            ),
        ),
    ),
    (
        "Savings",
        (
            Panel(
                "Gas savings (model, not measured)",
                (Query("l2_gas_savings_percent@"),),
                width=8,
                style=_STEPS,
            ),
            Panel(
                "Proof size savings (measured)",
                (Query("l2_proof_size_savings_percent@"),),
                width=8,
                style=_STEPS,
            ),
            Panel(
                "Receipt sizes",
                (Query("l2_receipt_bytes@", "{{stage}} {{job}} {{instance}}"),),
                width=8,
                style=_STEPS,
            ),
            Panel(
                "L1 gas a submission",
                (
                    Query(
                        "sum (increase(l2_l1_submission_gas_used@[$__rate_interval]))"
                        " / sum (increase(l2_l1_submissions_total@[$__rate_interval]))",
                        "gas a submission",
                    ),
                ),
                width=12,
                unit="short",
                empty="nothing was submitted",
            ),
            Panel(
                "L1 submissions",
                (
                    Query("sum (l2_l1_submissions_total@)", "submissions"),
                    Query("sum (l2_l1_submission_gas_used@)", "gas"),
                ),
                "stat",
                12,
                unit="short",
                note="Over all runs.",
                options={"graphMode": "none", "colorMode": "none"},
            ),
        ),
    ),
    (
        "Errors",
        (
            Panel(
                "Errors and retries per interval",
                (
                    Query(_came_in("l2_errors_total", "job, instance"), f"errors {_PLACE}"),
                    Query(_came_in("l2_job_retries_total", "job, instance"), f"retries {_PLACE}"),
                    Query(
                        _came_in("l2_push_failures_total", "job, instance"),
                        f"failed pushes {_PLACE}",
                    ),
                ),
                width=16,
                style={"drawStyle": "bars", "fillOpacity": 40},
                note="An attempt that fails and is made again is an error and a retry.",
            ),
            Panel(
                "Errors and retries",
                (
                    Query("sum (l2_errors_total@)", "errors"),
                    Query("sum (l2_job_retries_total@)", "retries"),
                    Query("sum (l2_push_failures_total@)", "failed pushes"),
                ),
                "stat",
                8,
                note="Over all runs.",
                options={"graphMode": "none", "colorMode": "none"},
            ),
        ),
    ),
    (
        "zkVM",
        (
            Panel(
                "Cycles by kind",
                (Query(_came_in("l2_guest_cycles_total", "type"), "{{type}}"),),
                width=8,
                style={"drawStyle": "bars", "fillOpacity": 40},
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
                width=8,
                style=_BARS,
            ),
            Panel(
                "Segments",
                (Query(_came_in("l2_segments_total"), "segments"),),
                width=8,
                style=_BARS,
            ),
        ),
    ),
)
"""The dashboard from top to bottom."""
