"""The configuration of the monitoring stack: the shipped one, with other ports or intervals."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["PORTS", "Options", "substitute", "write_configuration"]

DEPLOY = Path(__file__).resolve().parent.parent / "deploy"

PORTS = {
    "node_exporter": 9100,
    "prometheus": 9090,
    "alertmanager": 9093,
    "pushgateway": 9091,
    "server": 9464,
    "receiver": 9095,
}
"""The port of each tool in the shipped configuration."""


@dataclass(frozen=True)
class Options:
    """How a stack differs from the shipped configuration.

    Attributes:
        textfiles: the folders of textfiles, each of which gets its own node_exporter.
        runner: the textfile that the runner's page shows, or None for a stack without that page.
        rules: the rule files that replace the shipped ones, or None for the shipped ones.
        scrape: the interval of scrapes and evaluations, or an empty string for the shipped one.
        group_wait: Alertmanager's ``group_wait``, or an empty string for the shipped one.
        ports: the ports by tool. A tool that is not in it gets a free port.
    """

    textfiles: Sequence[Path]
    runner: Path | None = None
    rules: Sequence[Path] | None = None
    scrape: str = ""
    group_wait: str = ""
    ports: Mapping[str, int] = field(default_factory=dict)


def substitute(text: str, changes: Mapping[str, str]) -> str:
    """The text with every key replaced by its value.

    Raises:
        ValueError: a key is not in the text, so the shipped file is not the one that is expected.
    """
    for old, new in changes.items():
        if old not in text:
            raise ValueError(f"{old!r} is not in the shipped configuration")
        text = text.replace(old, new)
    return text


def write_configuration(
    folder: Path, options: Options, ports: Mapping[str, int], node_ports: Sequence[int]
) -> None:
    """Writes the shipped configuration, with the changes that are asked for, into a folder.

    Args:
        folder: the folder, in which Prometheus gets a folder of its own.
        options: how the stack differs from the shipped configuration.
        ports: the ports by tool.
        node_ports: the port of each node_exporter.
    """
    prometheus = folder / "prometheus"
    (prometheus / "rules").mkdir(parents=True)
    shipped = DEPLOY / "prometheus" / "rules"
    rules = sorted(shipped.glob("*.yml")) if options.rules is None else options.rules
    for path in rules:
        shutil.copy(path, prometheus / "rules" / path.name)
    nodes = ", ".join(f'"127.0.0.1:{port}"' for port in node_ports)
    changes = {
        '"127.0.0.1:9100"': nodes,
        "(.+):9464": f"(.+):{ports['server']}",
        "${1}:9100": f"${{1}}:{node_ports[0]}",
    } | {
        f"127.0.0.1:{PORTS[name]}": f"127.0.0.1:{ports[name]}"
        for name in ("alertmanager", "pushgateway", "server")
    }
    if options.scrape:
        changes |= {
            f"{name}_interval: 15s": f"{name}_interval: {options.scrape}"
            for name in ("scrape", "evaluation")
        }
    text = (DEPLOY / "prometheus" / "prometheus.yml").read_text()
    (prometheus / "prometheus.yml").write_text(substitute(text, changes))

    changes = {f"127.0.0.1:{PORTS['receiver']}": f"127.0.0.1:{ports['receiver']}"}
    if options.group_wait:
        changes["group_wait: 30s"] = f"group_wait: {options.group_wait}"
    text = (DEPLOY / "alertmanager" / "alertmanager.yml").read_text()
    (folder / "alertmanager.yml").write_text(substitute(text, changes))
