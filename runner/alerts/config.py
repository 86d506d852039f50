"""The alerts as ``conf/alerts`` configures them: thresholds, durations and severities, checked.

A configuration that contradicts itself is refused, e.g. one that asks for a condition to hold
longer than the figures of one run can make it hold.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.alerts.settings_file import Duration, SettingsFile
from runner.alerts.table import ALERTS, SEVERITIES, Alert, Setting
from runner.errors import InputError
from runner.files import SHIPPED

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CONF", "OWN", "CommonSettings", "ConfiguredAlert", "load", "unwatched"]

CONF = SHIPPED / "conf" / "alerts"
"""The configuration that comes with the runner."""
OWN = Path("conf", "alerts")
"""The user's own, below the working folder. A file there replaces the shipped one of its name."""
COMMON = "common.yaml"

_PLACEHOLDER = re.compile(r"<([a-z_]+)(\.s)?>")
_BASE = ("alert", "enabled", "severity", "for")


@dataclass(frozen=True, slots=True)
class CommonSettings:
    """The settings that all alerts share.

    Attributes:
        runbooks: the URL of the folder with the runbooks, which ends in a slash.
        scrape_interval: how often Prometheus scrapes.
    """

    runbooks: str
    scrape_interval: Duration


@dataclass(frozen=True, slots=True)
class ConfiguredAlert:
    """One alert together with the values that its file gives.

    Attributes:
        alert: the alert as the table declares it.
        enabled: whether the rule file has a rule for the alert.
        severity: the severity, which becomes a label of the rule.
        pending: how long the condition must hold before the alert fires.
        values: the values of the alert's settings, by name.
        runbook: the URL of the alert's runbook.
    """

    alert: Alert
    enabled: bool
    severity: str
    pending: Duration
    values: Mapping[str, object]
    runbook: str

    @property
    def expr(self) -> str:
        """The alert's condition in PromQL, with the values in place."""
        return self.filled(self.alert.expr)

    def filled(self, text: str) -> str:
        """A text of the table in which the values replace their placeholders."""

        def value(match: re.Match[str]) -> str:
            name, in_seconds = match.groups()
            if name == "or_absent":
                return _or_absent(self.values["instances"])
            found = self.values[name]
            if isinstance(found, Duration):
                return _number(found.seconds) if in_seconds else str(found)
            return _number(found)

        return _PLACEHOLDER.sub(value, text)

    def rule(self) -> dict[str, Any]:
        """The alert as a rule of Prometheus' rule file."""
        pending = {"for": str(self.pending)} if self.pending.ms else {}
        return {
            "alert": self.alert.name,
            "expr": self.expr,
            **pending,
            "labels": {"severity": self.severity},
            "annotations": {
                "summary": self.filled(self.alert.summary),
                "description": self.filled(self.alert.description),
                "runbook_url": self.runbook,
            },
        }


def load(folder: Path | None = None) -> tuple[CommonSettings, tuple[ConfiguredAlert, ...]]:
    """The common settings, and all alerts as configured in the order of the table.

    Args:
        folder: the folder that holds ``common.yaml`` and a file for each alert. By default it is
            :data:`OWN` where there is one, and what it does not have is taken from :data:`CONF`.

    Raises:
        InputError: a file is missing, belongs to no alert, or cannot be used.
    """
    if folder is not None and not folder.is_dir():
        raise InputError("--conf", str(folder), "no such folder", "give a folder like conf/alerts")
    first = folder or (OWN if OWN.is_dir() else CONF)
    known = {COMMON, *(alert.file for alert in ALERTS)}
    for path in sorted(first.iterdir()):
        if path.suffix in {".yaml", ".yml"} and path.name not in known:
            remedy = f"the files are {', '.join(sorted(known))}"
            raise InputError(str(path), path.name, "belongs to no alert", remedy)
    files = {name: first / name for name in known}
    if folder is None:
        files = {name: file if file.exists() else CONF / name for name, file in files.items()}
    common = _common(SettingsFile(files[COMMON], ("runbooks", "scrape_interval")))
    return common, tuple(_configured(alert, files[alert.file], common) for alert in ALERTS)


def unwatched(folder: Path | None = None) -> str:
    """What nobody is told of hosts that vanish, with the remedy; empty if each host is watched.

    Args:
        folder: the folder with the configuration, as :func:`load` takes it.

    Raises:
        InputError: the configuration cannot be used.
    """
    _, alerts = load(folder)
    alert = next(one for one in alerts if "instances" in one.values)
    file = (folder or OWN) / alert.alert.file
    if not alert.enabled:
        return f"no alert tells of a host that vanishes; set `enabled: true` in {file}"
    if alert.values["instances"]:
        return ""
    return (
        f"a host that vanishes is forgotten after {alert.values['memory']}, and its alerts resolve"
        f" by themselves; list the hosts as `instances` in {file}"
    )


def _common(file: SettingsFile) -> CommonSettings:
    runbooks = file.text("runbooks")
    if not re.fullmatch(r"(https?|file)://[^\s{}\"]+", runbooks):
        remedy = "give one like https://HOST/docs/runbooks/"
        file.refuse("runbooks", runbooks, "not a URL", remedy)
    return CommonSettings(runbooks.rstrip("/") + "/", file.duration("scrape_interval"))


def _configured(alert: Alert, path: Path, common: CommonSettings) -> ConfiguredAlert:
    file = SettingsFile(path, (*_BASE, *(setting.name for setting in alert.settings)))
    if file.content["alert"] != alert.name:
        remedy = f"write alert: {alert.name}"
        file.refuse("alert", file.content["alert"], "not the alert of this file", remedy)
    severity = file.content["severity"]
    if not isinstance(severity, str) or severity not in SEVERITIES:
        remedy = f"choose one of {', '.join(SEVERITIES)}"
        file.refuse("severity", severity, "unknown", remedy)
    pending = file.duration("for", zero=True)
    values = {setting.name: _value(file, setting) for setting in alert.settings}
    _check_times(file, alert, values, pending, common)
    runbook = f"{common.runbooks}{alert.name}.md"
    return ConfiguredAlert(alert, file.boolean("enabled"), severity, pending, values, runbook)


def _check_times(
    file: SettingsFile,
    alert: Alert,
    values: Mapping[str, object],
    pending: Duration,
    common: CommonSettings,
) -> None:
    """Refuse time spans with which the alert could never fire."""
    window = values.get(alert.rate)
    if isinstance(window, Duration) and window.ms < 2 * common.scrape_interval.ms:
        problem = f"too short: increase() needs two samples, {common.scrape_interval} apart"
        file.refuse(alert.rate, str(window), problem, f"give {_twice(common)} or more")
    hold = values.get(alert.holds)
    if not isinstance(hold, Duration):
        return
    interval, intervals = values.get("interval"), values.get("intervals")
    if isinstance(interval, Duration) and isinstance(intervals, (int, float)):
        age = Duration(round(interval.ms * intervals))
        problem = f"forgets a run before it is {age} old ({_number(intervals)} x {interval})"
        if hold.ms <= age.ms + pending.ms:
            file.refuse(alert.holds, str(hold), problem, f"give more than {_sum(age, pending)}")
    elif hold.ms <= pending.ms:
        problem = f"not longer than for = {pending}: one run could never raise the alert"
        file.refuse(alert.holds, str(hold), problem, f"give more than {pending}")


def _value(file: SettingsFile, setting: Setting) -> object:
    if setting.kind == "duration":
        return file.duration(setting.name)
    if setting.kind == "instances":
        return file.names(setting.name)
    return file.number(setting.name, 100 if setting.kind == "percent" else 1e15)


def _twice(common: CommonSettings) -> Duration:
    return Duration(2 * common.scrape_interval.ms)


def _sum(*durations: Duration) -> Duration:
    return Duration(sum(duration.ms for duration in durations))


def _number(value: object) -> str:
    """A number as PromQL and people read it: without ``.0``, and no exponent below 10^15."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def _or_absent(instances: object) -> str:
    """An ``absent()`` for each instance that must have metrics, or one when none is named."""
    metric = "l2_last_run_completion_timestamp_seconds"
    names = instances if isinstance(instances, tuple) else ()
    wanted = [f"{{instance={json.dumps(name, ensure_ascii=False)}}}" for name in names] or [""]
    return "\n  ".join(f"or on (instance) absent({metric}{labels})" for labels in wanted)
