"""The command ``python -m runner`` on a cluster, and what it has proved and stored."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from tests.engines.cases import PATIENCE_S
from tests.fakes.prover import ADAPTER

if TYPE_CHECKING:
    from tests.certificates import Certificates
    from tests.engines.machines import Machines
    from tests.fakes.behaviours import Behaviours

ROOT = Path(__file__).resolve().parents[2]
LEAVES = 6


class Client:
    """The command, on the machine ``client`` of a cluster.

    Args:
        folder: Where it runs.
        machines: The cluster.
        certificates: The files with which it reaches the cluster.
        guests: The folder of the guests.
    """

    def __init__(
        self, folder: Path, machines: Machines, certificates: Certificates, guests: Path
    ) -> None:
        ca, cert, key = certificates
        self._folder = folder
        self._before = machines.on("client")
        self.arguments = [
            *("guest=sha256", f"prover.adapter={ADAPTER}", "prover.kind=composite"),
            *(f"guests={guests}", f"guest.count={LEAVES}", "progress=lines"),
            *("executor=dask", f"executor.engine.address={machines.address}"),
            f"executor.engine.tls={{ca_file: {ca}, cert_file: {cert}, key_file: {key}}}",
            *("executor.engine.heartbeat_s=0.2", "executor.engine.lost_s=20"),
            *("store=shared", f"store.url={folder / 'store'}"),
            *("metrics=off", "audit=off", "retry.wait_initial_s=0.1"),
        ]
        self._env = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
            "RUNNER_PROOFS": str(folder / "own proofs"),
            "RUNNER_SECRET": str(folder / "secret"),
            "RUNNER_SEGMENTS": str(folder / "segments"),
        }

    def start(self, name: str, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "runner", *self.arguments, f"output={name}", *arguments]
        return subprocess.Popen(
            [*self._before, *command],
            cwd=self._folder,
            env=self._env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, name: str, *arguments: str) -> tuple[int, str]:
        with self.start(name, *arguments) as process:
            text, _ = process.communicate(timeout=10 * PATIENCE_S)
        return process.returncode, text

    def check(self, name: str, *arguments: str) -> str:
        """Check a finished batch as anybody may. Returns its status."""
        found = json.loads((self._folder / name / "result.json").read_text())
        done = subprocess.run(
            [sys.executable, "-m", "runner.verify", name, *arguments],
            cwd=self._folder,
            env=self._env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return str(found["status"])


def proofs(behaviours: Behaviours) -> Counter[str]:
    """How often each leaf's proof was begun."""
    return Counter(run.stdin for run in behaviours.runs() if run.guest == "sha256")


def metrics(folder: Path) -> dict[str, float]:
    """The metrics of the last run that was given ``metrics.textfile=FOLDER/runner.prom``."""
    lines = (folder / "runner.prom").read_text().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def stored(folder: Path) -> int:
    """The number of proofs that are in the store."""
    return len(list((folder / "store" / "proofs").glob("??/*")))
