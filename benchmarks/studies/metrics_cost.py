"""What metrics cost: one event, the metrics text, one durable write, and their share of a batch.

    python -m benchmarks.studies.metrics_cost                 prints a table, then JSON
    python -m benchmarks.studies.metrics_cost --folder /var/lib/node_exporter

All times are medians of wall time. The share is measured in a batch of 1000 leaves in execute mode.
No job is shorter than an executed one, so the share is larger in no other batch. Two times of the
main thread are in it. The time in the recorder and the live file is processor time, so that other
processes do not count, and the stop-watch's own time is taken off. The time in the ledger and the
textfile is wall time, because there the thread waits for the disk.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.studies.batches import Figures, run, settings
from benchmarks.studies.stopwatches import StopWatch, cost_of_a_stop_watch, median
from benchmarks.suite.builders import busy_recorder
from runner.batch import outputs
from runner.engines.machine import machine, packages
from runner.files import atomic_write
from runner.metric_table import (
    ERRORS,
    GUEST_CYCLES,
    PROOF_GENERATION_DURATION_SECONDS,
    QUEUE_DEPTH,
)
from runner.metrics import Recorder
from runner.monitoring import live_file
from runner.monitoring.ledger import KEPT_RUNS, Ledger
from runner.monitoring.ledger_file import Contents, encode
from runner.monitoring.tally import Tally


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.studies.metrics_cost",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--folder", type=Path, help="where files are written (a temporary folder)")
    parser.add_argument("--rounds", type=int, default=200, help="rounds of each measurement (200)")
    parser.add_argument("--batches", type=int, default=5, help="executed batches (5)")
    parser.add_argument("--leaves", type=int, default=1000, help="leaves of each batch (1000)")
    parser.add_argument("--real", action="store_true", help="a batch of real proofs too (a minute)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        figures = {
            **events(args.rounds),
            **texts(args.rounds),
            **writes(folder, args.rounds),
            **batches(
                folder,
                args.batches,
                f"{args.leaves} leaves executed",
                ["prover=execute", "guest=sha256", f"guest.count={args.leaves}", "audit=off"],
            ),
        }
        if args.real:
            real = ["guest=fibonacci", "cache=off", "audit=off"]
            figures |= batches(folder / "real", 1, "6 leaves proved", real)
    for label, value in figures.items():
        first = label.partition(" ")[0]
        factor, unit = {"share": (100, "%"), "batch": (1, "s"), "events": (1, "")}.get(
            first, (1e6, "µs")
        )
        print(f"{label:<66} {value * factor:>12,.3f} {unit}")
    told = {"date": time.strftime("%Y-%m-%d"), "folder": str(args.folder or tempfile.gettempdir())}
    print(json.dumps({**told, "machine": machine(), **packages(), "figures": figures}))
    return 0


def events(rounds: int) -> Figures:
    recorder = busy_recorder()
    histogram, labelled = PROOF_GENERATION_DURATION_SECONDS, GUEST_CYCLES
    return {
        "one event: counter": median(rounds, lambda: recorder.inc(ERRORS), 1000),
        "one event: counter with two labels": median(
            rounds, lambda: recorder.inc(labelled, 5, guest="sha256", type="user"), 1000
        ),
        "one event: gauge": median(rounds, lambda: recorder.set(QUEUE_DEPTH, 5), 1000),
        "one event: histogram": median(
            rounds, lambda: recorder.observe(histogram, 17, zkvm="risc0", kind="composite"), 1000
        ),
    }


def texts(rounds: int) -> Figures:
    recorder = busy_recorder()
    lines = recorder.render().decode().splitlines()
    series = sum(not line.startswith("#") for line in lines)
    return {f"rendering all {series} series": median(rounds, recorder.render)}


def writes(folder: Path, rounds: int) -> Figures:
    text = busy_recorder().render()
    fresh, full = Ledger(folder / "a.json", folder / "a.prom"), Ledger(folder / "b.json")
    full_textfile = Ledger(folder / "c.json", folder / "c.prom")
    for ledger in (full, full_textfile):
        old = busy_recorder()
        runs = tuple(f"{number:032x}" for number in range(KEPT_RUNS))
        ledger.path.write_bytes(encode(Contents(old.snapshot(), old.gauges(), runs)))
    numbers = iter(range(1_000_000))

    def record(ledger: Ledger) -> None:
        ledger.record(f"run-{next(numbers)}", busy_recorder())

    return {
        f"one durable write of {len(text)} bytes": median(
            rounds, lambda: atomic_write(folder / "x", text)
        ),
        f"one run into ledger and textfile, up to {rounds} run ids": median(
            rounds, functools.partial(record, fresh)
        ),
        f"one run into ledger and textfile, {KEPT_RUNS} run ids": median(
            rounds, functools.partial(record, full_textfile)
        ),
        f"one run into the ledger alone, {KEPT_RUNS} run ids": median(
            rounds, functools.partial(record, full)
        ),
    }


@functools.cache
def watched() -> tuple[StopWatch, StopWatch, StopWatch]:
    recording, following = StopWatch(time.thread_time), StopWatch(time.thread_time)
    publishing = StopWatch(time.perf_counter)
    for name in ("inc", "set", "observe", "value"):
        recording.around(Recorder, name)
    publishing.around(outputs, "publish")
    for name in ("__enter__", "__exit__"):
        following.around(live_file.LiveFile, name)
    following.around(Tally, "notice")  # live file and displays read from the tally
    return recording, publishing, following


def batches(folder: Path, count: int, told: str, overrides: list[str]) -> Figures:
    recording, publishing, following = watched()
    own = cost_of_a_stop_watch()
    watches = {"recording": recording, "publishing": publishing, "live figures": following}
    walls: list[float] = []
    shares: dict[str, list[float]] = {name: [] for name in [*watches, "all"]}
    for number in range(count):
        for watch in watches.values():
            watch.reset()
        wall = run(settings(folder / str(number), folder / "batch.prom", overrides))
        walls.append(wall)
        for name, watch in watches.items():
            shares[name].append((watch.seconds - watch.calls * own) / wall)
        shares["all"].append(sum(values[-1] for name, values in shares.items() if name != "all"))
    figures = {f"batch wall time, {told}": statistics.median(walls)}
    for name, values in shares.items():
        figures[f"share of {name}, {told}"] = statistics.median(values)
    figures[f"share of all, {told}, the largest"] = max(shares["all"])
    figures[f"events recorded, {told}"] = recording.calls
    return figures


if __name__ == "__main__":
    sys.exit(main())
