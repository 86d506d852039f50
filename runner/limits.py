"""How many cores and how much memory this process may use, and how much memory it has used.

A container, a unit of systemd and a batch system set such limits as control groups. A group lies in
others, and the smallest limit of all of them counts. Nothing else of the system tells of them: a
process that asks for more memory is killed, and one that uses more cores is stopped for a while.
"""

from __future__ import annotations

import math
import os
import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MEMORY_SHARE", "cores", "fitting", "memory_bytes", "oom_kills", "peak_memory_mib"]

_ROOT = Path("/")

MEMORY_SHARE = 0.75
"""The part of the memory that proofs may fill. The rest is for the runner, the system's cache of
files, and what a proof needs beyond an estimate."""


def cores(root: Path = _ROOT) -> int:
    """The number of CPU cores that this process may use.

    A quota of a part of a core counts as a whole one, so that all of the quota can be used.

    Args:
        root: The folder with ``proc`` and ``sys``.
    """
    known = hasattr(os, "sched_getaffinity")
    found = len(os.sched_getaffinity(0)) if known else os.cpu_count() or 1
    quotas = [math.ceil(share) for share in _quotas(root)]
    return max(1, min([found, *quotas]))


def memory_bytes(root: Path = _ROOT) -> int:
    """The bytes of memory that this process may use, or 0 if the system does not say.

    Args:
        root: The folder with ``proc`` and ``sys``.
    """
    try:
        found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        found = 0
    limits = [
        int(text)
        for group in _groups(root, "memory")
        for name in ("memory.max", "memory.limit_in_bytes")
        if (text := _read(group / name)).isdecimal()
    ]
    return min([*([found] if found > 0 else []), *limits], default=0)


def oom_kills(root: Path = _ROOT) -> int:
    """The number of processes that the system has killed for want of memory, since it started.

    They are those of the innermost control group that counts them, or of the whole machine where
    none does. It is 0 if the system does not say.

    Args:
        root: The folder with ``proc`` and ``sys``.
    """
    # A group's kills also count in those around it, and a group may be mounted in two places.
    for group in _groups(root, "memory"):
        for name in ("memory.events", "memory.oom_control"):
            if (count := _counted(group / name)) is not None:
                return count
    return _counted(root / "proc/vmstat") or 0


def peak_memory_mib(root: Path = _ROOT) -> int:
    """The most memory in MiB that this process has had in use at once, since it started.

    Args:
        root: The folder with ``proc``.
    """
    for line in _read(root / "proc/self/status").splitlines():
        name, _, rest = line.partition(":")
        if name == "VmHWM" and rest.split()[:1] and rest.split()[0].isdecimal():
            return int(rest.split()[0]) // 1024  # the kernel counts in KiB
    # getrusage(2) counts in bytes on macOS, and in KiB on Linux, where it includes what the parent
    # had in use when this process was started.
    unit = 1024 * 1024 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit


def fitting(worker_bytes: int, memory: int, workers: int) -> int | None:
    """The number of workers that there is memory for, at least one; None if it is for all.

    Args:
        worker_bytes: The bytes of memory that each takes at least.
        memory: The bytes of memory that there are, or 0 if that is not known.
        workers: The number of workers that are wanted.
    """
    fit = max(1, memory // worker_bytes)
    return fit if memory > 0 and fit < workers else None


def _counted(file: Path) -> int | None:
    """The number behind the word ``oom_kill`` in a file of counters; None if it is not there."""
    for line in _read(file).splitlines():
        name, _, number = line.partition(" ")
        if name == "oom_kill" and number.isdecimal():
            return int(number)
    return None


def _quotas(root: Path) -> Iterator[float]:
    """The CPU time per second that each of this process's groups may use, where it has a quota."""
    for group in _groups(root, "cpu"):
        new = _read(group / "cpu.max").split()
        old = [_read(group / f"cpu.cfs_{name}_us") for name in ("quota", "period")]
        for numbers in (new, old):
            # A group without a quota has `max` in the second version, and -1 in the first.
            if len(numbers) == 2 and all(map(str.isdecimal, numbers)) and int(numbers[1]):
                yield int(numbers[0]) / int(numbers[1])


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """The folders of this process's control groups for a controller, with those around them."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        mounted = root / "sys/fs/cgroup"
        if not names:  # the second version, which may lie beside the first
            mounts = [mounted, mounted / "unified"]
        elif controller in names.split(","):
            mounts = [mounted / names, mounted / controller]
        else:
            continue
        # Inside a container, the path may be the host's, of which only the container's end is here.
        parts = [part for part in path.split("/") if part not in ("", "..")]
        for mount in mounts:
            for length in range(len(parts), -1, -1):
                yield mount.joinpath(*parts[:length])


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""
