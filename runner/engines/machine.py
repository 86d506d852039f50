"""What a run ran on: recorded in every result, shown by the doctor."""

from __future__ import annotations

import importlib
import os
import platform
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import runner

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "TOOLS",
    "Native",
    "ask",
    "cores",
    "cpu_model",
    "folder_state",
    "load_native",
    "load_openvm",
    "machine",
    "memory_bytes",
    "packages",
    "peak_memory_mib",
    "proof_cache",
]


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


TOOLS: Mapping[str, tuple[str, ...]] = {
    "cargo": ("cargo", "--version"),
    "rustc": ("rustc", "--version"),
    "clang++": ("clang++", "--version"),
    "nvcc": ("nvcc", "--version"),
    "rzup": ("rzup", "--version"),
    "docker engine": ("docker", "version", "--format", "{{.Server.Version}}"),
}


class Native(Protocol):
    """The part of the native extension that is asked here."""

    def build_info(self) -> dict[str, Any]:
        """What the build can do."""

    def image_id(self, elf: bytes, /) -> bytes:
        """The image id of a program binary."""


def load_native() -> Native:
    """The extension itself; what is imported is only this, and only when it is asked for.

    Raises:
        ImportError: it is not installed, or does not load here.
    """
    return cast("Native", importlib.import_module("runner_risc0"))


def load_openvm() -> dict[str, Any] | None:
    """What the second zkVM's extension says of its build; None where it is not installed."""
    try:
        info: dict[str, Any] = importlib.import_module("runner_openvm").build_info()
    except ImportError:
        return None
    return info


def ask(command: Sequence[str]) -> str:
    """First line a tool prints; empty when it is not there, fails or does not answer."""
    try:
        done = subprocess.run(  # noqa: S603  # fixed commands, from TOOLS
            command, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    release = [line for line in lines if "release" in line]  # nvcc tells it in a later line
    return (release or lines)[0].strip() if done.returncode == 0 and lines else ""


def cpu_model() -> str:
    """The processor by its maker's name, as far as it is known."""
    if platform.system() == "Darwin":
        return ask(("sysctl", "-n", "machdep.cpu.brand_string")) or platform.machine()
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.machine()
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found.group(1) if found else platform.machine()


def memory_bytes() -> int:
    """Memory of the machine; 0 where it cannot be told."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return 0


def proof_cache(env: Mapping[str, str]) -> Path:
    """Where proofs are kept unless a run says otherwise (conf/cache/disk.yaml says the same)."""
    if chosen := env.get("RUNNER_PROOFS"):
        return Path(chosen)
    home = Path(env.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "zk-batch-runner" / "proofs"


def folder_state(folder: Path) -> str:
    """Whether a folder can be used, and the room there is."""
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return f"not writable ({there})"
    free = shutil.disk_usage(there).free / 1e9
    return f"{'ready' if there == folder else 'made when needed'}, {free:.1f} GB free"
