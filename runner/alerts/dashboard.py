"""The Grafana dashboard, made from its rows of panels and the metric table.

A panel says which metrics it shows; its unit, its description and the filter by job and instance
follow from that. The counters of a batch change once, when the batch ends. Panels over time
therefore show what a counter gained per interval, and shares are taken over all runs, so that the
first run counts as well.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from runner.alerts.promql import read
from runner.alerts.rows import ROWS
from runner.files import KEPT
from runner.metric_table import METRICS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runner.alerts.panels import Panel

__all__ = ["DASHBOARD", "UID", "expressions", "render"]

DASHBOARD = KEPT / "deploy" / "grafana" / "zk_batch_runner.json"
UID = "zk-batch-runner"

_SCHEMA = 41  # The schema of Grafana 12; newer versions convert it to their own.
_WIDTH = 24
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_UNITS = {
    "%": "percent",
    "ratio": "percentunit",
    "ms": "ms",
    "seconds": "s",
    "bytes": "bytes",
    "proofs/s": "suffix: proofs/s",
}
"""Grafana's name for each unit of the metric table; any other unit is shown as a plain number."""


def expressions(*, interval: str = "1m", shown: str = "1h") -> tuple[str, ...]:
    """Every query of the dashboard as Prometheus takes it, with Grafana's variables replaced.

    Args:
        interval: the value of ``$__rate_interval``.
        shown: the value of ``$__range``, which is the time range that the dashboard shows.
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
    """The dashboard as the JSON text that Grafana imports, always the same for the same table."""
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


def _panels() -> Iterator[Panel]:
    for row in ROWS:
        yield from row.panels


def _variables() -> list[dict[str, Any]]:
    def labels(label: str, title: str, condition: str) -> dict[str, Any]:
        # The live figures are scraped under a job of their own, which has none of the totals.
        names = "l2_aggregation_total|l2_parallel_workers_limit"
        query = f'label_values({{__name__=~"{names}"{condition}}}, {label})'
        return {
            "name": label,
            "label": title,
            "type": "query",
            "datasource": _SOURCE,
            "definition": query,
            "query": {"query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
            "refresh": 2,  # Grafana asks again when the time range changes.
            "sort": 1,
            "multi": True,
            "includeAll": True,
            # This also matches series without the label: a pushed group may have no instance.
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
    """Rows and panels with their places; a panel that no longer fits starts a new line."""
    number, y = 0, 0
    for row in ROWS:
        number += 1
        yield {
            "id": number,
            "type": "row",
            "title": row.title,
            "collapsed": False,
            "gridPos": {"x": 0, "y": y, "w": _WIDTH, "h": 1},
            "panels": [],
        }
        x, y, height = 0, y + 1, row.height
        for panel in row.panels:
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
        # Counters change only when a run ends, so shorter intervals would mostly show gaps.
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
    """The metrics that a panel shows, each named once, as the metric table names them."""
    series = {name: metric.name for metric in METRICS for name in metric.series()}
    uses = (use for query in panel.queries for use in read(query.text).references)
    return list(dict.fromkeys(series[use.name] for use in uses))


def _unit(panel: Panel) -> str:
    first = next(metric for metric in METRICS if metric.name == _metrics(panel)[0])
    return _UNITS.get(first.unit, "short")


def _description(panel: Panel) -> str:
    helps = {metric.name: metric.help for metric in METRICS}
    lines = [f"`{name}`: {helps[name]}" for name in _metrics(panel)]
    return "\n\n".join([panel.note, *lines] if panel.note else lines)
