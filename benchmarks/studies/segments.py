"""Long runs for real: what several workers gain that prove the segments of one run, and its cost.

    python -m benchmarks.studies.segments execute          memory and disk of a run of 10^8 cycles
    python -m benchmarks.studies.segments short            one segment, the new way and the old
    python -m benchmarks.studies.segments prove            one process, 1 and 2 workers
    python -m benchmarks.studies.segments kill             a worker and the runner are killed
    python -m benchmarks.studies.segments prove --cycles 1000000 --po2 16
    python -m benchmarks.studies.segments prove --ways whole 8 16

``execute`` cuts one run of sha256 on a long input, keeps one segment at a time and shows the
resident memory of the process as the run goes on, and the sizes of the segments. Memory rises by
some 50 MiB within the first ten segments: the executor takes a new table of 16 MiB for each, and
the C library keeps those that were freed, from the second one on. After that it should not rise.
Then it runs a whole batch in execute mode on the same input. ``short`` alternates the two calls and
compares medians. ``prove`` runs whole batches of 20 million cycles without a cache. Its way
``whole`` is the library's own: one process that proves all segments, as one job, with a thread for
each core that it may use; the others are numbers of workers. ``kill`` runs such a
batch with two workers, kills one of them after a third of the segments and the runner after two
thirds, and gives the same command again. Peak memory is that of the largest worker, and disk is the
largest sum of the files that wait in the folder of segments, looked at ten times a second.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.studies.long_batches import CYCLES_PER_BYTE, LongBatch, Ran, killed
from runner.limits import cores
from runner.plan.journal import padded
from runner.provers.guests import DEFAULT_FOLDER, Manifest, read_elf

if TYPE_CHECKING:
    from collections.abc import Callable

SEED = bytes(32)
WHOLE = 0
"""The way that has no workers: one process proves the whole run."""


def main() -> None:
    """Do one of the measurements, and print what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=("execute", "short", "prove", "kill"))
    parser.add_argument("--cycles", type=int, help="the user cycles of the run")
    parser.add_argument("--po2", type=int, default=18, help="the size of segments")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of `short`")
    parser.add_argument(
        "--ways", nargs="+", type=way, default=[WHOLE, 1, 2], help="`whole`, or numbers of workers"
    )
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(one_process(given.cycles, given.po2)))
    elif given.what == "execute":
        execute(given.cycles or 100_000_000, given.po2)
    elif given.what == "short":
        short(given.rounds)
    elif given.what == "kill":
        kill(given.cycles or 20_000_000, given.po2)
    else:
        prove(given.cycles or 20_000_000, given.po2, given.ways)


def way(text: str) -> int:
    """A number of workers, or :data:`WHOLE`.

    Raises:
        ValueError: it is neither.
    """
    return WHOLE if text == "whole" else int(text)


def message(cycles: int) -> bytes:
    """An input on which sha256 takes about so many cycles."""
    return padded(b"a" * int(cycles / CYCLES_PER_BYTE))


def elf() -> bytes:
    """The program of the guest sha256."""
    return read_elf(Manifest.load(DEFAULT_FOLDER).get("sha256"))


def peak_mib(of: int = resource.RUSAGE_SELF) -> int:
    """The peak of resident memory in MiB."""
    return resource.getrusage(of).ru_maxrss // 1024


def resident_mib() -> int:
    """The resident memory of this process now, in MiB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() >> 20


def execute(cycles: int, po2: int) -> None:
    """Cut a run, and keep one segment at a time."""
    import runner_risc0 as native

    program, sizes, resident = elf(), [], []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "segment"

        def keep(_: int, segment: bytes) -> None:
            place.write_bytes(segment)
            sizes.append(len(segment))
            resident.append(resident_mib())

        stdin = message(cycles)
        before, clock = resident_mib(), time.perf_counter()
        run = native.cut(program, stdin, keep, seed=SEED, segment_po2=po2)
        took = time.perf_counter() - clock
    print(
        f"{run.user_cycles:,} user cycles, {run.segments} segments of at most 2^{po2}, {took:.1f} s"
    )
    print(f"input          {len(stdin) / 2**20:.1f} MiB")
    steps = sorted({0, *(len(resident) * tenth // 10 for tenth in range(10)), len(resident) - 1})
    shown = ", ".join(f"{resident[step]} ({step + 1})" for step in steps)
    print(f"memory         {before} MiB before, then by segment: {shown}; peak {peak_mib()} MiB")
    print(f"segments       at most {max(sizes):,} bytes, {sum(sizes) / 2**20:.1f} MiB together")
    with tempfile.TemporaryDirectory() as folder:
        batch = LongBatch(Path(folder), cycles, po2, workers=1, prover="execute")
        done = batch.run()
        kept = sum(one.stat().st_size for one in batch.output.rglob("*") if one.is_file())
        print(f"a whole batch  {done.wall_s:.1f} s, {done.mib} MiB in the worker,", end=" ")
        print(f"{done.disk / 2**20:.1f} MiB of segments on disk, {kept:,} bytes of outputs")


def short(rounds: int) -> None:
    """Prove a run of one segment by both calls in turn."""
    import runner_risc0 as native

    program, stdin = elf(), padded(b"a" * 100)
    calls: dict[str, Callable[[bytes, bytes], object]] = {
        "as a whole": native.prove,
        "if it is short": native.prove_if_short,
    }
    took: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            clock = time.perf_counter()
            proof = call(program, stdin)
            took[name].append(time.perf_counter() - clock)
            assert isinstance(proof, native.Proof)
    for name, seconds in took.items():
        median = statistics.median(seconds)
        print(f"{name:15} median {median:.3f} s of {rounds}, {proof_cycles(native)}")


def proof_cycles(native: object) -> str:
    """The cycles of the short run."""
    run = native.execute(elf(), padded(b"a" * 100))  # type: ignore[attr-defined]  # the extension
    return f"{run.total_cycles:,} cycles"


def one_process(cycles: int, po2: int) -> dict[str, float]:
    """Prove a run in this process, as the library does it."""
    import runner_risc0 as native

    clock = time.perf_counter()
    proof = native.prove(elf(), message(cycles), segment_po2=po2)
    took = time.perf_counter() - clock
    return {"s": took, "mib": peak_mib(), "segments": proof.execution.segments}


def prove(cycles: int, po2: int, ways: list[int]) -> None:
    """Prove one long run in one process, and by some numbers of workers."""
    print(f"{cycles:,} user cycles, segments of at most 2^{po2}, {cores()} cores", flush=True)
    first = 0.0
    for workers in ways:
        with tempfile.TemporaryDirectory() as folder:
            if workers == WHOLE:
                name, ran = "one process", by_one_process(cycles, po2)
            else:
                name = f"{workers} workers"
                ran = LongBatch(Path(folder), cycles, po2, workers=workers).run()
        first = first or ran.wall_s
        print(
            f"{name:12} {ran.wall_s:8.1f} s  {ran.mib:6} MiB each"
            f"  {first / ran.wall_s:.2f} times as fast,"
            f" {ran.disk / 2**20:.1f} MiB of segments on disk",
            flush=True,
        )


def by_one_process(cycles: int, po2: int) -> Ran:
    """Prove a run as the library does it, in a process that ends."""
    command = [sys.executable, "-m", __spec__.name, "prove", "--one"]
    done = subprocess.run(
        [*command, f"--cycles={cycles}", f"--po2={po2}"],
        check=True,
        capture_output=True,
        text=True,
    )
    whole = json.loads(done.stdout)
    print(f"{whole['segments']} segments")
    return Ran(whole["s"], whole["mib"], 0)


def kill(cycles: int, po2: int) -> None:
    """Kill a worker and then the runner of a batch, and say what was proved again."""
    with tempfile.TemporaryDirectory() as folder:
        batch = LongBatch(Path(folder), cycles, po2, workers=2, cached=True)
        for line in killed(batch):
            print(line, flush=True)


if __name__ == "__main__":
    main()
