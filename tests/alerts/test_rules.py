"""The shipped alert rules: the contract, their runbooks, and the metrics that they name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import yaml

from runner.alerts import rules as rule_file
from runner.alerts.__main__ import main as alerts
from runner.alerts.promql import problems, read
from runner.alerts.table import ALERTS, FOREIGN, SEVERITIES
from runner.files import SHIPPED
from runner.metric_table import METRICS
from tests.alerts import cases
from tests.alerts.rule_files import NAMES, rules

if TYPE_CHECKING:
    from runner.alerts.table import Alert


def test_the_shipped_rules_are_those_of_the_configuration() -> None:
    assert alerts(["--check"]) == 0


def test_the_shipped_cases_are_those_of_the_configuration() -> None:
    found = {path.name: path.read_text() for path in cases.FOLDER.glob("*.yml")}
    assert found == cases.render(), "make alerts"


def test_the_contract() -> None:
    """The thresholds, durations and severities are those that were agreed on."""
    found = rules(rule_file.render())
    agreed = {
        "LowCacheHitRate": ("< 50", "5m", "warning"),
        "TPSDrop": ("avg_over_time(l2_tps_current[5m]) < 100", "10m", "critical"),
        "HighErrorRate": ("increase(l2_errors_total[1m]) > 10", "5m", "critical"),
        "L1GasAnomaly": ("> 500000", "15m", "warning"),
        "WorkerSaturation": ("l2_parallel_workers_limit > 0", "5m", "warning"),
        "BatchStale": ("> 2 * 3600", None, "critical"),
    }
    for name, (expr, pending, severity) in agreed.items():
        assert expr in found[name]["expr"]
        assert found[name].get("for") == pending
        assert found[name]["labels"] == {"severity": severity}


def test_every_alert_is_on_and_complete() -> None:
    found = rules(rule_file.render())
    assert list(found) == NAMES
    for name, rule in found.items():
        assert rule["labels"]["severity"] in SEVERITIES
        notes = rule["annotations"]
        assert set(notes) == {"summary", "description", "runbook_url"}
        assert all("<" not in text for text in notes.values()), "a placeholder is left"
        assert notes["runbook_url"].endswith(f"/docs/runbooks/{name}.md")


@pytest.mark.parametrize("alert", ALERTS, ids=NAMES)
def test_every_alert_has_a_runbook(alert: Alert) -> None:
    text = (SHIPPED / "docs" / "runbooks" / f"{alert.name}.md").read_text()
    assert text.startswith(f"# {alert.name}\n")
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings == ["What it means", "Look first", "Likely causes", "Resolve and silence"]
    look = text.partition("## Look first")[2].partition("## ")[0]
    commands = re.findall(r"```sh\n(.*?)```", look, re.DOTALL)
    assert len(commands) == 3
    assert f"conf/alerts/{alert.file}" in text


def test_there_are_no_other_runbooks() -> None:
    found = {path.stem for path in (SHIPPED / "docs" / "runbooks").glob("*.md")}
    assert found == set(NAMES)


def test_the_page_names_every_alert() -> None:
    page = (SHIPPED / "docs" / "alerts.md").read_text()
    for name in NAMES:
        assert f"[{name}](runbooks/{name}.md)" in page


def test_expressions_fit_the_metric_table() -> None:
    text = yaml.safe_load(rule_file.render())
    for group in text["groups"]:
        for rule in group["rules"]:
            assert problems(rule["expr"], (*METRICS, *FOREIGN)) == []
            if "alert" in rule:  # no aggregation, so that job and instance reach Alertmanager
                assert not read(rule["expr"]).functions & {"sum", "avg", "max", "min", "count"}


def test_totals_add_up_every_counter() -> None:
    found = {rule["record"]: rule["expr"] for rule in rule_file.totals()}
    counters = [metric.name for metric in METRICS if metric.type == "counter"]
    assert {f"fleet:{name}:sum" for name in counters} < set(found)


def test_queries_in_runbooks_and_docs_fit_the_metric_table() -> None:
    pages = [*(SHIPPED / "docs" / "runbooks").glob("*.md"), SHIPPED / "docs" / "alerts.md"]
    queries = []
    for page in pages:
        text = page.read_text().replace("\\\n", " ")
        queries += re.findall(r"promtool query instant \S+\s+'([^']*)'", text)
        queries += re.findall(r"`((?:sum|increase)\(.+?)`", text.replace("increase()", ""))
    assert len(queries) > 15
    for query in queries:
        assert problems(query, METRICS) == [], query


def test_links_between_pages_lead_somewhere() -> None:
    for page in [*(SHIPPED / "docs" / "runbooks").glob("*.md"), SHIPPED / "docs" / "alerts.md"]:
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
