"""``conf/alerts``: from which number on, for how long and how bad; read, or refused."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import yaml

from runner.alerts.table import ALERTS, SEVERITIES, Alert, Setting
from runner.errors import InputError
from runner.files import SHIPPED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

__all__ = ["CONF", "Common", "Configured", "Duration", "load"]

CONF = SHIPPED / "conf" / "alerts"
COMMON = "common.yaml"

_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_DURATION = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?")
_PLACEHOLDER = re.compile(r"<([a-z_]+)(\.s)?>")
_BASE = ("alert", "enabled", "severity", "for")
_TEN_YEARS = 3650 * 86_400_000


@dataclass(frozen=True, slots=True)
class Duration:
    """A time span as Prometheus writes it, e.g. ``5m`` or ``1h30m``.

    Attributes:
        ms: milliseconds.
    """

    ms: int

    @property
    def seconds(self) -> float:
        """The same in seconds."""
        return self.ms / 1000

    def __str__(self) -> str:
        rest, text = self.ms, ""
        for unit in ("d", "h", "m", "s", "ms"):
            count, rest = divmod(rest, _UNITS[unit])
            text += f"{count}{unit}" if count else ""
        return text or "0s"


@dataclass(frozen=True, slots=True)
class Common:
    """What all alerts share.

    Attributes:
        runbooks: URL of the folder with the runbooks, ends in a slash.
        scrape_interval: of Prometheus.
    """

    runbooks: str
    scrape_interval: Duration


@dataclass(frozen=True, slots=True)
class Configured:
    """One alert with its numbers.

    Attributes:
        alert: from the table.
        enabled: whether there is a rule.
        severity: label of the rule.
        pending: how long the condition must hold.
        values: of the settings, by name.
        runbook: URL.
    """

    alert: Alert
    enabled: bool
    severity: str
    pending: Duration
    values: Mapping[str, object]
    runbook: str

    @property
    def expr(self) -> str:
        """PromQL with the numbers in it."""
        return self.filled(self.alert.expr)

    def filled(self, text: str) -> str:
        """A text of the table with the numbers in it."""

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
        """As in the rule file."""
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


def load(folder: Path = CONF) -> tuple[Common, tuple[Configured, ...]]:
    """All alerts as configured, in the order of the table.

    Args:
        folder: with ``common.yaml`` and a file for each alert.

    Raises:
        InputError: a file is missing, unknown or not usable.
    """
    if not folder.is_dir():
        raise InputError("--conf", str(folder), "no such folder", "give a folder like conf/alerts")
    known = {COMMON, *(alert.file for alert in ALERTS)}
    for path in sorted(folder.iterdir()):
        if path.suffix in {".yaml", ".yml"} and path.name not in known:
            remedy = f"the files are {', '.join(sorted(known))}"
            raise InputError(str(path), path.name, "belongs to no alert", remedy)
    common = _common(_File(folder / COMMON, ("runbooks", "scrape_interval")))
    return common, tuple(_configured(alert, folder, common) for alert in ALERTS)


class _Loader(yaml.SafeLoader):
    """YAML without the surprise that the second of two equal keys wins."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key) for key, _ in node.value]
    for key in keys:
        if keys.count(key) > 1:
            raise yaml.constructor.ConstructorError(None, None, f"{key} is there twice")
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


class _File:
    """One file of the folder, with exactly the keys it should have."""

    def __init__(self, path: Path, keys: Sequence[str]) -> None:
        self._path = path
        try:
            # A subclass of SafeLoader.
            content = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506
        except FileNotFoundError:
            raise InputError(
                str(path), "", "no such file", "restore it from git; `enabled: false` turns it off"
            ) from None
        except OSError as error:
            reason = f"cannot be read ({error.strerror})"
            raise InputError(str(path), "", reason, "give a readable file") from None
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise InputError(str(path), _place(error), _reason(error), "correct it") from None
        if not isinstance(content, dict):
            raise InputError(
                str(path), content, "not a mapping", f"write lines NAME: VALUE for {_list(keys)}"
            )
        for key in content:
            if key not in keys:
                self.refuse(
                    str(key), content[key], "no such field", f"the fields are {_list(keys)}"
                )
        for key in keys:
            if key not in content:
                self.refuse(key, "", "missing", f"the fields are {_list(keys)}")
        self.content: dict[str, object] = content

    def refuse(self, field: str, value: object, problem: str, remedy: str) -> NoReturn:
        """Raise what the user is told."""
        raise InputError(f"{self._path}: {field}", value, problem, remedy)

    def boolean(self, field: str) -> bool:
        value = self.content[field]
        if not isinstance(value, bool):
            self.refuse(field, value, "neither true nor false", "give true or false")
        return value

    def text(self, field: str) -> str:
        value = self.content[field]
        if not isinstance(value, str) or not value:
            self.refuse(field, value, "not text", "give text, in quotes")
        return value

    def number(self, field: str, most: float) -> float:
        value = self.content[field]
        # ``type``: True is not the number 1.
        if type(value) not in (int, float) or not isinstance(value, (int, float)):
            self.refuse(field, value, "not a number", "give one like 10 or 0.5, without quotes")
        if not 0 <= value <= most:
            self.refuse(field, value, "out of range", f"give 0 to {most:g}")
        return value

    def duration(self, field: str, *, zero: bool = False) -> Duration:
        value = self.content[field]
        match = _DURATION.fullmatch(value) if isinstance(value, str) else None
        if match is None or not value:
            self.refuse(field, value, "not a duration", "give one like 30s, 5m or 1h30m")
        units = ("w", "d", "h", "m", "s", "ms")
        parts = zip(match.groups(), units, strict=True)
        ms = sum(int(count) * _UNITS[unit] for count, unit in parts if count and len(count) < 15)
        digits = max((len(count) for count in match.groups() if count), default=0)
        if ms > _TEN_YEARS or digits >= 15:
            self.refuse(field, value, "too long", "give at most 3650d")
        if not ms and not zero:
            self.refuse(field, value, "no time at all", "give one like 30s, 5m or 1h30m")
        return Duration(ms)

    def names(self, field: str) -> tuple[str, ...]:
        value = self.content[field]
        if not isinstance(value, list) or not all(isinstance(v, str) and v for v in value):
            self.refuse(field, value, "not a list of names", "give [] or a list like [host:9100]")
        if len(set(value)) < len(value):
            self.refuse(field, value, "a name is there twice", "give each name once")
        return tuple(value)


def _common(file: _File) -> Common:
    runbooks = file.text("runbooks")
    if not re.fullmatch(r"(https?|file)://[^\s{}\"]+", runbooks):
        remedy = "give one like https://HOST/docs/runbooks/"
        file.refuse("runbooks", runbooks, "not a URL", remedy)
    return Common(runbooks.rstrip("/") + "/", file.duration("scrape_interval"))


def _configured(alert: Alert, folder: Path, common: Common) -> Configured:
    file = _File(folder / alert.file, (*_BASE, *(setting.name for setting in alert.settings)))
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
    return Configured(alert, file.boolean("enabled"), severity, pending, values, runbook)


def _check_times(
    file: _File, alert: Alert, values: Mapping[str, object], pending: Duration, common: Common
) -> None:
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


def _value(file: _File, setting: Setting) -> object:
    if setting.kind == "duration":
        return file.duration(setting.name)
    if setting.kind == "instances":
        return file.names(setting.name)
    return file.number(setting.name, 100 if setting.kind == "percent" else 1e15)


def _twice(common: Common) -> Duration:
    return Duration(2 * common.scrape_interval.ms)


def _sum(*durations: Duration) -> Duration:
    return Duration(sum(duration.ms for duration in durations))


def _place(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    return "" if mark is None else f"line {mark.line + 1}"


def _reason(error: Exception) -> str:
    words = getattr(error, "problem", None) or str(error) or type(error).__name__
    return f"not YAML: {words}"


def _list(keys: Iterable[str]) -> str:
    return ", ".join(keys)


def _number(value: object) -> str:
    """A number as PromQL and people read it: no exponent below 10^15, no ``.0``."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def _or_absent(instances: object) -> str:
    """An ``absent()`` for each instance that must be there, or one for all together."""
    metric = "l2_last_run_completion_timestamp_seconds"
    names = instances if isinstance(instances, tuple) else ()
    wanted = [f"{{instance={json.dumps(name, ensure_ascii=False)}}}" for name in names] or [""]
    return "\n  ".join(f"or on (instance) absent({metric}{labels})" for labels in wanted)
