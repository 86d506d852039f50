"""What the alert rules do, as promtool finds."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
import yaml

from runner.alerts import config
from runner.alerts import rules as rule_file
from runner.alerts.__main__ import main as alerts
from runner.alerts.table import ALERTS
from tests.alerts import cases
from tests.alerts.rule_files import NAMES, change, needs_promtool, only, promtool
from tests.alerts.scenarios import cases_of

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path


@pytest.mark.parametrize("name", NAMES)
def test_every_alert_has_a_case_that_fires_and_one_that_does_not(name: str) -> None:
    common, configured = config.load()
    alert = next(alert for alert in configured if alert.alert.name == name)
    histories = cases_of(alert, common.scrape_interval.seconds)
    assert {case.fires for case in histories} == {True, False}


@needs_promtool
def test_promtool_takes_the_rules() -> None:
    done = promtool("check", "rules", rule_file.RULES)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_the_rules_do_what_they_should(tmp_path: Path) -> None:
    """Each alert by itself: as one file, the rules and histories say the same, but take long."""
    text = rule_file.RULES.read_text()
    files, checked = [], set()
    for path in sorted(cases.FOLDER.glob("*.yml")):
        content = yaml.safe_load(path.read_text())
        for name in NAMES:
            tests = [
                test
                for test in content["tests"]
                if {check["alertname"] for check in test["alert_rule_test"]} == {name}
            ]
            if not tests:
                continue
            (tmp_path / f"{name}.yml").write_text(only(name, text))
            files.append(tmp_path / f"{name}-{path.name}")
            alone = {**content, "rule_files": [f"{name}.yml"], "tests": tests}
            files[-1].write_text(yaml.safe_dump(alone))
            checked |= {test["name"] for test in tests}
    shipped = {name: yaml.safe_load(text) for name, text in cases.render().items()}
    assert checked == {test["name"] for content in shipped.values() for test in content["tests"]}
    done = promtool("test", "rules", *files)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_the_shipped_histories_can_be_run_as_they_are(tmp_path: Path) -> None:
    """A person gives promtool the files themselves. The shortest history of each shows that."""
    shutil.copytree(cases.FOLDER, tmp_path / "promtool")
    for path in (tmp_path / "promtool").iterdir():
        content = yaml.safe_load(path.read_text())
        (rules,) = content["rule_files"]
        assert (cases.FOLDER / rules).resolve() == rule_file.RULES
        content["rule_files"] = [str(rule_file.RULES)]
        content["tests"] = [min(content["tests"], key=lambda test: len(str(test)))]
        path.write_text(yaml.safe_dump(content))
    done = promtool("test", "rules", *sorted((tmp_path / "promtool").iterdir()))
    assert done.returncode == 0, done.stdout + done.stderr


CHANGES = [
    ("low_cache_hit_rate.yaml", {"threshold": "60"}),
    ("low_cache_hit_rate.yaml", {"for_": "10m"}),
    ("tps_drop.yaml", {"threshold": "0.05"}),
    ("tps_drop.yaml", {"cached": "80"}),
    ("high_error_rate.yaml", {"threshold": "20"}),
    ("high_error_rate.yaml", {"window": "2m", "for_": "7m"}),
    ("error_burst.yaml", {"threshold": "100"}),
    ("l1_gas_anomaly.yaml", {"threshold": "300000", "window": "2h"}),
    ("worker_saturation.yaml", {"for_": "30m"}),
    ("gpu_set_aside.yaml", {"for_": "10m"}),
    ("batch_stale.yaml", {"interval": "20m"}),
    # A batch a day, and one a month.
    ("batch_stale.yaml", {"interval": "1d", "memory": "3d"}),
    ("batch_stale.yaml", {"interval": "30d", "memory": "90d"}),
    ("batch_failed.yaml", {"severity": "critical"}),
    ("metrics_missing.yaml", {"for_": "1h"}),
    ("metrics_missing.yaml", {"for_": "1h", "memory": "30d"}),
    ("push_failed.yaml", {"threshold": "5"}),
    ("textfile_scrape_error.yaml", {"for_": "10m"}),
]


@needs_promtool
@pytest.mark.parametrize(("file", "values"), CHANGES)
def test_cases_follow_the_configuration(
    conf: Path, tmp_path: Path, file: str, values: dict[str, str]
) -> None:
    """A changed number changes the rule and its cases, and the old rule fails the new cases."""
    for alert in ALERTS:
        if alert.file != file:
            change(conf, alert.file, enabled="false")
    change(conf, file, **values)
    name = next(alert.name for alert in ALERTS if alert.file == file)
    changed = tmp_path / "rules.yml"
    assert alerts(["--conf", str(conf), "--out", str(changed)]) == 0
    old = tmp_path / "old.yml"
    for written, whole in ((changed, changed), (old, rule_file.RULES)):
        written.write_text(only(name, whole.read_text()))
    for written, expected in ((changed, 0), (old, 1)):
        codes = []
        for case, text in cases.render(conf, str(written)).items():
            (tmp_path / case).write_text(text)
            codes.append(promtool("test", "rules", tmp_path / case).returncode)
        assert max(codes) == expected, written


def unit(
    tmp_path: Path, rules: Path = rule_file.RULES, **test: object
) -> subprocess.CompletedProcess[str]:
    """Run one of promtool's unit tests."""
    content = {
        "rule_files": [str(rules)],
        "evaluation_interval": test["interval"],
        "tests": [test],
    }
    (tmp_path / "unit.yml").write_text(yaml.safe_dump(content))
    return promtool("test", "rules", tmp_path / "unit.yml")


@needs_promtool
def test_a_host_without_any_success_is_not_dated_1970(tmp_path: Path) -> None:
    """Only a time as far from the epoch as today's shows it: the other histories begin in 1970."""
    alert = next(a for a in config.load()[1] if a.alert.name == "BatchStale")
    summary = alert.filled(alert.alert.summary)
    for label, value in (("instance", "a"), ("job", "node")):
        summary = summary.replace(f"{{{{ $labels.{label} }}}}", value)
    expected = {
        "exp_labels": {"severity": "critical", "instance": "a", "job": "node"},
        "exp_annotations": {
            "summary": summary,
            "description": "No run has succeeded yet.",
            "runbook_url": alert.runbook,
        },
    }
    series = 'l2_last_run_success_timestamp_seconds{instance="a",job="node"}'
    done = unit(
        tmp_path,
        interval="365d",
        input_series=[{"series": series, "values": "0x60"}],
        alert_rule_test=[
            {"eval_time": "14600d", "alertname": "BatchStale", "exp_alerts": [expected]}
        ],
    )
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_nodes_and_pushed_groups_add_up(tmp_path: Path) -> None:
    """There are two textfiles and two pushed groups, one of which has no instance."""
    hosts = [
        '{job="node",instance="a:9100"}',
        '{job="node",instance="b:9100"}',
        '{job="runner",instance="ci-1"}',
        '{job="runner"}',
    ]
    series = []
    for at, host in enumerate(hosts):
        one = f'{{strategy="single",{host[1:]}'
        series += [
            {"series": f"l2_aggregation_total{host}", "values": f"{5 * at}x10 {5 * at + 3}x10"},
            {"series": f"l2_aggregation_strategy_total{one}", "values": f"{at}x20"},
            {"series": f"l2_aggregation_made_leaves_total{host}", "values": "60x20"},
            {"series": f"l2_aggregation_batch_seconds_total{host}", "values": "30x20"},
            {"series": f"l2_cache_hits_total{host}", "values": f"{at}x20"},
            {"series": f"l2_cache_misses_total{host}", "values": f"{4 - at}x20"},
        ]
    expected = {
        "fleet:l2_aggregation_total:sum": ("fleet:l2_aggregation_total:sum", 42),
        "fleet:l2_aggregation_strategy_total:sum": (
            'fleet:l2_aggregation_strategy_total:sum{strategy="single"}',
            6,
        ),
        "fleet:l2_tps_average:ratio": ("fleet:l2_tps_average:ratio", 2),
        "fleet:l2_cache_hits:ratio": ("fleet:l2_cache_hits:ratio", 0.375),
    }
    done = unit(
        tmp_path,
        interval="15s",
        input_series=series,
        promql_expr_test=[
            {
                "expr": name,
                "eval_time": "4m",
                "exp_samples": [{"labels": labels, "value": value}],
            }
            for name, (labels, value) in expected.items()
        ],
    )
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_a_named_host_that_never_reported_is_missing(conf: Path, tmp_path: Path) -> None:
    change(conf, "metrics_missing.yaml", instances='["a:9100", "b:9100"]')
    assert alerts(["--conf", str(conf), "--out", str(tmp_path / "rules.yml")]) == 0
    alert = next(a for a in config.load(conf)[1] if a.alert.name == "MetricsMissing")
    expected = {
        "exp_labels": {"severity": "warning", "instance": "b:9100"},
        "exp_annotations": {
            "summary": "The runner's metrics are missing from b:9100",
            "description": alert.filled(alert.alert.description),
            "runbook_url": alert.runbook,
        },
    }
    series = 'l2_last_run_completion_timestamp_seconds{job="node",instance="a:9100"}'
    done = unit(
        tmp_path,
        tmp_path / "rules.yml",
        interval="15s",
        input_series=[{"series": series, "values": "1x200"}],
        alert_rule_test=[
            {"eval_time": "30m", "alertname": "MetricsMissing", "exp_alerts": [expected]}
        ],
    )
    assert done.returncode == 0, done.stdout + done.stderr
