"""Alerts: what the configuration may say, the rules it gives, and what they do in promtool."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from runner.alerts import config
from runner.alerts import rules as rule_file
from runner.alerts.__main__ import main as alerts
from runner.alerts.promql import problems, read
from runner.alerts.table import ALERTS, FOREIGN, SEVERITIES
from runner.errors import InputError
from runner.files import SHIPPED
from runner.metric_table import METRICS
from tests.alerts import cases

if TYPE_CHECKING:
    from runner.alerts.table import Alert

PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="no promtool on PATH; apt-get install prometheus has it"
)

NAMES = [alert.name for alert in ALERTS]


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    assert PROMTOOL is not None
    return subprocess.run(
        [PROMTOOL, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=300
    )


def rules(text: str) -> dict[str, dict[str, Any]]:
    """The alerting rules of a rule file, by name."""
    groups = yaml.safe_load(text)["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """A copy of conf/alerts."""
    return Path(shutil.copytree(config.CONF, tmp_path / "conf"))


def change(conf: Path, file: str, **values: str) -> None:
    """Give other values, written as YAML, to keys of a configuration file."""
    path = conf / file
    text = path.read_text()
    for name, value in values.items():
        key = name.rstrip("_")  # for_ stands for the key `for`
        text, found = re.subn(rf"^{key}: .*$", f"{key}: {value}", text, flags=re.MULTILINE)
        assert found == 1, f"{key} in {file}"
    path.write_text(text)


# -- the shipped configuration ----------------------------------------------------------------


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


# -- what the configuration may say -----------------------------------------------------------


def test_rendering_is_the_same_every_time(conf: Path) -> None:
    assert rule_file.render(conf) == rule_file.render(conf) == rule_file.render()


def test_an_alert_can_be_turned_off(conf: Path) -> None:
    change(conf, "tps_drop.yaml", enabled="false")
    assert set(NAMES) - set(rules(rule_file.render(conf))) == {"TPSDrop"}
    for alert in ALERTS:
        if alert.name != "TPSDrop":
            change(conf, alert.file, enabled="false")
    assert rules(rule_file.render(conf)) == {}


def test_numbers_and_durations_arrive_as_promql_reads_them(conf: Path) -> None:
    change(conf, "high_error_rate.yaml", threshold="2.5", window="90s", for_="1h30m")
    change(conf, "l1_gas_anomaly.yaml", threshold="1.0e+7")
    change(conf, "batch_stale.yaml", interval="1d", intervals="1.5", memory="2w")
    change(conf, "metrics_missing.yaml", instances='[a:9100, "b\\"c"]')
    found = rules(rule_file.render(conf))
    assert found["HighErrorRate"]["expr"] == "increase(l2_errors_total[1m30s]) > 2.5"
    assert found["HighErrorRate"]["for"] == "1h30m"
    assert found["L1GasAnomaly"]["expr"].endswith("> 10000000")
    assert "[14d]" in found["BatchStale"]["expr"]
    assert "> 1.5 * 86400" in found["BatchStale"]["expr"]
    assert (
        'absent(l2_last_run_completion_timestamp_seconds{instance="a:9100"})'
        in (found["MetricsMissing"]["expr"])
    )
    assert '{instance="b\\"c"}' in found["MetricsMissing"]["expr"]


BAD = [
    ("high_error_rate.yaml", {"threshold": "ten"}, "threshold = 'ten': not a number"),
    ("high_error_rate.yaml", {"threshold": "true"}, "threshold = True: not a number"),
    ("high_error_rate.yaml", {"threshold": "-1"}, "threshold = -1: out of range; give 0 to 1e+15"),
    ("high_error_rate.yaml", {"threshold": ".nan"}, "threshold = nan: out of range"),
    ("high_error_rate.yaml", {"threshold": ".inf"}, "threshold = inf: out of range"),
    ("high_error_rate.yaml", {"threshold": "1" + "0" * 400}, "out of range; give 0 to 1e+15"),
    ("high_error_rate.yaml", {"threshold": "1" + "0" * 5000}, "not YAML"),
    ("high_error_rate.yaml", {"threshold": "1e9"}, "give one like 10 or 0.5, without quotes"),
    ("high_error_rate.yaml", {"threshold": "null"}, "threshold = None: not a number"),
    ("high_error_rate.yaml", {"threshold": "[1]"}, "threshold = [1]: not a number"),
    ("low_cache_hit_rate.yaml", {"threshold": "101"}, "threshold = 101: out of range; give 0 to"),
    ("high_error_rate.yaml", {"for_": "5"}, "for = 5: not a duration; give one like 30s"),
    ("high_error_rate.yaml", {"for_": "5 minutes"}, "for = '5 minutes': not a duration"),
    ("high_error_rate.yaml", {"for_": "5m1h"}, "for = '5m1h': not a duration"),
    ("high_error_rate.yaml", {"for_": "-5m"}, "for = '-5m': not a duration"),
    ("high_error_rate.yaml", {"for_": "''"}, "for = '': not a duration"),
    ("high_error_rate.yaml", {"for_": "1" + "0" * 5000 + "h"}, "too long"),
    ("high_error_rate.yaml", {"window": "0s"}, "window = '0s': no time at all"),
    (
        "high_error_rate.yaml",
        {"window": "20s"},
        "increase() needs two samples, 15s apart; give 30s",
    ),
    ("low_cache_hit_rate.yaml", {"window": "5m"}, "not longer than for = 5m"),
    ("batch_stale.yaml", {"memory": "2h"}, "memory = '2h': forgets a run before it is 2h old"),
    ("batch_stale.yaml", {"intervals": "1.0e+300"}, "out of range; give 0 to 1e+15"),
    ("high_error_rate.yaml", {"severity": "bad"}, "severity = 'bad': unknown; choose one of crit"),
    ("high_error_rate.yaml", {"severity": "[]"}, "severity = []: unknown"),
    ("high_error_rate.yaml", {"enabled": "1"}, "enabled = 1: neither true nor false"),
    ("high_error_rate.yaml", {"alert": "TPSDrop"}, "not the alert of this file; write alert: High"),
    ("metrics_missing.yaml", {"instances": "a:9100"}, "not a list of names"),
    ("metrics_missing.yaml", {"instances": "[a, a]"}, "a name is there twice"),
    ("common.yaml", {"runbooks": "docs/runbooks"}, "runbooks = 'docs/runbooks': not a URL"),
    ("common.yaml", {"scrape_interval": "1m"}, "increase() needs two samples, 1m apart"),
]


@pytest.mark.parametrize(("file", "values", "message"), BAD)
def test_bad_values_are_refused_in_one_line(
    conf: Path, file: str, values: dict[str, str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change(conf, file, **values)
    assert alerts(["--conf", str(conf), "--out", "-"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1
    assert len(err) < 1000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("alert: [", "not YAML"),
        ("- a\n", "not a mapping; write lines NAME: VALUE for alert"),
        ("", "not a mapping"),
        ("alert: TPSDrop\nalert: TPSDrop\n", "alert is there twice"),
        ("alert: TPSDrop\n", "enabled = '': missing; the fields are alert, enabled, severity, for"),
        ("alert: TPSDrop\nlimit: 3\n", "limit = 3: no such field"),
        ("!!python/object/apply:os.system [false]", "not YAML"),
        ("\0", "not YAML"),
        ("[" * 5000, "not YAML"),
        ("? [a, b]\n: 1\n", "not YAML"),
    ],
)
def test_bad_files_are_refused_in_one_line(
    conf: Path, text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (conf / "tps_drop.yaml").write_text(text)
    assert alerts(["--conf", str(conf), "--out", "-"]) == 2
    err = capsys.readouterr().err
    assert "tps_drop.yaml" in err
    assert message in err
    assert err.count("\n") == 1


def test_files_that_are_missing_or_unknown(conf: Path, tmp_path: Path) -> None:
    (conf / "tps_dorp.yaml").write_text("")
    with pytest.raises(InputError, match=r"tps_dorp.yaml.*belongs to no alert"):
        config.load(conf)
    (conf / "tps_dorp.yaml").unlink()
    (conf / "tps_drop.yaml").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(InputError, match="not YAML"):
        config.load(conf)
    (conf / "tps_drop.yaml").unlink()
    with pytest.raises(InputError, match="no such file"):
        config.load(conf)
    with pytest.raises(InputError, match="no such folder"):
        config.load(tmp_path / "nowhere")


def test_check_writes_nothing_and_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "rules" / "a.yml"
    assert alerts(["--check", "--out", str(out)]) == 1
    assert not out.exists()
    assert alerts(["--out", str(out)]) == 0
    assert alerts(["--check", "--out", str(out)]) == 0
    out.write_text(out.read_text() + "\n")
    capsys.readouterr()
    assert alerts(["--check", "--out", str(out)]) == 1
    assert "out of date" in capsys.readouterr().err
    out.unlink()
    out.mkdir()
    assert alerts(["--out", str(out)]) == 2


# -- promtool ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_every_alert_has_a_case_that_fires_and_one_that_does_not(name: str) -> None:
    common, configured = config.load()
    alert = next(alert for alert in configured if alert.alert.name == name)
    histories = cases.CaseBuilder(alert, common.scrape_interval.seconds).cases()
    assert {case.fires for case in histories} == {True, False}


@needs_promtool
def test_promtool_takes_the_rules() -> None:
    done = promtool("check", "rules", rule_file.RULES)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_the_rules_do_what_they_should() -> None:
    done = promtool("test", "rules", *sorted(cases.FOLDER.glob("*.yml")))
    assert done.returncode == 0, done.stdout + done.stderr


CHANGES = [
    ("low_cache_hit_rate.yaml", {"threshold": "60"}),
    ("low_cache_hit_rate.yaml", {"for_": "10m"}),
    ("tps_drop.yaml", {"threshold": "0.05"}),
    ("high_error_rate.yaml", {"threshold": "20"}),
    ("high_error_rate.yaml", {"window": "2m", "for_": "7m"}),
    ("error_burst.yaml", {"threshold": "100"}),
    ("l1_gas_anomaly.yaml", {"threshold": "300000", "window": "2h"}),
    ("worker_saturation.yaml", {"for_": "30m"}),
    ("batch_stale.yaml", {"interval": "20m"}),
    ("batch_failed.yaml", {"severity": "critical"}),
    ("metrics_missing.yaml", {"for_": "1h"}),
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
    changed = tmp_path / "rules.yml"
    assert alerts(["--conf", str(conf), "--out", str(changed)]) == 0
    for written, expected in ((changed, 0), (rule_file.RULES, 1)):
        codes = []
        for name, text in cases.render(conf, str(written)).items():
            (tmp_path / name).write_text(text)
            codes.append(promtool("test", "rules", tmp_path / name).returncode)
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
def test_a_host_without_any_success_is_not_said_to_be_from_1970(tmp_path: Path) -> None:
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
            {"series": f"l2_aggregation_proof_count{host}", "values": "60x20"},
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
