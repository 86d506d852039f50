"""Runs the suite on two versions in turn, and says which benchmarks are slower on the second."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.compare import gate, sides
from runner.limits import cores

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence
    from pathlib import Path

TWICE = "Nothing was slower than its bound twice."
ROUND_S = 0.001
"""Calls are repeated until a round takes this long, so that the clock's own steps do not matter."""


@dataclass
class Comparison:
    """Two versions and how they are measured.

    Attributes:
        base: the version that is compared with.
        head: the version that is judged.
        suite: the folder with the copy of the suite, in which pytest runs.
        files: the folder in which benchmarks write their files.
        options: the options of the command line.
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
        """Run all passes of base and of head.

        Args:
            rounds: the number of passes of each version.
            names: the benchmarks that run; none means all that the command line chooses.
        """
        found: dict[str, list[gate.Pass]] = {"base": [], "head": []}
        chosen = [*names] or [sides.BENCHMARKS, "-m", self.options.m]
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
        """Print progress, which is kept apart from the result."""
        print(text, file=sys.stderr, flush=True)

    def say_what_failed(self) -> None:
        """Print the benchmarks that ended with an error, for each version."""
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


def compare(comparison: Comparison, rounds: int, bounds: Mapping[str, float]) -> int:
    """Measure both versions, judge them, and measure again what seems slower.

    Args:
        comparison: the two versions.
        rounds: the number of passes of each version.
        bounds: the bounds that were given on the command line.

    Returns:
        The exit code.

    Raises:
        InputError: the options choose no benchmark.
        SuiteError: a version cannot be measured.
    """
    busy = warning(os.getloadavg()[0], cores())
    if busy:
        comparison.say(busy)
    rows = gate.judge(*comparison.passes(rounds), bounds)
    print(f"\n{comparison.base.name} against {comparison.head.name}, {rounds} passes each")
    print(f"\n{gate.table(rows)}")
    slower = [row.name for row in rows if row.verdict == "slower"]
    verdict = f"Nothing is slower than its bound, of {len(rows)} benchmarks."
    if slower:
        comparison.say(f"measuring again what seems slower: {len(slower)} of {len(rows)}")
        again = gate.judge(*comparison.passes(rounds, slower), bounds)
        print(f"\nonce more\n\n{gate.table(again)}")
        slower = [row.name for row in again if row.verdict == "slower"]
        names = ", ".join(map(gate.short, slower))
        verdict = f"Slower than the bound, twice: {names}." if slower else TWICE
    comparison.say_what_failed()
    print("\n" + "\n".join(filter(None, [busy, verdict])))
    return 1 if slower or comparison.failed["head"] else 0


def noise(comparison: Comparison, times: int, bounds: Mapping[str, float]) -> int:
    """Compare a version with itself, and print how far the ratios of each benchmark are from 1.

    Args:
        comparison: the version, as base and as head.
        times: the number of comparisons.
        bounds: the bounds that were given on the command line.

    Returns:
        The exit code.
    """
    busy = warning(os.getloadavg()[0], cores())
    if busy:
        comparison.say(busy)
    found: dict[str, list[float]] = {}
    limits: dict[str, float] = {}
    rounds = comparison.options.rounds
    for _ in range(times):
        for row in gate.judge(*comparison.passes(rounds), bounds):
            found.setdefault(row.name, []).append(row.ratio or 1)
            limits[row.name] = row.bound
    outside = 0
    print(f"\n{comparison.base.name} against itself, {times} times {rounds} passes")
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
    """Say that wall times taken now cannot be judged, or nothing where they can.

    The shortest of many calls is one that nobody interrupted. A call that takes longer than the
    system lets a process run has no such round.
    """
    if load <= cpus:
        return None
    told = f"load {load:.1f} on {cpus} cores when this began"
    return f"warning: {told}; wall times of more than some milliseconds cannot be judged"
