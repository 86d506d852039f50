"""Two versions side by side, in one go, on this machine: is the second one slower?

    python benchmarks/compare.py                  the work tree against where it left main
    python benchmarks/compare.py BASE             ... against a commit, branch or tag
    python benchmarks/compare.py BASE HEAD        two commits
    python benchmarks/compare.py --noise 6        how far equal versions seem apart here

Both run the work tree's benchmarks in turn, with the order changed each round, so that a machine
that slows down slows both. The ratio is that of the shortest times. What is slower than the bound
is measured once more; if it is slower again, the exit code is 1. 2: unusable input.

Processor time is compared, which other work on the machine hardly changes; wall time in the groups
disk, processes and proof, which are about waiting.

Files are written in memory (/dev/shm) where there is such a folder: what a disk takes depends on
what else it does, and hides everything the code does. --folder measures on a disk.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import gate
import sides

from runner.errors import InputError
from runner.provers.machine import cores

if TYPE_CHECKING:
    from collections.abc import Sequence

MEMORY = Path("/dev/shm")
USUAL = "not real and not slow"
TWICE = "Nothing was slower than its bound twice."
ROUND_S = 0.001
"""Calls are repeated until a round takes as long, so that the clock's own steps do not matter."""


def main(arguments: list[str] | None = None, root: Path = sides.ROOT) -> int:
    """Run the command line in the repository ``root``; returns the exit code."""
    options = parsed(arguments)
    try:
        with ExitStack() as stack:
            return compare(options, root, stack)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except sides.SuiteError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("base", nargs="?", metavar="BASE", help="revision to compare with")
    parser.add_argument("head", nargs="?", metavar="HEAD", help="revision; the work tree")
    parser.add_argument("--rounds", type=int, default=5, help="passes of each version (5)")
    parser.add_argument(
        "--seconds", type=float, default=0.2, help="for each benchmark in a pass (0.2)"
    )
    parser.add_argument(
        "--bound",
        action="append",
        default=[],
        metavar="[GROUP=]RATIO",
        help="largest ratio taken for noise, for all groups or one; repeatable",
    )
    parser.add_argument("-k", metavar="EXPRESSION", help="which benchmarks, as for pytest")
    parser.add_argument("-m", default=USUAL, metavar="MARKS", help=f"({USUAL}); real: proofs")
    parser.add_argument("--build", action="store_true", help="build each version's extension")
    parser.add_argument("--folder", type=Path, help="where measured files are written")
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="keep every pass as JSON")
    parser.add_argument("--noise", type=int, metavar="N", help="compare BASE N times with itself")
    return parser.parse_args(arguments)


def compare(options: argparse.Namespace, root: Path, stack: ExitStack) -> int:
    """Measure, judge, and measure again what seems slower.

    Raises:
        InputError: unusable input.
        SuiteError: a version cannot be measured.
    """
    bounds = bounds_of(options.bound)
    bench = prepared(options, root, stack)
    busy = warning(os.getloadavg()[0], cores())
    if busy:
        bench.say(busy)
    if options.noise:
        return noise(bench, options.noise, bounds)
    rows = gate.judge(*bench.passes(options.rounds), bounds)
    print(f"\n{bench.base.name} against {bench.head.name}, {options.rounds} passes each")
    print(f"\n{gate.table(rows)}")
    slower = [row.name for row in rows if row.verdict == "slower"]
    verdict = f"Nothing is slower than its bound, of {len(rows)} benchmarks."
    if slower:
        bench.say(f"measuring again what seems slower: {len(slower)} of {len(rows)}")
        again = gate.judge(*bench.passes(options.rounds, slower), bounds)
        print(f"\nonce more\n\n{gate.table(again)}")
        slower = [row.name for row in again if row.verdict == "slower"]
        names = ", ".join(map(gate.short, slower))
        verdict = f"Slower than the bound, twice: {names}." if slower else TWICE
    bench.say_what_failed()
    print("\n" + "\n".join(filter(None, [busy, verdict])))
    return 1 if slower or bench.failed["head"] else 0


def prepared(options: argparse.Namespace, root: Path, stack: ExitStack) -> Bench:
    """Check the command line, then check out what it names.

    Raises:
        InputError: unusable input.
        SuiteError: a version cannot be checked out or built.
    """
    for name in ("rounds", "noise", "seconds"):
        value = getattr(options, name)
        if value is not None and value <= 0:
            raise InputError(f"--{name}", value, "nothing to measure", "give at least 1")
    base_name = options.base or ("HEAD" if options.noise else sides.default_base(root))
    base_commit = sides.resolve("BASE", base_name, root)
    head_name = base_commit if options.noise else options.head
    head_commit = sides.resolve("HEAD", head_name, root) if head_name else None
    for commit in filter(None, dict.fromkeys([base_commit, head_commit])):
        if not options.build and not sides.has_the_installed_extension(commit, root):
            problem = f"its {sides.CRATE} is not the work tree's, which the extension is built from"
            remedy = "give --build, which builds each version's own (minutes)"
            raise InputError("BASE, HEAD", commit[:10], problem, remedy)
    if options.folder is not None and not options.folder.is_dir():
        raise InputError("--folder", str(options.folder), "no such folder", "make it, or leave out")
    place = temporary(stack)
    memory = MEMORY if os.access(MEMORY, os.W_OK) else None
    files = temporary(stack, options.folder.resolve() if options.folder else memory)
    base = checked_out("base", base_commit, place, root, stack)
    head = sides.work_tree("head", root)
    if head_commit is not None:
        head = checked_out("head", head_commit, place, root, stack)
    return Bench(base, head, sides.copy_suite(place / "suite", root), files, options)


def noise(bench: Bench, times: int, bounds: dict[str, float]) -> int:
    """Compare a version with itself: the ratios furthest from 1, by benchmark."""
    found: dict[str, list[float]] = {}
    limits: dict[str, float] = {}
    for _ in range(times):
        for row in gate.judge(*bench.passes(bench.options.rounds), bounds):
            found.setdefault(row.name, []).append(row.ratio or 1)
            limits[row.name] = row.bound
    outside = 0
    print(f"\n{bench.base.name} against itself, {times} times {bench.options.rounds} passes")
    print(f"\n{'benchmark':<40} {'least':>6} {'most':>6} {'bound':>6}")
    for name, ratios in found.items():
        beyond = sum(ratio > limits[name] for ratio in ratios)
        outside += beyond
        shown = f"{gate.short(name):<40} {min(ratios):>6.2f} {max(ratios):>6.2f}"
        print(f"{shown} {limits[name]:>6.2f}{f'  beyond {beyond} times' if beyond else ''}")
    total = sum(map(len, found.values()))
    print(f"\n{outside} of {total} ratios beyond the bound (measured once, not twice).")
    return 0


def warning(load: float, cpus: int) -> str | None:
    """What to think of wall times taken now.

    The shortest of many calls is one that nobody interrupted, and there is none of a call that
    takes longer than the system lets a process run.
    """
    if load <= cpus:
        return None
    told = f"load {load:.1f} on {cpus} cores when this began"
    return f"warning: {told}; wall times of more than some milliseconds cannot be judged"


def bounds_of(texts: Sequence[str]) -> dict[str, float]:
    """``--bound``: ratios by group, ``""`` for all.

    Raises:
        InputError: not a number above 1, or no such group.
    """
    found = {}
    for text in texts:
        group, _, number = text.rpartition("=")
        try:
            found[group] = float(number)
        except ValueError:
            found[group] = 0.0
        if not 1 < found[group] < float("inf"):
            raise InputError("--bound", text, "not a ratio above 1", "give e.g. 1.2 or disk=2")
        if group and group not in gate.BOUNDS:
            raise InputError("--bound", text, "no such group", f"use {', '.join(gate.BOUNDS)}")
    return found


def temporary(stack: ExitStack, parent: Path | None = None) -> Path:
    """A folder that goes when the comparison ends."""
    folder = tempfile.TemporaryDirectory(prefix="bench-compare-", dir=parent)
    return Path(stack.enter_context(folder))


def checked_out(label: str, commit: str, place: Path, root: Path, stack: ExitStack) -> sides.Side:
    """A commit with its own extension, where that is another one than the installed."""
    folder = stack.enter_context(sides.checkout(commit, place / label, root))
    extension = None
    if not sides.has_the_installed_extension(commit, root):
        extension = sides.build_extension(folder, place / f"{label}-extension")
    return sides.Side(label, folder, sides.describe(commit, root), extension)


@dataclass
class Bench:
    """Measures two versions in turn.

    Attributes:
        suite: the folder pytest runs in.
        files: the folder for what benchmarks write.
        options: the command line's.
    """

    base: sides.Side
    head: sides.Side
    suite: Path
    files: Path
    options: argparse.Namespace

    def __post_init__(self) -> None:
        self.failed: dict[str, list[str]] = {"base": [], "head": []}
        self._number = 0

    def passes(
        self, rounds: int, names: Sequence[str] = ()
    ) -> tuple[list[gate.Pass], list[gate.Pass]]:
        """All passes of base and of head; ``names`` limits them to some benchmarks."""
        found: dict[str, list[gate.Pass]] = {"base": [], "head": []}
        chosen = [*names] or ["benchmarks", "-m", self.options.m]
        chosen += ["-k", self.options.k] if self.options.k and not names else []
        chosen += [
            f"--benchmark-max-time={self.options.seconds}",
            f"--benchmark-min-time={ROUND_S}",
            "--benchmark-min-rounds=3",
            "--benchmark-timer=time.process_time",
            f"--basetemp={self.files / 'pytest'}",
        ]
        for number in range(rounds):
            order = (self.base, self.head) if number % 2 == 0 else (self.head, self.base)
            began = time.monotonic()
            for side in order:
                times, failed = sides.measure(side, self.suite, chosen, self._kept(side))
                found[side.label].append(times)
                self.failed[side.label] = failed or self.failed[side.label]
            self.say(f"round {number + 1} of {rounds}: {time.monotonic() - began:.0f} s")
        return found["base"], found["head"]

    def say(self, text: str) -> None:
        """Progress, apart from the result."""
        print(text, file=sys.stderr, flush=True)

    def say_what_failed(self) -> None:
        """Benchmarks that end with an error, on either side."""
        for label, lines in self.failed.items():
            if lines:
                told = "not compared" if label == "base" else "this fails the comparison"
                print(f"\nfailed on {label}, {told}:\n  " + "\n  ".join(lines))

    def _kept(self, side: sides.Side) -> Path | None:
        folder: Path | None = self.options.save
        if folder is None:
            return None
        folder.mkdir(parents=True, exist_ok=True)
        self._number += 1
        stamp = time.strftime("%Y%m%d_%H%M%S", time.gmtime())
        return folder / f"{stamp}_{self._number:04}_{side.commit['id'][:12]}.json"


if __name__ == "__main__":
    sys.exit(main())
