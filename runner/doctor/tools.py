"""The versions of tools on the PATH, the processor's name, and the state of the cache folder."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from runner.files import user_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["TOOLS", "ask", "cpu_model", "folder_state", "proof_cache"]

TOOLS: Mapping[str, tuple[str, ...]] = {
    "cargo": ("cargo", "--version"),
    "rustc": ("rustc", "--version"),
    "clang++": ("clang++", "--version"),
    "nvcc": ("nvcc", "--version"),
    "rzup": ("rzup", "--version"),
    "docker engine": ("docker", "version", "--format", "{{.Server.Version}}"),
}
"""The command that makes each tool print its version, by the name of the tool."""


def ask(command: Sequence[str]) -> str:
    """Run a tool and return the line with its version.

    The line is empty if the tool is missing, fails, or takes longer than ten seconds.
    """
    try:
        done = subprocess.run(  # noqa: S603  # fixed commands, from TOOLS
            command, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    release = [line for line in lines if "release" in line]  # nvcc prints a copyright notice first
    return (release or lines)[0].strip() if done.returncode == 0 and lines else ""


def cpu_model() -> str:
    """The processor's name as its maker gives it, or its architecture if there is no such name."""
    if platform.system() == "Darwin":
        return ask(("sysctl", "-n", "machdep.cpu.brand_string")) or platform.machine()
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.machine()
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found.group(1) if found else platform.machine()


def proof_cache(env: Mapping[str, str]) -> Path:
    """The default folder of the proof cache. It must be the one in ``conf/cache/disk.yaml``."""
    return user_path(env, "RUNNER_PROOFS", "cache", "proofs")


def folder_state(folder: Path) -> str:
    """Say in words whether a folder can be used, and how much space is free there."""
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return f"not writable ({there})"
    free = shutil.disk_usage(there).free / 1e9
    return f"{'ready' if there == folder else 'made when needed'}, {free:.1f} GB free"
