"""The cheapest grouping of a batch, by a zkVM's own model of what an aggregation costs.

The models are beside the zkVM adapters (``runner/provers/*/cost.py``).
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from runner.plan.journal import MAX_CHILDREN

if TYPE_CHECKING:
    from runner.model import AggregationCost

__all__ = ["cheapest"]


def cheapest(
    leaves: int, levels: int, cost: AggregationCost, journal_bytes: int
) -> tuple[int, ...]:
    """The group sizes, from the bottom up, with which all aggregations together cost least.

    Every grouping level makes at least two groups where there are leaves enough. Of equally cheap
    groupings the one with the smallest groups is taken, since they run side by side.

    Args:
        leaves: The number of leaves of the batch, counting repeated ones.
        levels: The number of grouping levels, without the root.
        cost: What an aggregation costs.
        journal_bytes: The size of a leaf's journal.

    Returns:
        ``levels`` sizes of at least 2.
    """

    @functools.cache
    def best(nodes: int, child: int, levels: int) -> tuple[int, tuple[int, ...]] | None:
        """The least cost above so many nodes, and its group sizes; None where there is no way."""
        if levels == 0:
            return (cost.aggregation(nodes * child), ()) if nodes <= MAX_CHILDREN else None
        options = []
        for size in _sizes(nodes, child, cost):
            grouping, left = _level(nodes, size, child, cost)
            above = best(left, cost.aggregate, levels - 1)
            if above is not None:
                options.append((grouping + above[0], (size, *above[1])))
        return min(options, default=None)

    found = best(leaves, cost.leaf(journal_bytes), levels)
    # With too few leaves for that many levels, each level does the least that one can do.
    return found[1] if found else (max(2, -(-leaves // 2)),) * levels


def _level(nodes: int, size: int, child: int, cost: AggregationCost) -> tuple[int, int]:
    """What it costs to group so many nodes, and how many nodes are left.

    A last group of one moves up as it is and costs nothing.
    """
    full, rest = divmod(nodes, size)
    cycles = full * cost.aggregation(size * child)
    if rest > 1:
        cycles += cost.aggregation(rest * child)
    return cycles, full + (rest > 0)


def _sizes(nodes: int, child: int, cost: AggregationCost) -> list[int]:
    """The sizes of groups of so many nodes that are worth a look.

    They are those that the model calls good in themselves, and those that split the nodes into
    groups of one size. The last group may be smaller, or a single node, which moves up.
    """
    good = {size for size in cost.good_sizes(child) if size < nodes}
    even = {-(-nodes // groups) for groups in range(2, 65)} | {2}
    even |= {nodes // groups for groups in range(2, 65)} | {1 << po2 for po2 in range(1, 12)}
    even = {size for size in even if size <= min(nodes - 1, cost.largest(child))}
    return sorted(size for size in good | even if 2 <= size <= MAX_CHILDREN)
