"""The reference page of all metrics, made from the metric table and the alert table."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from runner.alerts.promql import read
from runner.alerts.table import ALERTS
from runner.files import KEPT
from runner.metric_kinds import Histogram, Metric
from runner.metric_table import CONTRACT, METRICS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["PAGE", "render"]

PAGE = KEPT / "docs" / "metrics.md"

_HEAD = """\
<!-- Made by `python -m runner.reference` from runner/metric_table.py; changes here are lost. -->

# Metrics

Every textfile, every `/metrics` page and every push contains these metrics, also after a run that
failed. A series whose label values the tables list is there from the start, with the value 0. Any
other value, such as the name of a strategy of your own, brings its series when it first occurs.
Prometheus adds the labels `job` and `instance`.

Counters and histograms count over all runs, and change once a run, when it ends. Gauges describe
the last run. The exceptions are `l2_tps_average`, which covers all runs, and
`l2_last_run_success_timestamp_seconds`, which belongs to the last run that succeeded. While a batch
runs, `python -m runner.server` shows its workers and its queue.

To query a gauge, use it as it is. To query a counter, take its `increase()` over a window that is
longer than the time between two runs; over a shorter window it is mostly 0. `increase()` does not
see the value with which a series starts, so the first run of a host is in the totals but not in an
increase.
"""


def render() -> str:
    """The page as Markdown, which is always the same for the same tables."""
    extras = [metric for metric in METRICS if metric not in CONTRACT]
    parts = [
        _HEAD,
        "## Contract\n\nOther systems rely on these names, so none is changed or removed.\n",
        _table(CONTRACT),
        "## More\n",
        _table(extras),
        "## Histograms\n\nThese are the upper bounds of the buckets, besides `+Inf`:\n",
        *_buckets(),
        "## Alerts",
        "",
        "The table lists alerts by the metrics they watch; see [alerts.md](alerts.md).\n",
        _watched(),
    ]
    return "\n".join(parts)


def _table(metrics: Iterable[Metric]) -> str:
    lines = ["| metric | type | unit | meaning | from |", "| --- | --- | --- | --- | --- |"]
    for metric in metrics:
        labels = "; ".join(_label(name, values) for name, values in metric.labels.items())
        meaning = _cell(metric.help) + (f"<br>{_cell(labels)}" if labels else "")
        cells = (f"`{metric.name}`", metric.type, metric.unit, meaning, _cell(metric.source))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _label(name: str, values: tuple[str, ...]) -> str:
    return f"`{name}`: {', '.join(f'`{value}`' for value in values) or 'any'}"


def _buckets() -> Iterator[str]:
    for metric in METRICS:
        if isinstance(metric, Histogram):
            bounds = ", ".join(f"{bound:g}" for bound in metric.buckets)
            yield f"- `{metric.name}`: {bounds} {metric.unit}"
    yield ""


def _watched() -> str:
    """The table of alerts by the metric that they watch."""
    by_metric: dict[str, list[str]] = {}
    for alert in ALERTS:
        text = _unfilled(alert.expr)
        for reference in read(text).references:
            names = by_metric.setdefault(reference.name, [])
            if alert.name not in names:
                names.append(alert.name)
    lines = ["| metric | alerts |", "| --- | --- |"]
    for metric in METRICS:
        if found := by_metric.get(metric.name):
            links = ", ".join(f"[{name}](runbooks/{name}.md)" for name in found)
            lines.append(f"| `{metric.name}` | {links} |")
    return "\n".join(lines) + "\n"


def _unfilled(expr: str) -> str:
    """An alert's expression in which placeholders are replaced, so that it is PromQL."""
    expr = expr.replace("<or_absent>", "")
    return re.sub(r"<[a-z_.]+>", "1", expr)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
