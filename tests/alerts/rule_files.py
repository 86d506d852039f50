"""Rule files for tests: read, checked by promtool, and made from a changed configuration."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from runner.alerts.table import ALERTS

if TYPE_CHECKING:
    from pathlib import Path


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


def only(name: str, text: str) -> str:
    """A rule file with nothing but one alert of another file, which its histories are about.

    promtool evaluates all rules of a file for each history. That takes most of its time.
    """
    alert = rules(text)[name]
    groups = yaml.safe_load(text)["groups"]
    recorded = [rule["record"] for group in groups for rule in group["rules"] if "record" in rule]
    assert not any(record in alert["expr"] for record in recorded)
    group = next(group for group in groups if alert in group["rules"])
    return yaml.safe_dump({"groups": [{**group, "rules": [alert]}]})


def change(conf: Path, file: str, **values: str) -> None:
    """Give other values, written as YAML, to keys of a configuration file."""
    path = conf / file
    text = path.read_text()
    for name, value in values.items():
        key = name.rstrip("_")  # for_ stands for the key `for`
        text, found = re.subn(rf"^{key}: .*$", f"{key}: {value}", text, flags=re.MULTILINE)
        assert found == 1, f"{key} in {file}"
    path.write_text(text)
