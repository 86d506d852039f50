"""What an aggregation costs, and the cheapest grouping of a batch.

With RISC Zero the time of a proof follows its cycles after padding to a power of two, whatever they
do. An aggregation has a fixed part, a part for each child, and a step at each power of two, so
groups that just fill a power of two are the cheapest a leaf. How much, is counted:
``tests/plan/test_cost.py`` executes the shipped aggregator and holds it to the figures below.

With OpenVM an aggregation is a number of proofs that all take about the same time, most of them
whatever the children are: the fewer aggregations, the better.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from runner.plan.journal import MAX_CHILDREN

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["COSTS", "OPENVM", "RISC0", "AggregationCost", "Cost", "ProofCount", "cheapest"]

_SEGMENT_PO2 = 20
_LARGEST_PO2 = 18


class Cost(Protocol):
    """What aggregations cost, in units that can be added up."""

    @property
    def aggregate(self) -> int:
        """Of a child that is an aggregate itself."""
        ...

    def leaf(self, journal_bytes: int) -> int:
        """Of a leaf as a child."""
        ...

    def aggregation(self, children: int) -> int:
        """Of an aggregation whose children cost so much together."""
        ...

    def sizes(self, nodes: int, child: int) -> list[int]:
        """Sizes of groups of ``nodes`` children worth a look, where one child costs ``child``."""
        ...


@dataclass(frozen=True, slots=True)
class AggregationCost:
    """Cycles of one aggregation, before padding.

    Attributes:
        fixed: of an aggregation without children, with paging and what the circuit reserves.
        child: of any child.
        word: of each 32-bit word of a child's journal.
        block: of each further SHA-256 block that a journal takes, beyond one for its digest and
            one for its leaf hash.
        aggregate: of a child that is an aggregate itself; its journal has one size.
    """

    fixed: int
    child: int
    word: int
    block: int
    aggregate: int

    def leaf(self, journal_bytes: int) -> int:
        """Cycles of a leaf as a child."""
        words = -(-journal_bytes // 4)
        # SHA-256 ends a message with nine bytes; a leaf hash covers a prefix and an image id too.
        blocks = -(-(journal_bytes + 9) // 64) + -(-(33 + journal_bytes + 9) // 64)
        return self.child + self.word * words + self.block * (blocks - 2)

    def aggregation(self, children: int) -> int:
        """Cycles that are proved for children that cost ``children`` cycles together."""
        used = self.fixed + children
        segment = 1 << _SEGMENT_PO2
        if used > segment:
            return -(-used // segment) * segment
        return 1 << (used - 1).bit_length()

    def sizes(self, nodes: int, child: int) -> list[int]:
        """Those that fill a power of two, and those that split evenly.

        Groups stay below 2^18 cycles: larger ones gain little, take more memory and leave workers
        idle.
        """
        largest = ((1 << _LARGEST_PO2) - self.fixed) // child
        full = [((1 << po2) - self.fixed) // child for po2 in range(15, _LARGEST_PO2 + 1)]
        even = _even(nodes, largest)
        return sorted({size for size in full if 2 <= size < min(nodes, MAX_CHILDREN + 1)} | {*even})


RISC0 = AggregationCost(
    fixed=2_062 + 10_709 + 4_112, child=1_920, word=32, block=154, aggregate=2_812
)
"""The aggregator in ``guests/manifest.json``: user cycles without children, paging, and the lookup
tables of the rv32im circuit (``LOOKUP_TABLE_CYCLES`` in risc0-circuit-rv32im 4.0)."""


@dataclass(frozen=True, slots=True)
class ProofCount:
    """Proofs of one aggregation, as ``native/openvm/src/pipeline.rs`` makes them.

    Attributes:
        aggregate: 1, as a leaf: a child costs the verification of its proof, whatever that proves.
        fixed: those of the aggregator's own run (program, leaf, internal, recursive), the hook
            with three layers above it, the joined proof and a last one that makes it smaller.
        largest: group; an aggregation of more takes too long to lose.
    """

    aggregate: int = 1
    fixed: int = 10
    largest: int = 128

    def leaf(self, journal_bytes: int) -> int:  # noqa: ARG002  # the protocol's
        """One child."""
        return 1

    def aggregation(self, children: int) -> int:
        """Every child's verification, then two layers and more that halve them down to one."""
        proofs, layer, layers = self.fixed + children, children, 0
        while layers < _HALVED or layer > 1:
            layer, layers = -(-layer // 2), layers + 1
            proofs += layer
        return proofs

    def sizes(self, nodes: int, child: int) -> list[int]:  # noqa: ARG002  # the protocol's
        """Those that split evenly."""
        return _even(nodes, self.largest)


OPENVM = ProofCount()
_HALVED = 3
"""Layers that there are even for one child: leaf, internal, recursive."""

COSTS: Mapping[str, Cost] = {"risc0": RISC0, "openvm": OPENVM}
"""By zkVM, where it is known; the others' batches are balanced."""


def cheapest(leaves: int, levels: int, cost: Cost, journal_bytes: int) -> tuple[int, ...]:
    """Group sizes, from the bottom up, with the least cost of all aggregations.

    Every grouping level makes at least two groups where there are leaves enough. Of equally cheap
    groupings the one with the smallest groups is taken, since they run side by side.

    Args:
        leaves: of the batch, counting repeated ones.
        levels: of groups, not counting the root; at most 2.
        cost: of the aggregator.
        journal_bytes: of a leaf's journal.

    Returns:
        ``levels`` sizes of at least 2.
    """
    leaf = cost.leaf(journal_bytes)
    best: tuple[tuple[int, ...], tuple[int, ...]] | None = None
    for first in cost.sizes(leaves, leaf) if levels else ():
        below, nodes = _level(leaves, first, leaf, cost)
        options: list[tuple[tuple[int, ...], int, int]]
        if levels == 1:
            options = [((first,), below, nodes)]
        else:
            options = [
                ((first, second), below + more, fewer)
                for second in cost.sizes(nodes, cost.aggregate)
                for more, fewer in [_level(nodes, second, cost.aggregate, cost)]
            ]
        for sizes, cycles, rest in options:
            if rest <= MAX_CHILDREN:
                total = cycles + cost.aggregation(rest * cost.aggregate)
                best = min(best or ((total,), sizes), ((total,), sizes))
    # Too few leaves for that many levels: the least that a level can do.
    return best[1] if best else (max(2, -(-leaves // 2)),) * levels


def _level(nodes: int, size: int, child: int, cost: Cost) -> tuple[int, int]:
    """The cost of grouping ``nodes``, and the nodes that are left. A last group of one moves up."""
    full, rest = divmod(nodes, size)
    cycles = full * cost.aggregation(size * child)
    if rest > 1:
        cycles += cost.aggregation(rest * child)
    return cycles, full + (rest > 0)


def _even(nodes: int, largest: int) -> list[int]:
    """Group sizes that split so many nodes into groups of one size, but for the last.

    The last may be smaller, or a single node, which moves up.
    """
    limit = min(nodes - 1, MAX_CHILDREN, largest)
    sizes = {-(-nodes // groups) for groups in range(2, 65)} | {2}
    sizes |= {nodes // groups for groups in range(2, 65)} | {1 << po2 for po2 in range(1, 12)}
    return sorted(size for size in sizes if 2 <= size <= limit)
