"""The batch of a long leaf and a short one, in a process that is killed once enough is kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from runner.batch.run import run
from runner.engines.processes import ProcessEngine
from runner.model import ReceiptKind
from runner.provers.prover import ProverSpec
from tests import builders
from tests.fakes.long_prover import ADAPTER

if TYPE_CHECKING:
    from runner.batch.settings import Settings

__all__ = ["LONG", "kill_the_runner"]

LONG = "!long 9 leaf"
"""The input of a leaf whose run has nine segments."""

_SCRIPT = "import sys; from tests.batch.killed_runs import run_it; run_it(*sys.argv[1:])"


def run_it(output: str, guests: str, cache: str, kind: str) -> None:
    """What the process that is killed does."""
    settings = builders.batch_settings(
        Path(output),
        Path(guests),
        prover=ProverSpec(ADAPTER, ReceiptKind(kind)),
        inputs=[LONG, "short"],
        count=None,
        strategy=builders.strategy("single"),
        cache=builders.disk_cache(Path(cache)),
        make_engine=lambda: ProcessEngine(2),
    )
    run(settings)


def kill_the_runner(settings: Settings, cache: Path, entries: int) -> None:
    """Run the batch in a process of its own, and kill it when its cache has so many entries.

    Args:
        settings: those of the batch, whose output is another one.
        cache: the folder of its cache.
        entries: the number of entries, which stays as it is because something is held.
    """
    output = settings.output.with_name("killed")
    arguments = [str(output), str(settings.guests), str(cache), settings.prover.kind.value]
    process = subprocess.Popen([sys.executable, "-c", _SCRIPT, *arguments])
    with builders.disk_cache(cache) as kept:
        deadline = time.monotonic() + 60
        while kept.stats().entries < entries and time.monotonic() < deadline:
            time.sleep(0.02)
        assert kept.stats().entries == entries
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
