"""Commands that tests of real batches run, and the workers of a command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
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


def run_and_kill_a_worker(
    command: list[str], folder: Path, environment: dict[str, str], *, after_s: float
) -> None:
    """Run a batch to its end, one of whose workers is killed ``after_s`` seconds after its start.

    Its log is the file ``log`` in ``folder``.
    """
    log = folder / "log"
    with (
        log.open("w") as file,
        subprocess.Popen(command, cwd=folder, env=environment, stderr=file) as process,
    ):
        try:
            deadline = time.monotonic() + 300
            while not workers(process.pid):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline
                time.sleep(0.05)
            time.sleep(after_s)
            os.kill(workers(process.pid)[0], signal.SIGKILL)
            assert process.wait(timeout=900) == 0, log.read_text()
        finally:
            process.kill()
    assert "worker died (signal SIGKILL)" in log.read_text()
