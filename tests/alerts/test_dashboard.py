"""The dashboard: what Grafana gets, and whether every expression can be right."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from runner import dashboard as command
from runner.alerts import dashboard
from runner.alerts.promql import problems, read
from runner.metric_table import CONTRACT, METRICS

if TYPE_CHECKING:
    from pathlib import Path

MADE: dict[str, Any] = json.loads(dashboard.render())
PANELS: dict[str, dict[str, Any]] = {
    panel["title"]: panel for panel in MADE["panels"] if panel["type"] != "row"
}


def exprs(title: str) -> list[str]:
    return [target["expr"] for target in PANELS[title]["targets"]]


def test_the_shipped_dashboard_is_that_of_the_table() -> None:
    assert command.main(["--check"]) == 0
    assert dashboard.render() == dashboard.render()


def test_grafana_knows_what_it_is() -> None:
    assert MADE["uid"] == "zk-batch-runner"
    assert MADE["schemaVersion"] >= 39
    assert "id" not in MADE  # Grafana gives one
    variables = {variable["name"]: variable for variable in MADE["templating"]["list"]}
    assert list(variables) == ["datasource", "job", "instance"]
    for name in ("job", "instance"):
        assert variables[name]["allValue"] == ".*"  # a pushed group may have no instance
        assert variables[name]["multi"]


@pytest.mark.parametrize("expr", dashboard.expressions())
def test_expressions_fit_the_metric_table(expr: str) -> None:
    assert problems(expr, METRICS) == []


def test_every_use_of_a_metric_is_filtered() -> None:
    for panel in PANELS.values():
        for target in panel["targets"]:
            for reference in read(target["expr"]).references:
                labels = {matcher.label: matcher.value for matcher in reference.matchers}
                assert labels["job"] == "$job"
                assert labels["instance"] == "$instance"


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool on PATH")
def test_prometheus_takes_every_expression(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{at}", "expr": expr} for at, expr in enumerate(dashboard.expressions())
    ]
    (tmp_path / "rules.yml").write_text(
        yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]})
    )
    done = subprocess.run(
        ["promtool", "check", "rules", str(tmp_path / "rules.yml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_variable_of_grafana_is_left_for_prometheus() -> None:
    assert not [expr for expr in dashboard.expressions() if "$" in expr]


def test_every_name_of_the_contract_is_shown() -> None:
    shown = {r.name for expr in dashboard.expressions() for r in read(expr).references}
    assert {metric.name for metric in CONTRACT} <= shown


def test_every_metric_is_shown_but_those_that_say_what_others_do() -> None:
    shown = {r.name for expr in dashboard.expressions() for r in read(expr).references}
    left_out = {metric.name for metric in METRICS if not shown & set(metric.series())}
    assert left_out == {
        "l2_aggregation_batch_seconds_total",  # it divides the leaf proofs in l2_tps_average
        "l2_cache_hit_ratio",
        "l2_proof_size_savings_ratio",
        "l2_model_gas_savings_ratio",
        "l2_last_run_start_timestamp_seconds",  # the end and the duration are shown
    }


def test_gpus_are_told_apart_and_their_share_of_the_proofs_is_shown() -> None:
    for title, unit in (("GPU utilization", "percentunit"), ("GPU memory", "bytes")):
        panel = PANELS[title]
        assert panel["targets"][0]["legendFormat"] == "GPU {{gpu}} {{job}} {{instance}}"
        assert panel["fieldConfig"]["defaults"]["unit"] == unit
    by_gpu, by_cpu = exprs("Proofs by GPUs and by the CPU")
    assert [use.name for use in read(by_gpu).references] == ["l2_gpu_proofs_total"]
    both = ["l2_proof_generation_total", "l2_gpu_proofs_total"]
    assert [use.name for use in read(by_cpu).references] == both
    steps = PANELS["GPUs set aside"]["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert steps[-1] == {"value": 1, "color": "red"}


def test_ids_and_titles_are_unique() -> None:
    ids = [panel["id"] for panel in MADE["panels"]]
    titles = [panel["title"] for panel in MADE["panels"]]
    assert len(set(ids)) == len(ids)
    assert len(set(titles)) == len(titles)
    for panel in PANELS.values():
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references)


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in MADE["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


def test_every_panel_says_what_it_shows() -> None:
    helps = {metric.name: metric.help for metric in METRICS}
    series = {name: metric.name for metric in METRICS for name in metric.series()}
    for panel in PANELS.values():
        assert panel["fieldConfig"]["defaults"]["unit"]
        for target in panel["targets"]:
            assert target["legendFormat"]
            for reference in read(target["expr"]).references:
                assert helps[series[reference.name]] in panel["description"]


def test_the_panels_that_were_agreed_on() -> None:
    over_time = exprs("TPS: leaf proofs made and aggregated per second")
    assert [read(expr).references[0].name for expr in over_time] == [
        "l2_tps_current",
        "l2_tps_average",
    ]
    assert PANELS["Aggregations by strategy"]["type"] == "piechart"
    gauge = PANELS["Cache hit rate"]
    assert gauge["type"] == "gauge"
    defaults = gauge["fieldConfig"]["defaults"]
    assert (defaults["unit"], defaults["min"], defaults["max"]) == ("percent", 0, 100)
    assert defaults["thresholds"]["steps"] == [
        {"value": None, "color": "red"},
        {"value": 50, "color": "yellow"},
        {"value": 80, "color": "green"},
    ]
    for title, panel in PANELS.items():
        if any("gas_savings" in expr for expr in exprs(title)):
            measured = any("measured" in expr for expr in exprs(title))
            assert ("measured" if measured else "model") in title
            says = "Measured:" if measured else "Model, not measured"
            assert says in panel["description"]


def test_units_follow_the_table() -> None:
    units = {title: panel["fieldConfig"]["defaults"]["unit"] for title, panel in PANELS.items()}
    assert units["Time per phase"] == "ms"
    assert units["Receipt sizes"] == "bytes"
    assert units["Duration"] == "s"
