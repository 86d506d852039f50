"""Finds and installs the tools of the monitoring stack, and other programs that tests use."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from steps import SetupError, apt_install, ask, run

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BROWSER", "SIGNING", "TOOLS", "find", "install", "missing"]

TOOLS = {
    "node_exporter": ("prometheus-node-exporter", "node_exporter"),
    "prometheus": ("prometheus",),
    "alertmanager": ("prometheus-alertmanager", "alertmanager"),
    "pushgateway": ("prometheus-pushgateway", "pushgateway"),
}
"""The tools of the stack, and the names that each may have on the PATH. The first of these is also
the name of Debian's package."""

SIGNING = {"ssh-keygen": ("openssh-client", "ssh-keygen")}
"""The programs that sign batches in tests."""

BROWSER = {"chromium": ("chromium",), "chromedriver": ("chromium-driver", "chromedriver")}
"""The programs that look at the runner's page in tests."""


def find(tool: str) -> str | None:
    """The path of a tool's program, or None if it is not installed."""
    names = (TOOLS | SIGNING | BROWSER)[tool]
    return next((path for name in names if (path := shutil.which(name))), None)


def missing(tools: Mapping[str, tuple[str, ...]] = TOOLS) -> list[str]:
    """The Debian packages of those tools that are not installed."""
    return [names[0] for tool, names in tools.items() if find(tool) is None]


def install(env: Mapping[str, str], tools: Mapping[str, tuple[str, ...]] = TOOLS) -> list[str]:
    """Installs the tools that are missing, where that is allowed.

    Debian starts the service of a package when it installs the package. Such a service is stopped
    and disabled, because the stack has its own processes and nobody asked for one that remains.

    Returns:
        The Debian packages that are still missing.
    """
    wanted = missing(tools)
    if not wanted:
        return []
    apt_install(wanted, "the real tools", env)
    for unit in wanted:
        if Path("/run/systemd/system").exists() and ask("systemctl", "is-enabled", unit):
            sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
            with suppress(SetupError):
                run([*sudo, "systemctl", "disable", "--quiet", "--now", unit])
    return missing(tools)
