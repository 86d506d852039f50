"""What a run ran on: recorded in every result, shown by the doctor."""

from __future__ import annotations

import os
import platform
import resource
import sys
from pathlib import Path

import runner

__all__ = ["cores", "machine", "packages", "peak_memory_mib"]


def cores() -> int:
    """CPU cores this process may use (a container or taskset may grant fewer than there are)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine() -> dict[str, str | int]:
    """Host name, system, CPU model, cores and memory in MiB; what is unknown is left out."""
    found: dict[str, str | int] = {
        "host": platform.node(),
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "cores": cores(),
    }
    model = _first("/proc/cpuinfo", "model name")
    if model:
        found["cpu"] = model
    memory = _first("/proc/meminfo", "MemTotal")
    if memory:
        found["memory_mib"] = int(memory.split()[0]) // 1024
    return found


def packages() -> dict[str, str]:
    """Versions of the runner, Python and the libraries that shape a run."""
    from importlib import metadata

    found = {"runner": runner.__version__, "python": platform.python_version()}
    for name in ("hydra-core", "tenacity", "prometheus-client", "rich"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def peak_memory_mib() -> dict[str, int]:
    """Peak resident memory in MiB of this process and of its largest ended worker."""
    # macOS counts bytes, Linux KiB (getrusage(2)).
    unit = 1024 * 1024 if sys.platform == "darwin" else 1024
    return {
        "runner": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit,
        "largest_worker": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // unit,
    }


def _first(path: str, name: str) -> str | None:
    try:
        for line in Path(path).read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == name:
                return value.strip()
    except OSError:
        pass
    return None
