"""The rule file for Prometheus: the alerts as ``conf/alerts`` configures them, and fleet totals."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from runner.alerts.config import load
from runner.alerts.promql import problems
from runner.alerts.table import FOREIGN
from runner.files import KEPT
from runner.metric_table import METRICS, TPS_AVERAGE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["RULES", "render", "totals"]

RULES = KEPT / "deploy" / "prometheus" / "rules" / "zk_batch_runner.yml"


def totals() -> list[dict[str, Any]]:
    """Recording rules that add up all hosts.

    There is one rule for each counter, and one for each of two ratios of such sums.
    """
    rules = []
    for metric in METRICS:
        if metric.type == "counter":
            by = f" by ({', '.join(metric.labels)})" if metric.labels else ""
            expr = f"sum{by} ({metric.name})" if by else f"sum({metric.name})"
            rules.append({"record": f"fleet:{metric.name}:sum", "expr": expr})
    proofs, seconds = (counter.name for counter in TPS_AVERAGE.of())
    hits, misses = "l2_cache_hits_total", "l2_cache_misses_total"
    ratios = {
        "fleet:l2_tps_average:ratio": f"sum({proofs}) / sum({seconds})",
        "fleet:l2_cache_hits:ratio": f"sum({hits}) / (sum({hits}) + sum({misses}))",
    }
    return rules + [{"record": name, "expr": expr} for name, expr in ratios.items()]


def render(folder: Path | None = None) -> str:
    """The text of the rule file, which is always the same for the same configuration.

    Args:
        folder: the folder with the configuration, or None for the default one.

    Raises:
        InputError: the configuration cannot be used; see :func:`runner.alerts.config.load`.
    """
    _, alerts = load(folder)
    rules = [alert.rule() for alert in alerts if alert.enabled]
    for rule in (*rules, *totals()):
        if found := problems(rule["expr"], (*METRICS, *FOREIGN)):
            # The fault is in the table, not in what the user configured.
            raise ValueError(f"{rule}: {found[0]}")
    # A group without rules would be valid, but it would suggest that something is watched.
    groups = [{"name": "zk-batch-runner", "rules": rules}] if rules else []
    groups.append({"name": "zk-batch-runner-fleet", "rules": totals()})
    head = "# Made by `python -m runner.alerts` from conf/alerts; changes here are lost.\n"
    return head + "groups:\n" + "".join(_item(group, "  ") for group in groups)


_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_.:/-]*|\d+[a-z]+")
"""Text that every version of YAML reads as a string although it has no quotes."""

_NOT_PLAIN = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}
"""Words that look like such text, but that some version of YAML reads as another value."""


def _item(value: Mapping[str, Any], indent: str) -> str:
    """A mapping, written as an item of a YAML list."""
    text = _lines(value, indent + "  ")
    return f"{indent}- {text[len(indent) + 2 :]}"


def _lines(value: Mapping[str, Any], indent: str) -> str:
    text = ""
    for key, entry in value.items():
        if isinstance(entry, dict):
            text += f"{indent}{key}:\n{_lines(entry, indent + '  ')}"
        elif isinstance(entry, list):
            text += f"{indent}{key}:\n" + "".join(_item(each, indent + "  ") for each in entry)
        else:
            text += f"{indent}{key}: {_scalar(entry, indent + '  ')}\n"
    return text


def _scalar(value: str, indent: str) -> str:
    if "\n" in value:
        return "|-\n" + "\n".join(f"{indent}{line}" for line in value.split("\n"))
    if _PLAIN.fullmatch(value) and not value.endswith(":") and value.lower() not in _NOT_PLAIN:
        return value
    return json.dumps(value, ensure_ascii=False)
