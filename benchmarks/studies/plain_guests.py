"""Real proofs of the plain std guests and of ours, side by side in one run.

    make bench-proof                        12 leaves, and one aggregation over them
    make bench-proof ARGS="--leaves 4"      a quicker look

The plain side proves as the library does by itself: the extension leaves the constraints to the
library's code, which works on one number at a time (``RUNNER_SIMD=off``). Everything else is the
same on both sides, including the CPU that the Rust code is compiled for. Leaves alternate, so that
a machine that slows down slows both sides. Times are those of single proofs on all cores: wall
seconds, and processor seconds, which other work on the machine hardly changes. The last two lines
are

    processor time: leaf <ratio> aggregation <ratio> batch <ratio>
    leaf <ratio> aggregation <ratio> batch <ratio>

where each ratio is the time of the plain guests divided by ours. The last line is of wall time.
``--simd avx2`` lets our side use no better instructions than those. ``--save FILE`` keeps every
figure as JSON.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import struct
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import runner_risc0 as native

from runner.engines.machine import machine, packages
from runner.plan.journal import aggregator_stdin
from runner.provers.guests import DEFAULT_FOLDER, Manifest, read_elf

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor

    from runner.model import Guest

    Claims = Sequence[tuple[bytes, bytes]]

ROOT = Path(__file__).resolve().parents[2]
PLAIN = ROOT / "benchmarks" / "plain_guests"


@dataclass(frozen=True)
class Sample:
    """What was measured of one proof.

    Attributes:
        seconds: the wall time of the prover call.
        processor_seconds: the processor time of all its threads, in user mode and in the kernel.
        cycles: the padded cycles, which decide what the proof costs.
        user: the cycles of instructions, without padding.
        paging: the cycles of page traffic, without padding.
        receipt_bytes: the size of the encoded receipt.
    """

    seconds: float
    processor_seconds: float
    cycles: int
    user: int
    paging: int
    receipt_bytes: int


def prove(guest: Guest, stdin: bytes, receipts: list[bytes]) -> tuple[Sample, bytes, bytes]:
    """Prove and verify, and return the figures, the receipt and the journal."""
    elf = read_elf(guest)
    clock, processor = time.perf_counter(), time.process_time()
    proof = native.prove(elf, stdin, receipts)
    seconds, used = time.perf_counter() - clock, time.process_time() - processor
    journal = native.verify(proof.receipt, guest.image_id)
    run = proof.execution
    cycles = (run.total_cycles, run.user_cycles, run.paging_cycles)
    return Sample(seconds, used, *cycles, len(proof.receipt)), proof.receipt, journal


@dataclass(frozen=True)
class Side:
    """One side of the comparison.

    Attributes:
        name: the name in tables.
        manifest: the guests.
        stdin: encodes the input of the aggregator.
        process: the process in which the proofs are made.
    """

    name: str
    manifest: Manifest
    stdin: Callable[[bytes, Claims], bytes]
    process: Executor

    def prove(
        self, guest: Guest, stdin: bytes, receipts: list[bytes]
    ) -> tuple[Sample, bytes, bytes]:
        """Run :func:`prove` in the process of this side."""
        return self.process.submit(prove, guest, stdin, receipts).result()


def choose(simd: str) -> None:
    """Choose the vector instructions of the extension in this process."""
    os.environ["RUNNER_SIMD"] = simd


def process(simd: str) -> ProcessPoolExecutor:
    """Start a process of its own: the extension chooses its instructions once per process."""
    return ProcessPoolExecutor(
        1,
        multiprocessing.get_context("spawn"),
        initializer=choose,
        initargs=(simd,),
    )


def serde_stdin(own: bytes, children: Claims) -> bytes:
    """Encode the aggregator's input for ``env::read``.

    It reads a ``Vec<u8>`` as its length, followed by one word for each byte.
    """
    parts = [own, struct.pack("<I", len(children))]
    for image_id, journal in children:
        parts += (image_id, struct.pack(f"<{len(journal) + 1}I", len(journal), *journal))
    return b"".join(parts)


def measure(leaves: int, simd: str = "") -> dict[str, dict[str, list[Sample]]]:
    """Prove ``leaves`` fibonacci runs and one aggregation over them, with both sets of guests.

    ``simd`` are our side's instructions, by default the best that this CPU has.
    """
    with process("off") as library, process(simd) as vectors:
        plain = Side("plain", Manifest.load(PLAIN), serde_stdin, library)
        ours = Side("ours", Manifest.load(DEFAULT_FOLDER), aggregator_stdin, vectors)
        return compare(leaves, plain, ours)


def compare(leaves: int, plain: Side, ours: Side) -> dict[str, dict[str, list[Sample]]]:
    """Do what :func:`measure` says with two sides that are given."""
    samples: dict[str, dict[str, list[Sample]]] = {}
    done: dict[str, list[tuple[bytes, bytes]]] = {"plain": [], "ours": []}
    for n in range(10, 10 + leaves):
        for side in (plain, ours):
            guest = side.manifest.get("fibonacci")
            sample, receipt, journal = side.prove(guest, struct.pack("<I", n), [])
            samples.setdefault(side.name, {"leaf": [], "aggregation": []})["leaf"].append(sample)
            done[side.name].append((receipt, journal))
            say(f"{side.name} leaf n={n}", sample)
    for side in (plain, ours):
        aggregator = side.manifest.get("aggregator")
        image_id = side.manifest.get("fibonacci").image_id
        claims = [(image_id, journal) for _, journal in done[side.name]]
        stdin = side.stdin(aggregator.image_id, claims)
        sample, _, _ = side.prove(aggregator, stdin, [receipt for receipt, _ in done[side.name]])
        samples[side.name]["aggregation"].append(sample)
        say(f"{side.name} aggregation of {leaves}", sample)
    return samples


def say(what: str, sample: Sample) -> None:
    """Print one line for a proof as soon as it is made."""
    cycles = f"{sample.cycles:>9,} cycles (user {sample.user:,}, paging {sample.paging:,})"
    times = f"{sample.seconds:7.2f} s ({sample.processor_seconds:.2f} s of processor)"
    print(f"{what:<24} {times} {cycles} {sample.receipt_bytes:,} bytes", flush=True)


def ratios(
    samples: dict[str, dict[str, list[Sample]]], time_of: Callable[[Sample], float]
) -> dict[str, float]:
    """Divide plain time by ours: for the leaves, for the aggregations, and for the whole batch."""

    def total(side: str, *kinds: str) -> float:
        return sum(time_of(sample) for kind in kinds for sample in samples[side][kind])

    return {
        "leaf": total("plain", "leaf") / total("ours", "leaf"),
        "aggregation": total("plain", "aggregation") / total("ours", "aggregation"),
        "batch": total("plain", "leaf", "aggregation") / total("ours", "leaf", "aggregation"),
    }


def main() -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.studies.plain_guests",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--leaves", type=int, default=12, help="leaves in the batch (12)")
    parser.add_argument("--simd", default="", help="our side's RUNNER_SIMD (the CPU's best)")
    parser.add_argument("--save", type=Path, metavar="FILE", help="keep all figures as JSON")
    options = parser.parse_args()
    if not 1 <= options.leaves <= 84:
        parser.error(f"--leaves {options.leaves}: fibonacci has inputs for 1 to 84 leaves here")
    if not (PLAIN / "manifest.json").exists():
        subprocess.run([ROOT / "scripts" / "compile_guests.sh", "--plain"], check=True)
    samples = measure(options.leaves, options.simd)
    processor = ratios(samples, lambda sample: sample.processor_seconds)
    found = ratios(samples, lambda sample: sample.seconds)
    if options.save is not None:
        record = {
            "leaves": options.leaves,
            "ratios": found,
            "processor_ratios": processor,
            "samples": {
                s: {k: [asdict(x) for x in v] for k, v in kinds.items()}
                for s, kinds in samples.items()
            },
            "machine": machine(),
            "versions": {**packages(), **native.build_info()},
        }
        options.save.parent.mkdir(parents=True, exist_ok=True)
        options.save.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    for label, values in (("processor time: ", processor), ("", found)):
        print(label + " ".join(f"{name} {value:.2f}" for name, value in values.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
