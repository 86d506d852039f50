"""Real proofs by several builds of the extension, side by side in one run.

    python benchmarks/bench_builds.py off=,RUNNER_SIMD=off best=          instruction sets
    python benchmarks/bench_builds.py cpu=FOLDER cuda=FOLDER              CPU against GPU

A build is ``NAME=FOLDER[,VARIABLE=VALUE...]``: the folder holds ``runner_risc0.abi3.so`` (empty:
the installed one); the variables are set for its process. Each round proves, with every build in
turn and in a process of its own, one fibonacci leaf to warm up, then a leaf and one aggregation
over ``--children`` leaves, which are timed. The last line is JSON: for each build the shortest
times in seconds of wall and of processor, and how many times as fast as the first build it is.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import struct
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Build:
    """One side of the comparison."""

    name: str
    folder: str
    variables: Mapping[str, str]

    @classmethod
    def parse(cls, text: str) -> Build:
        """From the command line; ValueError for anything that names no build."""
        first, *rest = text.split(",")
        name, equals, folder = first.partition("=")
        pairs = [one.partition("=") for one in rest]
        if not name or not equals or not all(key and sign for key, sign, _ in pairs):
            raise ValueError(f"{text!r} is not NAME=FOLDER[,VARIABLE=VALUE...]")
        if folder and not list(Path(folder).glob("runner_risc0*.so")):
            raise ValueError(f"{text!r}: there is no runner_risc0*.so in {folder}")
        return cls(name, folder, {key: value for key, _, value in pairs})

    def round(self, children: int, threads: int) -> dict[str, Any]:
        """One round in a process of its own; what :func:`prove` found."""
        paths = [*([str(Path(self.folder).resolve())] if self.folder else []), str(ROOT)]
        paths += filter(None, [os.environ.get("PYTHONPATH")])
        env = os.environ | {"PYTHONPATH": os.pathsep.join(paths), **self.variables}
        command = [sys.executable, __file__, "--prove", str(children), str(threads)]
        done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True)
        found: dict[str, Any] = json.loads(done.stdout)
        return found


def prove(children: int, threads: int) -> dict[str, Any]:
    """Seconds of a leaf and an aggregation, wall and processor; what the build says of itself."""
    import runner_risc0 as native

    from runner.plan.journal import aggregator_stdin
    from runner.provers.guests import DEFAULT_FOLDER, Manifest, read_elf

    manifest = Manifest.load(DEFAULT_FOLDER)
    guest, aggregator = manifest.get("fibonacci"), manifest.get("aggregator")

    def timed(elf: bytes, stdin: bytes, receipts: list[bytes]) -> tuple[bytes, float, float]:
        wall, spent = time.perf_counter(), time.process_time()
        proof = native.prove(elf, stdin, receipts, threads=threads)
        return proof.receipt, time.perf_counter() - wall, time.process_time() - spent

    leaf_elf = read_elf(guest)
    timed(leaf_elf, struct.pack("<I", 10), [])
    receipt, leaf_wall, leaf_spent = timed(leaf_elf, struct.pack("<I", 11), [])
    journal = native.verify(receipt, guest.image_id)
    # The same leaf as every child: one receipt stands for all.
    stdin = aggregator_stdin(aggregator.image_id, [(guest.image_id, journal)] * children)
    root, root_wall, root_spent = timed(read_elf(aggregator), stdin, [receipt])
    native.verify(root, aggregator.image_id)
    return {
        "leaf_s": leaf_wall,
        "leaf_processor_s": leaf_spent,
        "aggregation_s": root_wall,
        "aggregation_processor_s": root_spent,
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "build": native.build_info(),
    }


def compare(builds: Sequence[Build], rounds: int, children: int, threads: int) -> dict[str, Any]:
    """All rounds; the best of each build."""
    best: dict[str, dict[str, Any]] = {}
    for number in range(rounds):
        for build in builds:
            found = build.round(children, threads)
            print(
                f"round {number + 1} {build.name:<12} leaf {found['leaf_s']:7.3f} s"
                f" ({found['leaf_processor_s']:.2f} processor)  aggregation of {children}"
                f" {found['aggregation_s']:7.3f} s ({found['aggregation_processor_s']:.2f})",
                flush=True,
            )
            kept = best.setdefault(build.name, found)
            for name, value in found.items():
                if name.endswith("_s"):
                    kept[name] = min(kept[name], value)
    first = best[builds[0].name]
    for found in best.values():
        found["times_as_fast"] = {
            name: first[name] / found[name] for name in ("leaf_s", "aggregation_s")
        }
    return best


def main() -> int:
    """Run the command line; returns the exit code."""
    if sys.argv[1:2] == ["--prove"]:
        print(json.dumps(prove(*map(int, sys.argv[2:]))))
        return 0
    parser = argparse.ArgumentParser(description="Real proofs by several builds, side by side.")
    parser.add_argument("builds", nargs="+", metavar="NAME=FOLDER[,VARIABLE=VALUE...]")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--children", type=int, default=8, help="of the aggregation (default 8)")
    parser.add_argument("--threads", type=int, default=0, help="of one proof; 0: all cores")
    options = parser.parse_args()
    try:
        builds = [Build.parse(text) for text in options.builds]
    except ValueError as error:
        parser.error(str(error))
    if options.rounds < 1 or options.children < 1 or options.threads < 0:
        parser.error("--rounds and --children are at least 1, --threads at least 0")
    found = compare(builds, options.rounds, options.children, options.threads)
    print(json.dumps({"builds": [asdict(build) for build in builds], "found": found}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
