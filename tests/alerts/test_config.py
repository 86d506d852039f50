"""What the configuration of the alerts may say, and how the rules follow it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runner.alerts import config
from runner.alerts import rules as rule_file
from runner.alerts.__main__ import main as alerts
from runner.alerts.table import ALERTS
from runner.errors import InputError
from tests.alerts.rule_files import NAMES, change, rules
from tests.special_files import identity, make_special

if TYPE_CHECKING:
    from pathlib import Path


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


def test_a_file_in_the_working_folder_replaces_the_shipped_one(
    conf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = rule_file.render()
    monkeypatch.chdir(tmp_path)
    assert rule_file.render() == shipped
    config.OWN.mkdir(parents=True)
    assert rule_file.render() == shipped
    change(conf, "high_error_rate.yaml", threshold="2.5")
    (config.OWN / "high_error_rate.yaml").write_bytes((conf / "high_error_rate.yaml").read_bytes())
    assert rule_file.render() == rule_file.render(conf) != shipped
    (config.OWN / "tps_dorp.yaml").write_text("")
    with pytest.raises(InputError, match=r"tps_dorp.yaml.*belongs to no alert"):
        config.load()


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


def test_streams_are_written_to_and_what_is_none_stays(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert alerts(["--out", "-"]) == 0
    rules = capfd.readouterr().out
    assert alerts(["--out", "/dev/stdout"]) == 0
    assert capfd.readouterr().out == rules
    for kind, code in (("device", 0), ("fifo", 2), ("socket", 2)):
        before = make_special(kind, tmp_path / kind)
        assert alerts(["--out", str(tmp_path / kind)]) == code
        assert identity(tmp_path / kind) == before


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "a host that vanishes is forgotten after 1d, and its alerts resolve by themselves; "),
        ({"memory": "3d"}, "a host that vanishes is forgotten after 3d, "),
        ({"enabled": "false"}, "no alert tells of a host that vanishes; set `enabled: true` in "),
        ({"instances": "[a:9100]"}, ""),
    ],
)
def test_hosts_that_would_be_forgotten_are_told_when_rules_are_written(
    conf: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    values: dict[str, str],
    words: str,
) -> None:
    change(conf, "metrics_missing.yaml", **values)
    arguments = ["--conf", str(conf), "--out", str(tmp_path / "rules.yml")]
    assert alerts(arguments) == 0
    err = capsys.readouterr().err
    assert err.startswith(f"note: {words}" if words else "")
    assert bool(words) == (f"{conf}/metrics_missing.yaml" in err)
    assert alerts([*arguments, "--check"]) == 0
    assert capsys.readouterr().err == ""
