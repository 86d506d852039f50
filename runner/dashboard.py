"""The Grafana dashboard, from the metric table: ``python -m runner.dashboard``.

Panels say which metrics they show; units, descriptions and the filter by job and instance follow.
Counters of a batch change once, when it ends: panels over time show what came in per interval, and
shares are taken over all runs, so that the first run counts as well.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runner import generated
from runner.metric_table import METRICS
from runner.promql import read

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["DASHBOARD", "ROWS", "UID", "Panel", "Query", "expressions", "main", "render"]

DASHBOARD = generated.ROOT / "deploy" / "grafana" / "zk_batch_runner.json"
UID = "zk-batch-runner"

_SCHEMA = 41  # Grafana 12; newer ones bring it up to theirs
_WIDTH = 24
_FILTER = '{job=~"$job",instance=~"$instance"}'
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_UNITS = {
    "%": "percent",
    "ratio": "percentunit",
    "ms": "ms",
    "seconds": "s",
    "bytes": "bytes",
    "proofs/s": "suffix: proofs/s",
}
"""From the table's units to Grafana's; anything else is a plain number."""
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
                        _quantile("l2_proof_generation_duration_seconds", "kind"), "proof, {{kind}}"
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


def expressions(*, interval: str = "1m", shown: str = "1h") -> tuple[str, ...]:
    """Every expression with Grafana's variables replaced, as Prometheus can be asked.

    Args:
        interval: for ``$__rate_interval``.
        shown: the time range, for ``$__range``.
    """
    variables = {
        "$__rate_interval": interval,
        "$__range": shown,
        "$job": ".*",
        "$instance": ".*",
    }
    found = []
    for panel in _panels():
        for query in panel.queries:
            text = query.text
            for name, value in variables.items():
                text = text.replace(name, value)
            found.append(text)
    return tuple(found)


def render() -> str:
    """The dashboard as Grafana imports it, always the same."""
    dashboard = {
        "uid": UID,
        "title": "zk-batch-runner",
        "description": "Batches of zero-knowledge proofs: throughput, cache, errors, the last run. "
        "Made by `python -m runner.dashboard`.",
        "tags": ["zk-batch-runner"],
        "schemaVersion": _SCHEMA,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-24h", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": []},
        "links": [],
        "templating": {"list": _variables()},
        "panels": list(_laid_out()),
    }
    return json.dumps(dashboard, indent=2, ensure_ascii=False) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = generated.parser("dashboard", "Make the Grafana dashboard.", DASHBOARD)
    return generated.command(parser, lambda _: render(), arguments)


def _panels() -> Iterator[Panel]:
    for _, panels in ROWS:
        yield from panels


def _variables() -> list[dict[str, Any]]:
    def labels(label: str, title: str, condition: str) -> dict[str, Any]:
        # The live figures are scraped from a job of their own, which has no totals.
        names = "l2_aggregation_total|l2_parallel_workers_limit"
        query = f'label_values({{__name__=~"{names}"{condition}}}, {label})'
        return {
            "name": label,
            "label": title,
            "type": "query",
            "datasource": _SOURCE,
            "definition": query,
            "query": {"query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
            "refresh": 2,  # when the time range changes
            "sort": 1,
            "multi": True,
            "includeAll": True,
            # Also what has no such label: a pushed group may be without an instance.
            "allValue": ".*",
            "current": {"text": ["All"], "value": ["$__all"]},
        }

    datasource = {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "refresh": 1,
    }
    return [
        datasource,
        labels("job", "Job", ""),
        labels("instance", "Instance", ',job=~"$job"'),
    ]


def _laid_out() -> Iterator[dict[str, Any]]:
    """Rows and panels with their places; a line of panels breaks where it is full."""
    number, y = 0, 0
    for title, panels in ROWS:
        number += 1
        yield {
            "id": number,
            "type": "row",
            "title": title,
            "collapsed": False,
            "gridPos": {"x": 0, "y": y, "w": _WIDTH, "h": 1},
            "panels": [],
        }
        x, y, height = 0, y + 1, 4 if title == "Last run" else 8
        for panel in panels:
            if x + panel.width > _WIDTH:
                x, y = 0, y + height
            number += 1
            yield _panel(panel, number, {"x": x, "y": y, "w": panel.width, "h": height})
            x += panel.width
        y += height


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    targets = [
        {
            "refId": chr(ord("A") + at),
            "datasource": _SOURCE,
            "expr": query.text,
            "legendFormat": query.legend,
            "instant": panel.kind != "timeseries",
            "range": panel.kind == "timeseries",
        }
        for at, query in enumerate(panel.queries)
    ]
    over_time = panel.kind == "timeseries" and "$__rate_interval" in panel.queries[0].expr
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": _description(panel),
        "datasource": _SOURCE,
        "gridPos": place,
        # Counters change when a run ends: shorter intervals would only show the gaps.
        **({"interval": "1m"} if over_time else {}),
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": {**_OPTIONS[panel.kind], **panel.options},
        "targets": targets,
    }


_REDUCED = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}
_OPTIONS: dict[str, dict[str, Any]] = {
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "stat": {**_REDUCED, "textMode": "auto", "colorMode": "value", "graphMode": "area"},
    "gauge": {**_REDUCED, "showThresholdLabels": False, "showThresholdMarkers": True},
    "bargauge": {**_REDUCED, "displayMode": "basic", "orientation": "horizontal"},
    "piechart": {
        **_REDUCED,
        "pieType": "pie",
        "displayLabels": ["name", "percent"],
        "legend": {"displayMode": "table", "placement": "bottom", "values": ["value", "percent"]},
    },
}


def _defaults(panel: Panel) -> dict[str, Any]:
    low, high = panel.limits
    steps = [{"value": value, "color": color} for value, color in panel.thresholds]
    by_threshold = panel.kind in {"gauge", "stat"}
    made: dict[str, Any] = {
        "unit": _unit(panel) if panel.unit is None else panel.unit,
        "color": {"mode": "thresholds" if by_threshold else "palette-classic"},
        "thresholds": {"mode": "absolute", "steps": steps},
        "noValue": panel.empty,
    }
    made |= {name: value for name, value in (("min", low), ("max", high)) if value is not None}
    if panel.mappings:
        options = {
            value: {"text": text, "color": color, "index": at}
            for at, (value, text, color) in enumerate(panel.mappings)
        }
        made["mappings"] = [{"type": "value", "options": options}]
    if panel.kind == "timeseries":
        made["custom"] = {
            "drawStyle": "line",
            "lineWidth": 1,
            "fillOpacity": 10,
            "showPoints": "auto",
            "spanNulls": False,
            **panel.style,
        }
    return made


def _metrics(panel: Panel) -> list[str]:
    """The metrics of a panel, each once, as the table names them."""
    series = {name: metric.name for metric in METRICS for name in metric.series()}
    text = (reference for query in panel.queries for reference in read(query.text).references)
    return list(dict.fromkeys(series[reference.name] for reference in text))


def _unit(panel: Panel) -> str:
    first = next(metric for metric in METRICS if metric.name == _metrics(panel)[0])
    return _UNITS.get(first.unit, "short")


def _description(panel: Panel) -> str:
    helps = {metric.name: metric.help for metric in METRICS}
    lines = [f"`{name}`: {helps[name]}" for name in _metrics(panel)]
    return "\n\n".join([panel.note, *lines] if panel.note else lines)


if __name__ == "__main__":
    sys.exit(main())
