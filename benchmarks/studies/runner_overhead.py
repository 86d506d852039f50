"""What the runner adds to its jobs, against the same jobs in a plain loop over the extension.

    python -m benchmarks.studies.runner_overhead            prints a table, then JSON (two minutes)
    python -m benchmarks.studies.runner_overhead --real     proves a batch too (a minute more)

Both sides execute the same sha256 leaves and the same aggregations of 16 children each, and must
end with the same root. They alternate within one run, so that a machine that slows down slows both.
``loop`` is what one would write without a runner: a ``for`` over ``runner_risc0.execute``, or
``ProcessPoolExecutor.map`` over it in chunks of 16. Both cost next to nothing. The loop plans,
checks, records and writes nothing. The start and end of all worker processes counts on both sides.
The start of the command, before its configuration is composed, does not count.

``added a job`` is wall time. The processor time of all processes is listed beside it: other
programs do not change it, and more workers hide none of it. The parts are processor time too. They
come from one more batch in a single process, and the stop-watch's own cost is taken off. Keys are
only made where there is a cache, and messages are only sent where there are worker processes.
"""

from __future__ import annotations

import argparse
import functools
import json
import multiprocessing
import os
import pickle
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import runner_risc0 as native

from benchmarks.studies import batches
from benchmarks.studies.stopwatches import Parts, cost_of_a_part
from runner.batch import batch_jobs, batch_run, counters, outputs, prepare
from runner.cache.keys import proof_key
from runner.codec.reads import encode, word_field
from runner.engines.machine import machine, packages
from runner.executor import PlanExecutor
from runner.limits import cores
from runner.model import ProofJob, ReceiptKind
from runner.monitoring import tally
from runner.plan.input_file import file_reader
from runner.plan.journal import aggregator_stdin
from runner.provers.guests import AGGREGATOR, DEFAULT_FOLDER, Manifest, read_elf
from runner.provers.prover import ProverSpec
from runner.provers.worker import perform

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.studies.batches import Figures

FAN_IN = 16
GUEST = "sha256"
Claim = tuple[bytes, bytes]
Job = tuple[str, bytes, list[Claim]]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.studies.runner_overhead",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--leaves", type=int, default=1000, help="leaves of each batch (1000)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of loop and runner (5)")
    parser.add_argument(
        "--workers", type=int, default=cores(), help="worker processes (one per core)"
    )
    parser.add_argument("--real", action="store_true", help="a batch of real proofs too (a minute)")
    args = parser.parse_args()
    figures: Figures = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for workers in (0, args.workers):
            figures |= compare(folder, args.leaves, workers, args.rounds)
        if args.real:
            figures |= real(folder / "real")
        figures |= messages()
        figures |= parts(folder, args.leaves)  # this comes last, because its stop-watches stay
    for label, value in figures.items():
        unit = {"share": "%", "seconds": "s"}.get(label.partition(" ")[0], "ms")
        factor = {"%": 100, "s": 1, "ms": 1000}[unit]
        print(f"{label:<64} {value * factor:>10,.3f} {unit}")
    print(json.dumps({"machine": machine(), **packages(), "figures": figures}))
    return 0


# -- the loop that one would write -------------------------------------------------------------


@functools.cache
def programs() -> dict[str, tuple[bytes, bytes]]:
    """Image id and binary of both guests by name. Each process reads them once."""
    guests = Manifest.load(DEFAULT_FOLDER).guests
    return {name: (guests[name].image_id, read_elf(guests[name])) for name in (GUEST, AGGREGATOR)}


def execute(job: Job) -> bytes:
    name, stdin, claims = job
    return native.execute(programs()[name][1], stdin, claims, segment_po2=20).journal


def stdins(leaves: int) -> list[bytes]:
    fields = [word_field("data", "bytes")]
    return [encode(fields, f"leaf-{number}", file_reader(Path()))[1] for number in range(leaves)]


def loop(leaves: int, workers: int) -> bytes:
    """Run all jobs and return the root's journal; with 0 ``workers`` they run in this process."""
    if workers == 0:
        return _levels(leaves, lambda jobs: [execute(job) for job in jobs])
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context) as pool:
        return _levels(leaves, lambda jobs: list(pool.map(execute, jobs, chunksize=FAN_IN)))


def _levels(leaves: int, run: Callable[[Sequence[Job]], list[bytes]]) -> bytes:
    leaf, aggregator = programs()[GUEST][0], programs()[AGGREGATOR][0]
    nodes = [(leaf, journal) for journal in run([(GUEST, data, []) for data in stdins(leaves)])]
    while len(nodes) > 1:
        groups = [nodes[at : at + FAN_IN] for at in range(0, len(nodes), FAN_IN)]
        jobs = [(AGGREGATOR, aggregator_stdin(aggregator, group), group) for group in groups]
        nodes = [(aggregator, journal) for journal in run(jobs)]
    return nodes[0][1]


# -- the runner ------------------------------------------------------------------------------


def run(output: Path, *overrides: str) -> dict[str, Any]:
    """Run one batch, and return what it recorded with its wall and processor seconds."""
    given = [*overrides, f"audit.file={output}/audit.jsonl"]
    settings = batches.settings(output, output.parent / "batch.prom", given)
    spent = _processor_s()
    wall = batches.run(settings)
    spent = _processor_s() - spent
    record: dict[str, Any] = json.loads((output / "result.json").read_bytes())
    return {**record, "wall": wall, "processor": spent}


def executed(output: Path, leaves: int, workers: int) -> dict[str, Any]:
    engine = [f"executor.workers={workers}"] if workers else ["executor=inline"]
    shape = ["strategy=three_level", f"strategy.fan_in={FAN_IN}", f"guest.count={leaves}"]
    return run(output, "prover=execute", f"guest={GUEST}", *shape, *engine)


def _processor_s() -> float:
    """Processor seconds of this process and its ended children."""
    return sum(os.times()[:4])


def compare(folder: Path, leaves: int, workers: int, rounds: int) -> Figures:
    found: dict[str, list[float]] = {"wall": [], "processor": [], "loop": [], "first": []}
    for number in range(rounds):
        taken = {}
        # The order changes, so that neither side always runs on a machine that the other heated.
        for side in ("loop", "runner") if number % 2 else ("runner", "loop"):
            if side == "loop":
                clock, spent = time.perf_counter(), _processor_s()
                root = loop(leaves, workers)
                taken[side] = (time.perf_counter() - clock, _processor_s() - spent)
            else:
                record = executed(folder / f"{workers}-{number}", leaves, workers)
                taken[side] = (record["wall"], record["processor"])
        assert record["root"]["journal"] == root.hex()
        jobs = record["jobs"]
        found["wall"].append((taken["runner"][0] - taken["loop"][0]) / len(jobs))
        found["processor"].append((taken["runner"][1] - taken["loop"][1]) / len(jobs))
        found["loop"].append(taken["loop"][0] / len(jobs))
        found["first"].append(min(job["started"] for job in jobs) - record["started"])
    where = f"{workers} processes" if workers else "one process"
    names = {
        "loop": f"a job in the loop, {where}",
        "wall": f"added a job, {where}",
        "processor": f"added a job, {where}, processor time",
    }
    if workers:
        names["first"] = "seconds until a worker starts the first job"
    return {label: statistics.median(found[name]) for name, label in names.items()}


# -- the parts -----------------------------------------------------------------------------------


def parts(folder: Path, leaves: int) -> Figures:
    own = cost_of_a_part()
    watch = Parts()
    watch.around("zkVM", native, "execute")
    watch.around("worker", batch_run, "perform")
    watch.around("plan", prepare, "leaves", "distinct", "make_plan")
    watch.around("jobs", batch_jobs.BatchJobs, "build", "load", "accept")
    watch.around("dispatch", PlanExecutor, "run")
    watch.around("recording", counters.RunCounters, "notice")
    watch.around("recording", tally.Tally, "notice")
    watch.around("outputs", outputs.Outputs, "done")
    jobs = len(executed(folder / "parts", leaves, 0)["jobs"])
    spent = {name: watch.seconds[name] - own * watch.calls[name] for name in watch.calls}
    del spent["zkVM"]
    return {f"part, {name}": seconds / jobs for name, seconds in spent.items()}


def messages() -> Figures:
    """Measure a job's way to a worker process and back, without the pipe's two system calls."""
    guest = Manifest.load(DEFAULT_FOLDER).guests[GUEST]
    spec = ProverSpec("risc0", ReceiptKind.EXECUTE)
    job = ProofJob(5, "leaf 5", guest, stdins(6)[5], (), ReceiptKind.EXECUTE)
    call = functools.partial(perform, spec)
    outcome = call(job)

    def there_and_back() -> None:
        pickle.loads(pickle.dumps((call, (job,), {})))
        pickle.loads(pickle.dumps((True, outcome)))

    def key() -> None:
        name = {"zkvm": "risc0", "zkvm_version": "3.0.6", "kind": ReceiptKind.COMPOSITE}
        proof_key(**name, image_id=guest.image_id, stdin=job.stdin)  # type: ignore[arg-type]

    return {
        "part, keys": _call_s(key),
        "part, messages to and from a worker": _call_s(there_and_back),
    }


def _call_s(action: Callable[[], None], times: int = 2000) -> float:
    taken = []
    for _ in range(7):
        began = time.thread_time()
        for _ in range(times):
            action()
        taken.append((time.thread_time() - began) / times)
    return statistics.median(taken)


# -- real proofs ---------------------------------------------------------------------------------


def real(output: Path) -> Figures:
    """Prove six leaves and their aggregation: when did no worker prove, although there was work?"""
    record = run(output, "guest=fibonacci", f"cache.folder={output.parent / 'proofs'}")
    wall, jobs = record["wall"], sorted(record["jobs"], key=lambda job: float(job["started"]))
    workers = {job["worker"] for job in jobs}
    leaves = [job for job in jobs if job["level"] == 0]
    between = sum(
        after["started"] - before["finished"]
        for worker in workers
        for before, after in pairwise([job for job in leaves if job["worker"] == worker])
    )
    nobody, until = 0.0, record["started"]
    for job in jobs:
        nobody += max(0.0, job["started"] - until)
        until = max(until, job["finished"])
    nobody += record["started"] + wall - until
    verifying = sum(job["verify_s"] for job in jobs) / len(workers)
    return {
        f"seconds of {len(jobs)} real proofs": wall,
        "share with no job in any worker": nobody / wall,
        "share between two leaves of a worker": between / len(workers) / wall,
        "share of verification by the workers": verifying / wall,
    }


if __name__ == "__main__":
    sys.exit(main())
