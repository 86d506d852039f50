"""Histories for promtool in which each alert fires or stays quiet, made from its configuration.

``python -m tests.alerts.cases`` writes those of ``conf/alerts`` to ``tests/alerts/promtool``, where
promtool can run them without Python.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from runner.alerts import config
from runner.alerts.rules import RULES
from runner.alerts.settings_file import Duration
from runner.files import SHIPPED
from tests.alerts.history import COARSE, Case, Check, spacing
from tests.alerts.scenarios import cases_of

if TYPE_CHECKING:
    from runner.alerts.config import ConfiguredAlert

FOLDER = Path(__file__).parent / "promtool"


def documents(folder: Path, rules: str) -> dict[str, dict[str, Any]]:
    """All cases of the alerts that are on, as promtool reads them, by file name.

    Args:
        folder: The folder of the configuration.
        rules: The path of the rule file as seen from the test files.
    """
    common, configured = config.load(folder)
    scrape = common.scrape_interval
    tests: dict[str, list[dict[str, Any]]] = {}
    for alert in configured:
        if alert.enabled:
            spaced = spacing(alert, scrape.seconds)
            interval = str(Duration(round(spaced * 1000)))
            for case in cases_of(alert, spaced):
                every = interval if not case.coarse or spaced > COARSE else f"{COARSE}s"
                tests.setdefault(every, []).append(_test(alert, case, interval))
    names = {str(scrape): "alerts.yml", f"{COARSE}s": "alerts_over_a_day.yml"}
    return {
        names.get(every, f"alerts_every_{every}.yml"): {
            "rule_files": [rules],
            "evaluation_interval": every,
            "tests": found,
        }
        for every, found in tests.items()
    }


def _test(alert: ConfiguredAlert, case: Case, interval: str) -> dict[str, Any]:
    name = alert.alert.name
    return {
        "name": f"{name}: {case.what}",
        "interval": interval,
        "input_series": [{"series": s, "values": values} for s, values in case.series.items()],
        "alert_rule_test": [
            {
                "eval_time": f"{check.at:.0f}s",
                "alertname": name,
                "exp_alerts": [] if check.description is None else [_expected(alert, check)],
            }
            for check in case.checks
        ],
    }


def _expected(alert: ConfiguredAlert, check: Check) -> dict[str, Any]:
    labels = dict(check.labels)
    summary = check.summary
    if summary is None:
        summary = alert.filled(alert.alert.summary)
        for name, value in labels.items():
            summary = summary.replace(f"{{{{ $labels.{name} }}}}", value)
    return {
        "exp_labels": {"severity": alert.severity, **labels},
        "exp_annotations": {
            "summary": summary,
            "description": check.description,
            "runbook_url": alert.runbook,
        },
    }


def render(folder: Path = config.CONF, rules: str | None = None) -> dict[str, str]:
    """The files' texts by name. The same configuration always gives the same texts."""
    shipped = os.path.relpath(RULES, FOLDER)
    head = "# Made by `python -m tests.alerts.cases` from conf/alerts; changes here are lost.\n"
    made = documents(folder, rules or shipped)
    return {
        name: head + yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=1000)
        for name, content in made.items()
    }


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for file, text in render().items():
        (FOLDER / file).write_text(text, encoding="utf-8")
    sys.stdout.write(f"wrote {FOLDER.relative_to(SHIPPED)}/\n")
