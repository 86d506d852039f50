"""What an aggregation costs, and the cheapest grouping of a batch.

The time of a proof follows its cycles after padding to a power of two, whatever they do. An
aggregation has a fixed part, a part for each child, and a step at each power of two, so groups that
just fill a power of two are the cheapest a leaf. How much, is counted: ``tests/test_cost.py``
executes the shipped aggregator and holds it to the figures below.
"""

from __future__ import annotations

from dataclasses import dataclass

from runner.journal import MAX_CHILDREN

__all__ = ["COSTS", "RISC0", "AggregationCost", "cheapest"]

_SEGMENT_PO2 = 20
_LARGEST_PO2 = 18


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

    def padded(self, children: int) -> int:
        """Cycles that are proved for children that cost ``children`` cycles together."""
        used = self.fixed + children
        segment = 1 << _SEGMENT_PO2
        if used > segment:
            return -(-used // segment) * segment
        return 1 << (used - 1).bit_length()


RISC0 = AggregationCost(
    fixed=2_062 + 10_709 + 4_112, child=1_920, word=32, block=154, aggregate=2_812
)
"""The aggregator in ``guests/manifest.json``: user cycles without children, paging, and the lookup
tables of the rv32im circuit (``LOOKUP_TABLE_CYCLES`` in risc0-circuit-rv32im 4.0)."""

COSTS = {"risc0": RISC0}
"""By zkVM, where the aggregator's figures are counted; the others' batches are balanced."""


def cheapest(
    leaves: int, levels: int, cost: AggregationCost, journal_bytes: int
) -> tuple[int, ...]:
    """Group sizes, from the bottom up, with the fewest padded cycles in all aggregations.

    Every grouping level makes at least two groups where there are leaves enough. Groups stay below
    2^18 cycles: larger ones gain little, take more memory and leave workers idle. Of equally
    cheap groupings the one with the smallest groups is taken, since they run side by side.

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
    for first in _sizes(leaves, leaf, cost) if levels else ():
        below, nodes = _level(leaves, first, leaf, cost)
        options: list[tuple[tuple[int, ...], int, int]]
        if levels == 1:
            options = [((first,), below, nodes)]
        else:
            options = [
                ((first, second), below + more, fewer)
                for second in _sizes(nodes, cost.aggregate, cost)
                for more, fewer in [_level(nodes, second, cost.aggregate, cost)]
            ]
        for sizes, cycles, rest in options:
            if rest <= MAX_CHILDREN:
                total = cycles + cost.padded(rest * cost.aggregate)
                best = min(best or ((total,), sizes), ((total,), sizes))
    # Too few leaves for that many levels: the least that a level can do.
    return best[1] if best else (max(2, -(-leaves // 2)),) * levels


def _level(nodes: int, size: int, child: int, cost: AggregationCost) -> tuple[int, int]:
    """Cycles of grouping ``nodes``, and the nodes that are left. A last group of one moves up."""
    full, rest = divmod(nodes, size)
    cycles = full * cost.padded(size * child)
    if rest > 1:
        cycles += cost.padded(rest * child)
    return cycles, full + (rest > 0)


def _sizes(nodes: int, child: int, cost: AggregationCost) -> list[int]:
    """Group sizes worth a look: those that fill a power of two, and those that split evenly."""
    largest = ((1 << _LARGEST_PO2) - cost.fixed) // child
    full = [((1 << po2) - cost.fixed) // child for po2 in range(15, _LARGEST_PO2 + 1)]
    even = [-(-nodes // groups) for groups in range(2, 65)]
    limit = min(nodes - 1, MAX_CHILDREN, largest)
    return sorted({size for size in (2, *full, *even) if 2 <= size <= limit})
