"""Real proofs by every prover that this machine has, in one table: what each costs and saves.

    python -m benchmarks.studies.provers                          2, 4 and 8 leaves, all provers
    python -m benchmarks.studies.provers --provers openvm --leaves 2

For each number of leaves it proves the leaves, one aggregation over all of them, and an aggregation
in two levels: one over each half, and one over both. Proofs are made one after another on all
cores, and each leaf is proved once. Bytes and times are measured; the columns headed "model" come
from the savings model (runner/plan/savings_model.py). A prover that this build or this machine does
not have is left out, and the reason is printed. ``--save FILE`` keeps every figure as JSON.
"""

from __future__ import annotations

import argparse
import json
import resource
import struct
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runner.engines.machine import machine, packages
from runner.errors import InputError
from runner.model import Child, ReceiptKind
from runner.plan.journal import aggregator_stdin
from runner.plan.savings_model import estimate
from runner.provers.guests import AGGREGATOR, Manifest, default_folder
from runner.provers.prover import ProverSpec, load_prover

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runner.model import Guest
    from runner.provers.prover import Prover

PROVERS = {
    "composite": ProverSpec("risc0", ReceiptKind.COMPOSITE),
    "succinct": ProverSpec("risc0", ReceiptKind.SUCCINCT),
    "openvm": ProverSpec("openvm", ReceiptKind.SUCCINCT),
}
VERIFICATIONS = 5
"""The number of verifications whose shortest time is taken; milliseconds are easily disturbed."""


@dataclass(frozen=True)
class TimedReceipt:
    """One receipt, with the seconds that its proof took."""

    child: Child
    seconds: float


@dataclass(frozen=True)
class Row:
    """What was measured of one batch.

    Attributes:
        prover: the name of the prover.
        leaves: the number of leaves.
        levels: the number of aggregation levels.
        leaf_s: the mean seconds of a leaf's proof.
        aggregate_s: the seconds of all aggregations together.
        before: the bytes of the leaves' receipts.
        after: the bytes of the root's receipt.
        before_ms: the milliseconds that verifying the leaves' receipts takes.
        after_ms: the milliseconds that verifying the root's receipt takes.
        peak_mib: the most memory that this process had until then.
    """

    prover: str
    leaves: int
    levels: int
    leaf_s: float
    aggregate_s: float
    before: int
    after: int
    before_ms: float
    after_ms: float
    peak_mib: float


class ProverBench:
    """One prover and its guests. Leaves are proved once and used by every batch."""

    def __init__(self, spec: ProverSpec) -> None:
        self.spec = spec
        self.prover: Prover = load_prover(spec)
        self.prover.require(spec.kind)
        manifest = Manifest.load(default_folder(spec.adapter))
        self.guest, self.aggregator = manifest.get("fibonacci"), manifest.get(AGGREGATOR)
        # What a worker does once before its first proof does not belong to the time of a proof.
        self.prove(self.guest, struct.pack("<I", 9))
        self._leaves: list[TimedReceipt] = []

    def prove(self, guest: Guest, stdin: bytes, children: Sequence[Child] = ()) -> TimedReceipt:
        """Make one proof and verify it."""
        begin = time.perf_counter()
        proof = self.prover.run(guest, stdin, tuple(children), self.spec.kind, 0)
        seconds = time.perf_counter() - begin
        assert proof.receipt is not None
        assert self.prover.verify(proof.receipt, guest.image_id) == proof.journal
        return TimedReceipt(Child(guest.image_id, proof.journal, proof.receipt), seconds)

    def leaves(self, count: int) -> list[TimedReceipt]:
        """Return the first ``count`` leaves, and prove those that are missing."""
        for n in range(len(self._leaves), count):
            self._leaves.append(self.prove(self.guest, struct.pack("<I", 10 + n)))
        return self._leaves[:count]

    def aggregate(self, below: Sequence[TimedReceipt]) -> TimedReceipt:
        """Make one aggregation."""
        children = [made.child for made in below]
        claims = [(child.image_id, child.journal) for child in children]
        stdin = aggregator_stdin(self.aggregator.image_id, claims)
        return self.prove(self.aggregator, stdin, children)

    def verify_ms(self, made: Sequence[TimedReceipt]) -> float:
        """Milliseconds that verifying all these receipts takes, one after another."""
        times = []
        for _ in range(VERIFICATIONS):
            begin = time.perf_counter()
            for one in made:
                assert one.child.receipt is not None
                self.prover.verify(one.child.receipt, one.child.image_id)
            times.append(time.perf_counter() - begin)
        return 1000 * min(times)


def rows(name: str, bench: ProverBench, counts: Sequence[int]) -> Iterator[Row]:
    """Measure every batch of one prover."""
    for count in counts:
        leaves = bench.leaves(count)
        shapes = [(1, [leaves])]
        if count >= 4:
            shapes.append((2, [leaves[: count // 2], leaves[count // 2 :]]))
        for levels, groups in shapes:
            made = [bench.aggregate(group) for group in groups]
            tops = [*made, bench.aggregate(made)] if levels == 2 else made
            yield Row(
                name,
                count,
                levels,
                sum(leaf.seconds for leaf in leaves) / count,
                sum(top.seconds for top in tops),
                sum(len(leaf.child.receipt or b"") for leaf in leaves),
                len(tops[-1].child.receipt or b""),
                bench.verify_ms(leaves),
                bench.verify_ms(tops[-1:]),
                peak_mib(),
            )


def peak_mib() -> float:
    """The most memory that this process ever had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


HEAD = (
    "| prover | leaves | levels | leaf s | aggregations s | bytes before | after | saved |"
    " model | verify ms before | after | model before | after | peak MiB |\n"
    "| --- " + "| ---: " * 13 + "|"
)


def line(row: Row) -> str:
    """Show a batch as one line of the table."""
    saved = 100 * (row.before - row.after) / row.before
    model = estimate(row.leaves, row.leaves)
    return (
        f"| {row.prover} | {row.leaves} | {row.levels} | {row.leaf_s:.1f} | {row.aggregate_s:.1f} |"
        f" {row.before:,} | {row.after:,} | {saved:.1f} % | {model.size_savings_percent:.1f} % |"
        f" {row.before_ms:.0f} | {row.after_ms:.0f} | {model.verification_ms_before:.1f} |"
        f" {model.verification_ms_after:.1f} | {row.peak_mib:.0f} |"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.studies.provers",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--provers", nargs="+", choices=PROVERS, default=list(PROVERS))
    parser.add_argument("--leaves", nargs="+", type=int, default=[2, 4, 8])
    parser.add_argument("--save", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    done: list[Row] = []
    print(HEAD, flush=True)
    for name in options.provers:
        try:
            bench = ProverBench(PROVERS[name])
        except InputError as error:
            print(f"{name} left out: {error}", file=sys.stderr)
            continue
        for row in rows(name, bench, sorted(options.leaves)):
            done.append(row)
            print(line(row), flush=True)
    if options.save:
        data = {"machine": machine(), "versions": packages(), "rows": [asdict(row) for row in done]}
        options.save.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main())
