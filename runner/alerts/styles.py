"""How panels look that look alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.alerts.panels import Panel, Query

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BARS", "PLAIN", "STACKED", "STEPS", "totals"]

PLAIN = {"graphMode": "none", "colorMode": "none"}
BARS = {"drawStyle": "bars", "fillOpacity": 40}
STACKED = {"drawStyle": "bars", "fillOpacity": 60, "lineWidth": 0, "stacking": {"mode": "normal"}}
STEPS = {"lineInterpolation": "stepAfter"}


def totals(title: str, width: int, legends: Mapping[str, str]) -> Panel:
    """A panel of counters as plain numbers, summed over all runs and hosts.

    Args:
        title: the panel's title.
        width: the panel's width in columns.
        legends: the legend of each counter, by the counter's name.
    """
    queries = tuple(Query(f"sum ({name}@)", legend) for name, legend in legends.items())
    return Panel(title, queries, "stat", width, unit="short", note="Over all runs.", options=PLAIN)
