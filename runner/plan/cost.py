"""The cheapest grouping of a batch, according to a zkVM's own model of what an aggregation costs.

Each zkVM adapter has its model beside it (``runner/provers/*/cost.py``).
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
    """Find the group sizes with which all aggregations together cost the least.

    If there are enough leaves, every grouping level has at least two groups. If two groupings cost
    the same, the one with smaller groups is taken, because groups are proved side by side.

    Args:
        leaves: The number of leaves of the batch. Repeated leaves count each time.
        levels: The number of grouping levels, without the root.
        cost: The zkVM's model of what an aggregation costs.
        journal_bytes: The size of a leaf's journal in bytes.

    Returns:
        One group size for each grouping level, from the bottom up. Each is at least 2.
    """

    @functools.cache
    def best(nodes: int, child: int, levels: int) -> tuple[int, tuple[int, ...]] | None:
        """The lowest cost of all levels above ``nodes`` nodes, with its group sizes.

        It is None if there is no way to group them.
        """
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
    # If there are too few leaves for so many levels, the first level makes two groups of them.
    return found[1] if found else (max(2, -(-leaves // 2)),) * levels


def _level(nodes: int, size: int, child: int, cost: AggregationCost) -> tuple[int, int]:
    """The cost of one grouping level, and the number of nodes that it leaves.

    If a single node remains for the last group, it moves up as it is and costs nothing.
    """
    full, rest = divmod(nodes, size)
    cycles = full * cost.aggregation(size * child)
    if rest > 1:
        cycles += cost.aggregation(rest * child)
    return cycles, full + (rest > 0)


def _sizes(nodes: int, child: int, cost: AggregationCost) -> list[int]:
    """The group sizes to try for ``nodes`` nodes.

    They are the sizes that the model recommends, those that split the nodes into up to 64 even
    groups, and small powers of two. The last group may always be smaller than the others.
    """
    good = {size for size in cost.good_sizes(child) if size < nodes}
    even = {-(-nodes // groups) for groups in range(2, 65)} | {2}
    even |= {nodes // groups for groups in range(2, 65)} | {1 << po2 for po2 in range(1, 12)}
    even = {size for size in even if size <= min(nodes - 1, cost.largest(child))}
    return sorted(size for size in good | even if 2 <= size <= MAX_CHILDREN)
