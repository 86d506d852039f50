"""Facts about the machine that this process runs on, for the record of a run and for the doctor."""

from __future__ import annotations

import platform
from pathlib import Path

import runner
from runner.limits import cores, memory_bytes

__all__ = ["machine", "packages"]


def machine() -> dict[str, str | int]:
    """The host name, the system, the architecture, the cores, the CPU model and the memory in MiB.

    The cores and the memory are those that this process may use.
    The CPU model and the memory are left out if they are not known.
    """
    found: dict[str, str | int] = {
        "host": platform.node(),
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "cores": cores(),
    }
    model = _first("/proc/cpuinfo", "model name")
    if model:
        found["cpu"] = model
    memory = memory_bytes()
    if memory:
        found["memory_mib"] = memory // 2**20
    return found


def packages() -> dict[str, str]:
    """The versions of the runner, of Python and of the main libraries, by name."""
    from importlib import metadata

    found = {"runner": runner.__version__, "python": platform.python_version()}
    for name in ("hydra-core", "tenacity", "prometheus-client", "rich"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _first(path: str, name: str) -> str | None:
    try:
        for line in Path(path).read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == name:
                return value.strip()
    except OSError:
        pass
    return None
