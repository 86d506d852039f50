"""What a row, a panel and a query of the Grafana dashboard are, and the queries panels share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TARGET", "Panel", "Query", "Row", "gained", "mean", "quantile"]

TARGET = "{{job}} {{instance}}"
"""A legend that names the scraped target, in Grafana's template language."""

_FILTER = '{job=~"$job",instance=~"$instance"}'


@dataclass(frozen=True, slots=True)
class Query:
    """One query of a panel.

    Attributes:
        expr: the query in PromQL; an ``@`` after a metric stands for the filter by job and
            instance that the reader of the dashboard has chosen.
        legend: the legend of the query's series, in Grafana's template language.
    """

    expr: str
    legend: str = TARGET

    @property
    def text(self) -> str:
        """The expression as it is given to Grafana."""
        return self.expr.replace("@", _FILTER)


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel of the dashboard.

    Attributes:
        title: the heading, which is unique on the dashboard.
        queries: the queries whose results the panel shows.
        kind: the type of the panel, as Grafana names it.
        width: the width in columns; a row has 24 of them.
        unit: the unit as Grafana names it; None means the unit of the first metric.
        note: a sentence that is put before the help texts of the metrics.
        thresholds: pairs of a value and the colour from that value on, in ascending order. The
            first pair has None as its value: its colour holds below all others.
        limits: the ends of the axis or the gauge; None lets Grafana choose one.
        options: options that replace those of the panel's type.
        mappings: values that are shown as a text in a colour: value, text and colour.
        empty: the text that is shown when a query returns nothing.
        style: how the lines of a panel over time are drawn.
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


@dataclass(frozen=True, slots=True)
class Row:
    """A titled row of panels, which takes as many lines as its panels need.

    Attributes:
        title: the heading of the row.
        panels: the panels from left to right.
        height: the height of each panel, in Grafana's grid units.
    """

    title: str
    panels: tuple[Panel, ...]
    height: int = 8


def gained(counter: str, by: str = "") -> str:
    """A query for what a counter gained per interval, over all targets that the filter leaves.

    Args:
        counter: the counter's name.
        by: the labels to keep apart, separated by commas; empty adds everything up.
    """
    return f"sum{by and f' by ({by})'} (increase({counter}@[$__rate_interval]))"


def mean(histogram: str) -> str:
    """A query for the mean of a histogram's observations within the time shown.

    Args:
        histogram: the histogram's name.
    """
    total, count = (f"sum (increase({histogram}_{part}@[$__range]))" for part in ("sum", "count"))
    return f"{total} / {count}"


def quantile(histogram: str, by: str = "") -> str:
    """A query for the value that 95 of 100 observations within the time shown do not exceed.

    Args:
        histogram: the histogram's name.
        by: the labels to keep apart, separated by commas; empty adds everything up.
    """
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile(0.95, sum by ({labels}) (increase({histogram}_bucket@[$__range])))"
