"""The cost of an aggregation with OpenVM: the number of its proofs, which take about equally long.

Most of these proofs are made however few children there are. So fewer aggregations are better.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["AGGREGATOR", "ProofCount"]

_FEWEST_LAYERS = 3
"""The layers of proofs that even a single child takes: leaf, internal, recursive."""


@dataclass(frozen=True, slots=True)
class ProofCount:
    """The number of proofs in one aggregation, as ``native/openvm/src/pipeline.rs`` makes them.

    See :class:`runner.model.AggregationCost`.

    Attributes:
        aggregate: The cost of a child that is an aggregate. It is 1, like that of a leaf, because
            every child costs one verification.
        fixed: The number of proofs that do not depend on the children. They are four for the
            aggregator's own run (program, leaf, internal, recursive), four for the deferral hook
            and the three layers above it, one that joins the two, and one that makes it smaller.
        most: The largest group. If a larger aggregation failed, too much time would be lost.
    """

    aggregate: int = 1
    fixed: int = 10
    most: int = 128

    def leaf(self, journal_bytes: int) -> int:  # noqa: ARG002  # the protocol has it
        """The cost of one child."""
        return 1

    def aggregation(self, children: int) -> int:
        """The number of proofs in an aggregation of ``children`` children.

        Each child takes one proof. Layers above them halve the number down to a single proof.
        """
        proofs, layer, layers = self.fixed + children, children, 0
        while layers < _FEWEST_LAYERS or layer > 1:
            layer, layers = -(-layer // 2), layers + 1
            proofs += layer
        return proofs

    def good_sizes(self, child: int) -> list[int]:  # noqa: ARG002  # the protocol has it
        """No size is better than others in itself, so that even splits are tried alone."""
        return []

    def largest(self, child: int) -> int:  # noqa: ARG002  # the protocol has it
        """The largest group."""
        return self.most


AGGREGATOR = ProofCount()
