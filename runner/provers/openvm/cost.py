"""What an aggregation costs with OpenVM: a number of proofs that all take about the same time.

Most of them are made whatever the children are, so the fewer aggregations, the better.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["AGGREGATOR", "ProofCount"]

_HALVED = 3
"""The layers that there are even for one child: leaf, internal, recursive."""


@dataclass(frozen=True, slots=True)
class ProofCount:
    """The proofs of one aggregation, as ``native/openvm/src/pipeline.rs`` makes them.

    See :class:`runner.model.AggregationCost`.

    Attributes:
        aggregate: 1, as for a leaf: a child costs one verification, whatever its proof is of.
        fixed: The proofs of the aggregator's own run (program, leaf, internal, recursive), the hook
            with three layers above it, the joined proof, and a last one that makes it smaller.
        most: The largest group. A larger aggregation would take too long to be lost.
    """

    aggregate: int = 1
    fixed: int = 10
    most: int = 128

    def leaf(self, journal_bytes: int) -> int:  # noqa: ARG002  # the protocol has it
        """One child."""
        return 1

    def aggregation(self, children: int) -> int:
        """The proofs of an aggregation.

        Every child takes one, and two layers and more halve them down to a single proof.
        """
        proofs, layer, layers = self.fixed + children, children, 0
        while layers < _HALVED or layer > 1:
            layer, layers = -(-layer // 2), layers + 1
            proofs += layer
        return proofs

    def good_sizes(self, child: int) -> list[int]:  # noqa: ARG002  # the protocol has it
        """No size is good in itself; even splits are as good as any."""
        return []

    def largest(self, child: int) -> int:  # noqa: ARG002  # the protocol has it
        """The largest group."""
        return self.most


AGGREGATOR = ProofCount()
