"""Batches of the fake prover that run beside a test."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from runner.files import SHIPPED
from tests.fakes.prover import ADAPTER

if TYPE_CHECKING:
    from pathlib import Path


class Batches:
    """Starts batches of the fake prover, and ends those that a test leaves running."""

    def __init__(self, folder: Path, guests: Path) -> None:
        self._folder = folder
        self._guests = guests
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        command = [
            *(sys.executable, "-m", "runner", "--quiet", f"prover.adapter={ADAPTER}"),
            *(f"guests={self._guests}", "guest=sha256", "guest.count=6", "executor.workers=2"),
            *("strategy=two_level", "strategy.fan_in=3", "retry.jitter_s=0"),
            f"output={self._folder / f'out{len(self._running)}'}",
            f"metrics.textfile={self._folder / 'runner.prom'}",
            *arguments,
        ]
        environment = {**os.environ, "RUNNER_PROOFS": str(self._folder / "proofs")}
        self._running.append(subprocess.Popen(command, cwd=SHIPPED, env=environment))
        return self._running[-1]

    def end(self) -> None:
        for process in self._running:
            process.kill()
            process.wait()
