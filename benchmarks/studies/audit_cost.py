"""What the audit log costs: one append, its share of a batch, and batches with and without a log.

    python -m benchmarks.studies.audit_cost                 prints a table, then JSON
    python -m benchmarks.studies.audit_cost --folder /var/log

The share is measured in a batch of 1000 leaves in execute mode. No job is shorter than an executed
one, so the share is larger in no other batch. It is the processor time that goes into making events
and appending them, divided by the processor time of the runner and its workers together. The wait
for the last append comes on top and is listed beside it. The ratio compares the wall times of
batches with and without a log, made in turn; other work on the machine is in it too.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.studies.batches import Figures, run, settings
from benchmarks.studies.stopwatches import StopWatch, cost_of_a_stop_watch, median
from runner.audit.log import AuditLog, read_log
from runner.audit.observer import AuditObserver
from runner.audit.trail import AuditTrail
from runner.engines.machine import machine, packages

EVENT = {"event": "proved", "run": "0" * 32, "receipt_sha256": "0" * 64, "stdin_sha256": "0" * 64}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.studies.audit_cost",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--folder", type=Path, help="where files are written (a temporary folder)")
    parser.add_argument("--rounds", type=int, default=200, help="rounds of each measurement (200)")
    parser.add_argument("--batches", type=int, default=7, help="executed batches of each kind (7)")
    parser.add_argument("--leaves", type=int, default=1000, help="leaves of each batch (1000)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        figures = {**appends(folder, args.rounds), **batches(folder, args.batches, args.leaves)}
    for label, value in figures.items():
        first = label.partition(" ")[0]
        units = {"share": (100, "%"), "batch": (1, "s"), "ratio": (1, ""), "lines": (1, "")}
        units["bytes"] = (1, "")
        factor, unit = units.get(first, (1e6, "µs"))
        print(f"{label:<60} {value * factor:>12,.3f} {unit}")
    told = {"date": time.strftime("%Y-%m-%d"), "folder": str(args.folder or tempfile.gettempdir())}
    print(json.dumps({**told, "machine": machine(), **packages(), "figures": figures}))
    return 0


def appends(folder: Path, rounds: int) -> Figures:
    log = AuditLog(folder / "appends.jsonl")
    figures = {
        "one append of a line, on disk": median(rounds, lambda: log.append([EVENT])),
        "one append of 700 lines, on disk": median(rounds, lambda: log.append([EVENT] * 700)),
    }
    lines = sum(1 for _ in read_log(log.path))
    began = time.perf_counter()
    for _ in read_log(log.path):
        pass
    return {**figures, "checking one line": (time.perf_counter() - began) / lines}


def batches(folder: Path, count: int, leaves: int) -> Figures:
    making, last = StopWatch(time.thread_time), StopWatch(time.perf_counter)
    making.around(AuditObserver, "notice")
    making.around(AuditTrail, "add")
    last.around(AuditTrail, "_flush")  # only the main thread does it, at the end
    appending = _thread_time(AuditLog, "append")
    own = cost_of_a_stop_watch()
    told = f"{leaves} leaves executed"
    spent, waited, shares = [], [], []
    walls: dict[str, list[float]] = {"with": [], "without": []}
    for number in range(count):
        for watch in (making, last):
            watch.reset()
        appending[0] = 0.0
        log = folder / f"{number}.jsonl"
        for how, audit in (("with", f"audit.file={log}"), ("without", "audit=off")):
            output = folder / how / str(number)
            overrides = ["prover=execute", "guest=sha256", f"guest.count={leaves}", audit]
            before = _processor_time()
            walls[how].append(run(settings(output, folder / "batch.prom", overrides)))
            if how == "with":
                spent.append(making.seconds - making.calls * own + appending[0])
                shares.append(spent[-1] / (_processor_time() - before))
        waited.append(last.seconds)
    with_it, without = (statistics.median(walls[how]) for how in ("with", "without"))
    return {
        f"batch wall time with a log, {told}": with_it,
        f"batch wall time without, {told}": without,
        "ratio of the two": with_it / without,
        f"batch wall time in the last append, {told}": statistics.median(waited),
        f"batch processor time of the log, {told}": statistics.median(spent),
        f"share of the log, {told}": statistics.median(shares),
        f"share of the log, {told}, the largest": max(shares),
        "lines of a batch": sum(1 for _ in read_log(log)),
        "bytes of a batch": log.stat().st_size,
    }


def _processor_time() -> float:
    """Processor seconds of this process and of those of its workers that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _thread_time(owner: Any, name: str) -> list[float]:  # noqa: ANN401  # a class
    """Sum the processor time that all threads spend in a function, in a list of one number."""
    function, spent = getattr(owner, name), [0.0]

    def timed(*args: Any) -> Any:  # noqa: ANN401
        began = time.thread_time()
        try:
            return function(*args)
        finally:
            spent[0] += time.thread_time() - began

    setattr(owner, name, timed)
    return spent


if __name__ == "__main__":
    sys.exit(main())
