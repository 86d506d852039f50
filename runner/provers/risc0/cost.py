"""The cost of an aggregation with RISC Zero: its cycles, padded to a power of two.

The time that a proof takes depends on the number of its cycles after padding. An aggregation has a
fixed number of cycles, and more for each child. Since the sum is padded, groups that just fill a
power of two cost the least for each leaf. The figures were counted. ``tests/provers/test_cost.py``
runs the shipped aggregator in execute mode and compares it with them.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["AGGREGATOR", "SEGMENT_PO2", "PaddedCycles"]

SEGMENT_PO2 = 20
"""The size of the largest segment, as a power of two, unless a config sets another. It is RISC
Zero's own default."""

_LARGEST_PO2 = 18
"""The largest size of an aggregation, as a power of two of cycles. Larger ones save little, take
more memory and leave workers without work."""


@dataclass(frozen=True, slots=True)
class PaddedCycles:
    """The cycles of one aggregation. See :class:`runner.model.AggregationCost`.

    Attributes:
        fixed: The cycles without any children, including paging and what the circuit reserves.
        child: The cycles for a child with an empty journal.
        word: The cycles for each 32-bit word of a child's journal.
        block: The cycles for each SHA-256 block beyond the first two. A journal is hashed twice,
            once for its digest and once for its leaf hash, and either takes at least one block.
        aggregate: The cycles for a child that is an aggregate, whose journal always has the same
            size.
    """

    fixed: int
    child: int
    word: int
    block: int
    aggregate: int

    def leaf(self, journal_bytes: int) -> int:
        """The cycles for a leaf as a child."""
        words = -(-journal_bytes // 4)
        # SHA-256 adds at least nine bytes to a message. A leaf hash covers 33 further bytes, which
        # are a prefix and the image id.
        blocks = -(-(journal_bytes + 9) // 64) + -(-(33 + journal_bytes + 9) // 64)
        return self.child + self.word * words + self.block * (blocks - 2)

    def aggregation(self, children: int) -> int:
        """The padded cycles of an aggregation whose children take ``children`` cycles together."""
        used = self.fixed + children
        segment = 1 << SEGMENT_PO2
        if used > segment:
            return -(-used // segment) * segment
        return 1 << (used - 1).bit_length()

    def good_sizes(self, child: int) -> list[int]:
        """The sizes of the groups that just fill a power of two."""
        return [((1 << po2) - self.fixed) // child for po2 in range(15, _LARGEST_PO2 + 1)]

    def largest(self, child: int) -> int:
        """The largest group that stays within the largest aggregation."""
        return ((1 << _LARGEST_PO2) - self.fixed) // child


AGGREGATOR = PaddedCycles(
    fixed=2_062 + 10_709 + 4_112, child=1_920, word=32, block=154, aggregate=2_812
)
"""The cost of the aggregator in ``guests/manifest.json``. The fixed part is the sum of the user
cycles without children, the paging cycles, and the lookup tables of the rv32im circuit
(``LOOKUP_TABLE_CYCLES`` in risc0-circuit-rv32im 4.0)."""
