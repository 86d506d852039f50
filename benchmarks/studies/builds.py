"""Real proofs by several builds of the extension, side by side in one run.

    python -m benchmarks.studies.builds off=,RUNNER_SIMD=off best=          instruction sets
    python -m benchmarks.studies.builds old=FOLDER new=FOLDER               two versions

A build is given as ``NAME=FOLDER[,VARIABLE=VALUE...]``. The folder holds ``runner_risc0.abi3.so``;
an empty one means the installed extension. The variables are set for the build's process. Each
round proves with every build in turn, in a process of its own: first a fibonacci leaf to warm up,
then a leaf and an aggregation over ``--children`` leaves, which are timed. The last line is JSON.
It has the shortest wall and processor seconds of each build, and how many times as fast as the
first build it is.
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

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Build:
    """One build of the extension.

    Attributes:
        name: the name in tables.
        folder: the folder with the extension; empty for the installed one.
        variables: environment variables of its process.
    """

    name: str
    folder: str
    variables: Mapping[str, str]

    @classmethod
    def parse(cls, text: str) -> Build:
        """Read a build from the command line.

        Raises:
            ValueError: the text names no build.
        """
        first, *rest = text.split(",")
        name, equals, folder = first.partition("=")
        pairs = [one.partition("=") for one in rest]
        if not name or not equals or not all(key and sign for key, sign, _ in pairs):
            raise ValueError(f"{text!r} is not NAME=FOLDER[,VARIABLE=VALUE...]")
        if folder and not list(Path(folder).glob("runner_risc0*.so")):
            raise ValueError(f"{text!r}: there is no runner_risc0*.so in {folder}")
        return cls(name, folder, {key: value for key, _, value in pairs})

    def round(self, children: int, threads: int) -> dict[str, Any]:
        """Run one round in a process of its own, and return what :func:`prove` found."""
        paths = [*([str(Path(self.folder).resolve())] if self.folder else []), str(ROOT)]
        paths += filter(None, [os.environ.get("PYTHONPATH")])
        env = os.environ | {"PYTHONPATH": os.pathsep.join(paths), **self.variables}
        command = [sys.executable, "-m", "benchmarks.studies.builds", "--prove"]
        command += [str(children), str(threads)]
        done = subprocess.run(
            command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True, check=True
        )
        found: dict[str, Any] = json.loads(done.stdout)
        return found


def prove(children: int, threads: int) -> dict[str, Any]:
    """Time a leaf and an aggregation, in wall and processor seconds.

    The result also holds what the build says of itself.
    """
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
    # Every child is the same leaf, so one receipt stands for all of them.
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
    """Run all rounds, and return the shortest times of each build."""
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
    """Run the command line and return the exit code."""
    if sys.argv[1:2] == ["--prove"]:
        print(json.dumps(prove(*map(int, sys.argv[2:]))))
        return 0
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.studies.builds",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("builds", nargs="+", metavar="NAME=FOLDER[,VARIABLE=VALUE...]")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of every build (3)")
    parser.add_argument("--children", type=int, default=8, help="children of the aggregation (8)")
    parser.add_argument(
        "--threads", type=int, default=0, help="threads of one proof; 0 means all cores (0)"
    )
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
