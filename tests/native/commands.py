"""Commands that tests of real batches run, and the workers of a command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def call(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )


def workers(pid: int) -> list[int]:
    """The worker processes of a runner. Each was started by a thread of its own."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    found = [child for task in tasks for child in task.read_text().split()]
    return [
        int(child)
        for child in found
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]
