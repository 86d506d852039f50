"""Facts about the machine that this process runs on, for the record of a run and for the doctor."""

from __future__ import annotations

import os
import platform
import resource
import sys
from pathlib import Path

import runner

__all__ = ["cores", "machine", "memory_bytes", "packages", "peak_memory_mib"]


def cores() -> int:
    """The number of CPU cores that this process may use, which a container or taskset may limit."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine() -> dict[str, str | int]:
    """The host name, the system, the architecture, the cores, the CPU model and the memory in MiB.

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
    memory = _first("/proc/meminfo", "MemTotal")
    if memory:
        found["memory_mib"] = int(memory.split()[0]) // 1024
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


def peak_memory_mib() -> dict[str, int]:
    """The peak resident memory in MiB of this process, and of the largest worker that has ended."""
    # getrusage(2) counts in bytes on macOS, and in KiB on Linux.
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


def memory_bytes() -> int:
    """The machine's memory in bytes, or 0 if the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return 0
