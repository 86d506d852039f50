"""Two threads in one proof against two workers, and what that means on more cores.

    python -m benchmarks.studies.threads                   leaves of 2^14, 2^16 and 2^18 cycles
    python -m benchmarks.studies.threads --bytes 400000    one of 2^20 cycles (8 GB a worker)

A process is started for each core, and stays. Each round makes a proof of the guest sha256 by one
of them with one thread, then with two threads, and then two proofs side by side with one thread
each. The shortest time of each counts. Nothing else should run.

From these times follows the part of a proof that more threads do not shorten (Amdahl's law), by the
two threads against the two workers, which share the machine's memory and caches as the threads do.
The last table has the makespan of some proofs on many cores by it: as many workers as cores, with
the threads that :func:`runner.engines.engine.threads_for` gives each, and fewer workers. Where
there are more than two cores, the same is measured as well: one proof with 4, 8, ... threads beside
what the law says of it, and so many proofs side by side with one thread each.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.engines.engine import Host, threads_for
from runner.limits import cores
from runner.plan.journal import padded
from runner.provers.guests import DEFAULT_FOLDER, Manifest, read_elf

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

SIZES = (10, 20_000, 100_000)
"""Bytes of input whose hash takes 2^14, 2^16 and 2^18 padded cycles."""


@dataclass(frozen=True)
class Times:
    """Seconds of wall time.

    Attributes:
        one: a proof with one thread.
        two: a proof with two threads.
        beside: two proofs side by side, with one thread each.
    """

    one: float
    two: float
    beside: float

    @property
    def serial(self) -> float:
        """The part of a proof that one thread does alone: two = beside * (serial + rest / 2)."""
        return min(1.0, max(0.0, 2 * self.two / self.beside - 1))


def work(link: Connection) -> None:
    """Prove what the other process asks for, until it asks for nothing."""
    import runner_risc0 as native

    elf = read_elf(Manifest.load(DEFAULT_FOLDER).get("sha256"))
    while (asked := link.recv()) is not None:
        length, threads = asked
        native.prove(elf, padded(b"a" * length), [], threads=threads)
        link.send(None)


def seconds(links: list[Connection], length: int, threads: int) -> float:
    """The time until each of these processes has made its proof."""
    begin = time.perf_counter()
    for link in links:
        link.send((length, threads))
    for link in links:
        link.recv()
    return time.perf_counter() - begin


def measure(links: list[Connection], length: int, rounds: int) -> Times:
    """The shortest times of some rounds."""
    ways = ((links[:1], 1), (links[:1], 2), (links[:2], 1))
    took = [[seconds(chosen, length, threads) for chosen, threads in ways] for _ in range(rounds)]
    return Times(*map(min, zip(*took, strict=True)))


def measure_more(links: list[Connection], length: int, times: Times) -> None:
    """Print what more threads, and more workers, do on the cores of this machine."""
    threads = 4
    while threads <= len(links):
        one, beside = seconds(links[:1], length, threads), seconds(links[:threads], length, 1)
        law = times.beside * (times.serial + (1 - times.serial) / threads)
        print(
            f"    measured: one proof with {threads} threads {one:.2f} s ({law:.2f} by the law),"
            f" {threads} workers {beside:.2f} s for {threads} proofs",
            flush=True,
        )
        threads *= 2


def makespan(times: Times, jobs: int, cores: int, workers: int) -> float:
    """The seconds that equal proofs take, in waves of as many as there are workers.

    More threads than cores share the cores equally.
    """
    alone, total = times.beside, 0.0
    while jobs > 0:
        wave = min(jobs, workers)
        threads = threads_for([Host("simulated", cores, workers)], jobs)
        each = min(threads, cores / wave)
        total += alone * (times.serial + (1 - times.serial) / each)
        jobs -= wave
    return total


def main() -> None:
    """Measure each size, and print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--bytes", type=int, nargs="+", default=SIZES, help="lengths of inputs")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each length (3)")
    parser.add_argument("--cores", type=int, default=16, help="the simulated cores (16)")
    given = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    pipes = [context.Pipe() for _ in range(max(2, cores()))]
    workers = [context.Process(target=work, args=(there,), daemon=True) for _, there in pipes]
    for worker in workers:
        worker.start()
    links = [here for here, _ in pipes]
    for threads in (1, 2):
        seconds(links, SIZES[0], threads)  # what a process does once
    for length in given.bytes:
        times = measure(links, length, given.rounds)
        print(
            f"{length} bytes: one thread {times.one:.2f} s, two threads {times.two:.2f} s, two"
            f" workers {times.beside:.2f} s for two proofs; serial {times.serial:.0%}",
            flush=True,
        )
        measure_more(links, length, times)
        few = max(1, math.isqrt(given.cores))
        for jobs in (1, given.cores // 2 + 1, given.cores, 4 * given.cores):
            spans = [makespan(times, jobs, given.cores, n) for n in (given.cores, few, 1)]
            print(
                f"    {jobs} proofs on {given.cores} cores: {given.cores} workers {spans[0]:.1f} s,"
                f" {few} workers {spans[1]:.1f} s, one worker {spans[2]:.1f} s",
                flush=True,
            )
    for link in links:
        link.send(None)
    for worker in workers:
        worker.join()


if __name__ == "__main__":
    main()
