"""What metrics cost: one event, the text, one durable write, their share of a batch.

    .venv/bin/python benchmarks/metrics_cost.py                 a table, then JSON
    .venv/bin/python benchmarks/metrics_cost.py --folder /var/lib/node_exporter

Medians of wall time. The share is of a batch of 1000 leaves in execute mode: no job is shorter, so
for no batch is it larger. It is the time that the deciding thread spends in recorder and live file
(processor time, for other processes would count otherwise; less the stop-watch's own) and in ledger
and textfile (wall time, for it waits for the disk).
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from builders import busy_recorder
from hydra import compose, initialize_config_dir

from runner.batch import outputs
from runner.batch.run import run as run_batch
from runner.cli import config, schema
from runner.cli.command import CONF
from runner.files import atomic_write
from runner.metrics import Recorder
from runner.monitoring import live_file
from runner.monitoring.ledger import KEPT_RUNS, Ledger
from runner.monitoring.ledger_file import Contents, encode
from runner.monitoring.tally import Tally
from runner.provers.machine import machine, packages

if TYPE_CHECKING:
    from collections.abc import Callable

Figures = dict[str, float]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="where files are written; a temporary one")
    parser.add_argument("--rounds", type=int, default=200, help="of each measurement (200)")
    parser.add_argument("--batches", type=int, default=5, help="executed (5)")
    parser.add_argument("--leaves", type=int, default=1000, help="of each batch (1000)")
    parser.add_argument("--real", action="store_true", help="a batch of real proofs too (a minute)")
    args = parser.parse_args()
    schema.register()
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


def median(rounds: int, action: Callable[[], object], times: int = 1) -> float:
    """Seconds of one call, from the median of ``rounds`` measurements of ``times`` calls each."""
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(times):
            action()
        taken.append((time.perf_counter() - began) / times)
    return statistics.median(taken)


def events(rounds: int) -> Figures:
    recorder = busy_recorder()
    histogram, labelled = "l2_proof_generation_duration_seconds", "l2_guest_cycles_total"
    return {
        "one event: counter": median(rounds, lambda: recorder.inc("l2_errors_total"), 1000),
        "one event: counter with two labels": median(
            rounds, lambda: recorder.inc(labelled, 5, guest="sha256", type="user"), 1000
        ),
        "one event: gauge": median(rounds, lambda: recorder.set("l2_queue_depth", 5), 1000),
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


class StopWatch:
    """Sums the time spent in the functions it is put around, by the main thread.

    What runs within a function that a stop-watch is around is its caller's time.
    """

    running = False

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.reset()

    def reset(self) -> None:
        self.seconds = 0.0
        self.calls = 0

    def around(self, owner: Any, name: str) -> None:  # noqa: ANN401  # a class or a module
        function = getattr(owner, name)

        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            if StopWatch.running or threading.current_thread() is not threading.main_thread():
                return function(*args, **kwargs)
            StopWatch.running, began = True, self.clock()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds += self.clock() - began
                self.calls += 1
                StopWatch.running = False

        setattr(owner, name, timed)


def idle() -> float:
    """Seconds that a stop-watch shows for a function that does nothing."""
    watch = StopWatch(time.thread_time)
    watch.nothing = lambda: None  # type: ignore[attr-defined]
    watch.around(watch, "nothing")
    for _ in range(100_000):
        watch.nothing()  # type: ignore[attr-defined]
    return watch.seconds / watch.calls


@functools.cache
def watched() -> tuple[StopWatch, StopWatch, StopWatch]:
    recording, following = StopWatch(time.thread_time), StopWatch(time.thread_time)
    publishing = StopWatch(time.perf_counter)
    for name in ("inc", "set", "observe", "value"):
        recording.around(Recorder, name)
    publishing.around(outputs, "publish")
    for name in ("__enter__", "__exit__"):
        following.around(live_file.LiveFile, name)
    for name in ("started", "finished", "retrying", "failed", "load"):
        following.around(Tally, name)  # what the live file and the displays are read from
    return recording, publishing, following


def batches(folder: Path, count: int, told: str, overrides: list[str]) -> Figures:
    recording, publishing, following = watched()
    own = idle()
    watches = {"recording": recording, "publishing": publishing, "live figures": following}
    walls: list[float] = []
    shares: dict[str, list[float]] = {name: [] for name in [*watches, "all"]}
    for number in range(count):
        for watch in watches.values():
            watch.reset()
        wall = run(folder / str(number), folder / "batch.prom", overrides)
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


def run(output: Path, textfile: Path, overrides: list[str]) -> float:
    overrides = [*overrides, "progress=none", f"metrics.textfile={textfile}", f"output={output}"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        settings = config.settings(compose("config", overrides), output)
    began = time.perf_counter()
    run_batch(settings)
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
