"""Batches of one long leaf, as a user starts them: what they take, and what a kill costs them."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["CYCLES_PER_BYTE", "LongBatch", "Ran", "killed"]

CYCLES_PER_BYTE = 1.14
"""The user cycles of the guest sha256 for each byte of a long input."""

_LOOK_S = 0.1
"""The seconds between two looks at the files of a batch that runs."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a batch took.

    Attributes:
        wall_s: its wall seconds, with the start of Python.
        mib: the peak of resident memory of its largest worker in MiB.
        disk: the largest sum of the sizes of its segments and their receipts on disk, in bytes.
    """

    wall_s: float
    mib: int
    disk: int


class LongBatch:
    """The command of a batch of one leaf: the guest sha256 on many letters ``a``.

    Args:
        folder: an empty folder for everything that the command reads and writes.
        cycles: the user cycles of the leaf, about.
        po2: the size of its segments, as a power of two of cycles.
        workers: the number of worker processes.
        prover: the prover.
        cached: whether the batch has a proof cache, which is its own.
    """

    def __init__(  # noqa: PLR0913  # what a command is made of
        self,
        folder: Path,
        cycles: int,
        po2: int,
        *,
        workers: int,
        prover: str = "composite",
        cached: bool = False,
    ) -> None:
        self._letters = b"a" * int(cycles / CYCLES_PER_BYTE)
        self._segments = folder / "segments"
        self._workers = workers
        self.output = folder / "out"
        self.audit = folder / "audit.jsonl"
        inputs = folder / "inputs.jsonl"
        inputs.write_text(json.dumps({"data": self._letters.decode()}) + "\n", encoding="utf-8")
        self._command = [
            *(sys.executable, "-m", "runner", "guest=sha256", f"guest.inputs_file={inputs}"),
            *(f"prover={prover}", f"prover.segment_po2={po2}"),
            *(f"executor.workers={workers}", "executor.timeout_s=null", "strategy=none"),
            *([f"cache.folder={folder / 'cache'}"] if cached else ["cache=off"]),
            *("metrics=off", f"audit.file={self.audit}", f"output={self.output}", "--quiet"),
        ]
        # The folders are the batch's own, so that other batches neither find nor clear anything.
        self._environment = os.environ | {
            "RUNNER_SECRET": str(folder / "secret"),
            "RUNNER_SEGMENTS": str(self._segments),
        }

    def start(self) -> subprocess.Popen[bytes]:
        """Start the command."""
        return subprocess.Popen(self._command, env=self._environment)

    def run(self) -> Ran:
        """Run the command to its end and check its result.

        Raises:
            RuntimeError: it failed, or its result is wrong.
        """
        clock, disk = time.perf_counter(), 0
        process = self.start()
        while process.poll() is None:
            disk = max(disk, self._on_disk())
            time.sleep(_LOOK_S)
        wall_s = time.perf_counter() - clock
        if process.returncode:
            raise RuntimeError(f"the batch ended with exit code {process.returncode}")
        record = json.loads((self.output / "result.json").read_text(encoding="utf-8"))
        leaf = json.loads((self.output / "leaves.jsonl").read_text(encoding="utf-8"))
        if leaf["journal"] != hashlib.sha256(self._letters).hexdigest():
            raise RuntimeError("the leaf has another hash")
        return Ran(wall_s, record["peak_memory_mib"]["largest_worker"], disk)

    def events(self, name: str) -> list[dict[str, Any]]:
        """The events of this name in the audit log, over all runs of the command."""
        try:
            lines = self.audit.read_bytes().splitlines(keepends=True)
        except FileNotFoundError:
            return []
        # The last line may be under way.
        events = [json.loads(line) for line in lines if line.endswith(b"\n")]
        return [event for event in events if event["event"] == name]

    def proved(self) -> list[dict[str, Any]]:
        """The segments that workers have proved, over all runs of the command."""
        return [event for event in self.events("segment_proved") if not event["cached"]]

    def begun(self) -> int:
        """The number of proofs of segments that were begun, over all runs of the command."""
        return sum(", segment " in event["name"] for event in self.events("job_started"))

    def _on_disk(self) -> int:
        total = 0
        for path in self._segments.glob("*/*"):
            try:
                total += path.stat().st_size
            except FileNotFoundError:  # it was proved in between
                continue
        return total


def killed(batch: LongBatch) -> Iterator[str]:
    """Kill a worker of a batch after a third of its segments, and the runner after two thirds.

    The same command is given again. Each step gives a line that says what was found.

    Raises:
        RuntimeError: the batch ended too early to be killed, or failed.
    """
    clock = time.perf_counter()
    runner = batch.start()
    try:
        while not (split := batch.events("split")):
            _still_runs(runner)
        segments = split[0]["segments"]
        yield f"{segments} segments of at most 2^{split[0]['segment_po2']}"
        while len(batch.proved()) < segments / 3:
            _still_runs(runner)
        worker = batch.proved()[-1]["worker"]
        os.kill(worker, signal.SIGKILL)
        yield f"kill -9 of a worker when {len(batch.proved())} were proved"
        while len(batch.proved()) < 2 * segments / 3:
            _still_runs(runner)
        runner.kill()
        runner.wait()
        had = len(batch.proved())
        yield f"kill -9 of the runner when {had} were proved, {time.perf_counter() - clock:.1f} s"
    finally:
        runner.kill()
        runner.wait()
    ran = batch.run()
    proved, begun = len(batch.proved()), batch.begun()
    lookups = len(batch.events("segment_proved")) - proved
    yield f"again          {ran.wall_s:.1f} s, {lookups} from the cache, {proved - had} proved"
    yield f"proved twice   {proved - segments} of {segments}"
    yield f"begun          {begun} proofs, of which {begun - proved} were lost to the two kills"


def _still_runs(runner: subprocess.Popen[bytes]) -> None:
    if runner.poll() is not None:
        raise RuntimeError("the batch ended before it was killed; use more cycles")
    time.sleep(_LOOK_S)
