"""The reference page says what the metric table says."""

from __future__ import annotations

from runner.alerts import reference
from runner.alerts.table import ALERTS
from runner.metric_table import METRICS
from runner.reference import main


def test_the_page_is_that_of_the_table() -> None:
    assert main(["--check"]) == 0


def test_every_metric_is_there_with_all_it_is() -> None:
    lines = reference.render().splitlines()
    for metric in METRICS:
        row = next(line for line in lines if line.startswith(f"| `{metric.name}` | {metric.type} "))
        assert metric.help in row
        assert metric.source in row
        assert f"| {metric.unit} |" in row
        for label, values in metric.labels.items():
            assert f"`{label}`" in row
            assert all(f"`{value}`" in row for value in values)


def test_alerts_are_listed_by_what_they_watch() -> None:
    page = reference.render()
    for alert in ALERTS:
        if alert.name != "TextfileScrapeError":  # watches a metric of node_exporter
            assert f"[{alert.name}](runbooks/{alert.name}.md)" in page
