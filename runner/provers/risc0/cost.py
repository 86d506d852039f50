"""What an aggregation costs with RISC Zero: its cycles, padded to a power of two.

The time of a proof follows its cycles after padding, whatever they do. An aggregation has a fixed
part and a part for each child, and steps up at each power of two, so that groups that just fill a
power of two are the cheapest for each leaf. The figures are counted: ``tests/provers/test_cost.py``
executes the shipped aggregator and holds it to them.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["AGGREGATOR", "SEGMENT_PO2", "PaddedCycles"]

SEGMENT_PO2 = 20
"""The largest segment unless a config says otherwise, as a power of two; RISC Zero's own choice."""

_LARGEST_PO2 = 18
"""Groups stay below so many cycles: larger ones gain little, take more memory and leave workers
without work."""


@dataclass(frozen=True, slots=True)
class PaddedCycles:
    """The cycles of one aggregation. See :class:`runner.model.AggregationCost`.

    Attributes:
        fixed: The cycles without children, with paging and what the circuit reserves.
        child: The cycles for any child.
        word: The cycles for each 32-bit word of a child's journal.
        block: The cycles for each SHA-256 block that a journal takes beyond two: one for its digest
            and one for its leaf hash.
        aggregate: The cycles for a child that is an aggregate itself, whose journal has one size.
    """

    fixed: int
    child: int
    word: int
    block: int
    aggregate: int

    def leaf(self, journal_bytes: int) -> int:
        """The cycles for a leaf as a child."""
        words = -(-journal_bytes // 4)
        # SHA-256 ends a message with nine bytes; a leaf hash covers a prefix and an image id too.
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
        """The sizes of groups that just fill a power of two."""
        return [((1 << po2) - self.fixed) // child for po2 in range(15, _LARGEST_PO2 + 1)]

    def largest(self, child: int) -> int:
        """The largest group that is worth its memory."""
        return ((1 << _LARGEST_PO2) - self.fixed) // child


AGGREGATOR = PaddedCycles(
    fixed=2_062 + 10_709 + 4_112, child=1_920, word=32, block=154, aggregate=2_812
)
"""The aggregator in ``guests/manifest.json``. Its fixed part is made of user cycles without
children, paging, and the lookup tables of the rv32im circuit (``LOOKUP_TABLE_CYCLES`` in
risc0-circuit-rv32im 4.0)."""
