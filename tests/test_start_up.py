"""What a command imports: every module costs each run its time, and each worker its memory."""

from __future__ import annotations

import struct
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from runner.engines.processes import ProcessEngine
from runner.model import ProofJob, ReceiptKind
from runner.provers.guests import DEFAULT_FOLDER, Manifest
from runner.provers.prover import ProverSpec
from runner.provers.worker import perform

if TYPE_CHECKING:
    from pathlib import Path

NEVER = {"numpy", "matplotlib", "dask", "distributed", "joblib", "tornado", "pytest"}
"""Here for tests, other engines and other commands: importing one would not fail, but be slow."""


def imported(*arguments: str) -> set[str]:
    """The modules that a command imports, or tries to."""
    command = [sys.executable, "-X", "importtime", "-m", "runner", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines}


@pytest.mark.parametrize("command", ["--help", "--cfg=job", "--info=plugins"])
def test_what_runs_nothing_loads_nothing_that_runs(command: str) -> None:
    found = imported(command)
    assert {"hydra", "runner.cli.command"} <= found
    assert (
        found
        & {"runner.batch.run", "runner.batch.batch", "runner.engines.processes", "runner_risc0"}
        == set()
    )
    needless = {"rich", "tenacity", "prometheus_client", "multiprocessing"}
    assert found & (NEVER | needless) == set()


def test_a_run_loads_what_it_uses(tmp_path: Path) -> None:
    shape = ["guest.count=3", "strategy=none", "executor=inline", f"output={tmp_path / 'out'}"]
    found = imported("prover=execute", *shape)
    assert {"runner.batch.run", "runner_risc0", "prometheus_client"} <= found
    # Retries, the push and the bars are for runs that have them.
    unused = {"tenacity", "runner.monitoring.pushgateway", "rich.live", "rich.progress"}
    assert found & (NEVER | unused) == set()


def test_a_worker_loads_the_prover_and_little_else() -> None:
    guest = Manifest.load(DEFAULT_FOLDER).get("fibonacci")
    spec = ProverSpec("risc0", ReceiptKind.EXECUTE)
    job = ProofJob(0, "leaf 0", guest, struct.pack("<I", 5), (), ReceiptKind.EXECUTE)
    with ProcessEngine(1) as engine:
        assert engine.submit(perform, spec, job).result().journal == struct.pack("<Q", 5)
        found = set(engine.submit(eval, "list(__import__('sys').modules)").result())
    ours = {name.removeprefix("runner.") for name in found if name.startswith("runner.")}
    ground = {"errors", "files", "gpus", "lifeline", "limits", "model", "text", "untrusted"}
    rooms = {"engines", "engines.worker_process", "provers", "provers.risc0"}
    prover = {f"provers.{name}" for name in ("guests", "native_module", "prover", "worker")}
    prover |= {f"provers.{name}" for name in ("composing", "part_worker", "segments", "verifying")}
    risc0 = {f"provers.risc0.{name}" for name in ("adapter", "cost", "gpu", "recursive")}
    risc0 |= {f"provers.risc0.{name}" for name in ("calls", "memory", "parts")}
    risc0 |= {"provers.risc0.environment", "provers.risc0.program"}
    assert ours == ground | rooms | prover | risc0
    needless = {"hydra", "omegaconf", "yaml", "rich", "sqlite3", "asyncio", "prometheus_client"}
    assert found & (NEVER | needless) == set()
