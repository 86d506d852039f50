"""How much memory the client of a cluster takes for each leaf.

    python -m benchmarks.studies.client_memory                       10^3, 10^4 and 10^5 leaves
    python -m benchmarks.studies.client_memory --leaves 10000 --where

The whole command runs, with everything but workers: its engine answers each job at once, as a
worker on another machine would whose receipt is in the store. Nothing is proved. So a batch takes
as long as the client itself, and what is measured is the client's memory alone. Every batch is a
process of its own. Memory is the peak of resident memory (VmHWM in /proc); the last line is the
slope between the smallest and the largest batch.

``--where`` runs the batches in this process and prints which lines of the code hold most when all
jobs have ended, and how much each holds for a leaf.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import time
import tracemalloc
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from runner.cli.command import main as run_command
from runner.engines.engine import Engine, Host
from runner.model import Cycles, Outcome, ProofJob, Stored, Visit

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Answers"]

ROOT = Path(__file__).resolve().parents[2]
RECEIPT_BYTES = 274_303
"""The size of a receipt that each answer names; the client never has one."""


class Answers(Engine):
    """An engine that answers each job at once. It executes and proves nothing."""

    elsewhere: ClassVar[bool] = True

    def __init__(self, workers: int | None = None, timeout_s: float | None = None) -> None:
        del workers, timeout_s
        self._done = 0

    def hosts(self) -> Sequence[Host]:
        return [Host(f"machine-{number:03}", 8, 8) for number in range(8)]

    def submit(self, fn: object, /, *args: Any, **kwargs: Any) -> Future[Any]:  # noqa: ANN401
        del fn, kwargs
        (job,) = args
        assert isinstance(job, ProofJob)
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        future.set_result(self._outcome(job))
        self._done += 1
        return future

    def _outcome(self, job: ProofJob) -> Outcome:
        digest, now, host = hashlib.sha256(job.stdin), time.time(), f"machine-{self._done % 8:03}"
        return Outcome(
            job_id=job.id,
            # Each answer from another machine comes with copies of its own.
            image_id=bytes(bytearray(job.guest.image_id)),
            journal=job.expected or digest.digest(),
            receipt=None,
            kind=job.kind,
            cycles=Cycles(self._done + 10_000, self._done + 20_000, 1 << 16, 1),
            prove_s=now / 7,
            verify_s=now / 11,
            verifications=1,
            worker=10_000 + self._done % 8,
            started=now,
            finished=now + 1.0,
            stored=Stored(digest.hexdigest(), RECEIPT_BYTES, "".join(host)),
            visit=Visit(host, 0, 0, RECEIPT_BYTES),
        )


def arguments(folder: Path, count: int) -> list[str]:
    """The arguments of the command for a batch of so many leaves."""
    return [
        *("prover=execute", "guest=sha256", f"guest.count={count}", "strategy=auto"),
        *("executor=inline", f"executor.engine._target_={__spec__.name}.Answers"),
        *("store=shared", f"store.url=file://{folder}/store"),
        *("progress=none", "log_level=error", "metrics=off", f"output={folder}/{count}"),
    ]


def main() -> int:
    """Measure, and print a line for each batch."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.studies.client_memory",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--leaves", type=int, nargs="+", default=[10**3, 10**4, 10**5])
    parser.add_argument("--where", action="store_true", help="say which lines hold the memory")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, peaks = Path(name), {}
        for count in sorted(given.leaves):
            if given.where:
                where(folder, count)
                continue
            peaks[count], wall_s = peak_mib(folder, count)
            print(f"{count:>9,} leaves  {peaks[count]:8.1f} MiB  {wall_s:8.1f} s", flush=True)
    if len(peaks) > 1:
        small, large = min(peaks), max(peaks)
        more = (peaks[large] - peaks[small]) * 2**20 / (large - small)
        print(f"a leaf more takes {more:,.0f} bytes")
    return 0


def peak_mib(folder: Path, count: int) -> tuple[float, float]:
    """The peak of a batch's process in MiB, and the seconds that it took."""
    script = (
        "import sys; from runner.cli.command import main; code = main();"
        "print([line for line in open('/proc/self/status') if 'VmHWM' in line][0].split()[1]);"
        "sys.exit(code)"
    )
    command = [sys.executable, "-c", script, *arguments(folder, count)]
    clock = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return int(done.stdout.split()[-1]) / 1024, time.perf_counter() - clock


def where(folder: Path, count: int) -> None:
    """Print the lines that hold most when the executor has run all jobs of a batch."""
    from runner.executor import PlanExecutor

    run = PlanExecutor.run

    def watched(self: PlanExecutor) -> None:
        run(self)
        found = tracemalloc.take_snapshot().statistics("lineno")
        print(f"{count:,} leaves: {sum(one.size for one in found) / count:,.0f} bytes a leaf")
        for one in found[:25]:
            frame = one.traceback[0]
            file = Path(frame.filename)
            shown = file.relative_to(ROOT) if file.is_relative_to(ROOT) else file.name
            print(f"  {one.size / count:8.1f}  {shown}:{frame.lineno}")

    PlanExecutor.run = watched  # type: ignore[method-assign]  # a look from outside, in this study
    sys.argv[1:] = arguments(folder, count)
    tracemalloc.start()
    try:
        run_command()
    finally:
        tracemalloc.stop()
        PlanExecutor.run = run  # type: ignore[method-assign]


if __name__ == "__main__":
    sys.exit(main())
