"""The reference page of all metrics, from the table: ``python -m runner.reference``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from runner.alerts.promql import read
from runner.alerts.table import ALERTS
from runner.files import SHIPPED
from runner.metric_table import CONTRACT, METRICS, Metric

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["PAGE", "render"]

PAGE = SHIPPED / "docs" / "metrics.md"

_HEAD = """\
<!-- Made by `python -m runner.reference` from runner/metric_table.py; changes here are lost. -->

# Metrics

What every textfile, every `/metrics` page and every push has, also after a run that failed. Series
with known label values are there from the start, as 0. Prometheus adds `job` and `instance`.

Counters and histograms count over all runs; they change once a run, when it ends. Gauges say how
the last run was, but for `l2_tps_average` (all runs) and `l2_last_run_success_timestamp_seconds`
(the last run that ended well). While a batch runs, `python -m runner.server` shows the workers and
the queue.

How to ask for them: a gauge as it is; of a counter its `increase()`, over a window that is longer
than the time between two runs, or it is mostly 0. `increase()` does not see what a series starts
with, so the first run of a host is in the totals and not in an increase.
"""


def render() -> str:
    """The page, always the same for the same table."""
    extras = [metric for metric in METRICS if metric not in CONTRACT]
    parts = [
        _HEAD,
        "## Contract\n\nOther systems rely on these names: none changes or goes.\n",
        _table(CONTRACT),
        "## More\n",
        _table(extras),
        "## Histograms\n\nUpper bounds of the buckets, besides `+Inf`:\n",
        *_buckets(),
        "## Alerts\n\nWhat is watched, by metric; see [alerts.md](alerts.md).\n",
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
        if metric.type == "histogram":
            bounds = ", ".join(f"{bound:g}" for bound in metric.buckets)
            yield f"- `{metric.name}`: {bounds} {metric.unit}"
    yield ""


def _watched() -> str:
    """Alerts by metric."""
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
    """An alert's expression that can be read without its numbers."""
    expr = expr.replace("<or_absent>", "")
    return re.sub(r"<[a-z_.]+>", "1", expr)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
