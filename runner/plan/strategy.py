"""Strategies: pure functions from the leaves of a batch to its plan.

A strategy takes the leaves in the order of the batch, groups neighbours level by level, and ends in
one root. If all fan-ins are powers of two, as ``balanced`` chooses them, the groups are complete
subtrees of an RFC 6962 tree. The combined hash of the root is then the same for every strategy,
namely that of the flat tree over all leaves. With other fan-ins, which ``auto`` may choose, the
hash depends on the plan.

A new strategy is one function of type :data:`Shape` and one entry in :data:`STRATEGIES`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from runner.errors import InputError
from runner.model import Aggregation, AggregationCost
from runner.plan.cost import cheapest
from runner.plan.journal import MAX_CHILDREN
from runner.plan.plan import Plan

__all__ = [
    "AUTO",
    "BALANCED",
    "STRATEGIES",
    "FanIn",
    "Strategy",
    "StrategySettings",
    "Thresholds",
    "make_plan",
    "resolve",
]

AUTO = "auto"
"""The strategy that picks another by the number of leaves, and the fan-in that costs the least."""
BALANCED = "balanced"
"""The fan-in that is the smallest power of two which spreads the leaves evenly over the levels."""
_DEEPEST = "three_level"
"""The deepest strategy that ``auto`` picks."""

FanIn: TypeAlias = "int | Sequence[int] | str"
"""The number of children of one aggregation. It is one number for every grouping level, or a list
with one number for each level from the bottom up, or :data:`AUTO`, or :data:`BALANCED`."""

Shape: TypeAlias = Callable[[str, Sequence[int], Sequence[int]], Plan]
"""The function that makes a plan. Its arguments are the strategy's name, the leaf job id of each
position in the batch, and the group sizes from the bottom up."""


@dataclass(frozen=True, slots=True)
class Strategy:
    """One entry of :data:`STRATEGIES`.

    Attributes:
        grouping_levels: The number of levels between the leaves and the root, and so the number of
            group sizes that the strategy takes.
        shape: The function that makes the plan.
    """

    grouping_levels: int
    shape: Shape


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The numbers of leaves by which the strategy ``auto`` picks another one.

    Attributes:
        minimum: The smallest batch that ``single`` takes. A smaller one is not aggregated.
        two_level_from: The smallest batch that ``two_level`` takes.
        three_level_from: The smallest batch that ``three_level`` takes.

    Raises:
        InputError: ``1 <= minimum < two_level_from < three_level_from`` does not hold.
    """

    minimum: int = 6
    two_level_from: int = 51
    three_level_from: int = 501

    def __post_init__(self) -> None:
        names = ("minimum", "two_level_from", "three_level_from")
        below, floor = "", 0
        for name in names:
            field, value = f"strategy.{name}", getattr(self, name)
            remedy = f"give a whole number of at least {floor + 1}"
            if type(value) is not int:
                raise InputError(field, value, "not a whole number", remedy)
            if value <= floor and not below:
                raise InputError(field, value, "a batch has at least one proof", remedy)
            if value == floor:
                raise InputError(field, value, f"overlaps {below} = {floor}", remedy)
            if value < floor:
                raise InputError(
                    field, value, f"runs backwards: it is below {below} = {floor}", remedy
                )
            below, floor = field, value


def resolve(name: str, n: int, thresholds: Thresholds | None = None) -> str:
    """Find the strategy for a batch of ``n`` leaves.

    Args:
        name: ``auto``, or the name of a strategy, which is then taken whatever the number.
        n: The number of leaves.
        thresholds: The thresholds for ``auto``, or None for the defaults.

    Raises:
        InputError: There is no strategy of this name.
    """
    if name in STRATEGIES:
        return name
    if name != AUTO:
        known = ", ".join([AUTO, *STRATEGIES])
        raise InputError("strategy", name, "no such strategy", f"choose one of {known}")
    limits = thresholds or Thresholds()
    if n < limits.minimum:
        return "none"
    if n < limits.two_level_from:
        return "single"
    return "two_level" if n < limits.three_level_from else _DEEPEST


def make_plan(  # noqa: PLR0913  # everything that a plan depends on
    name: str,
    leaves: Sequence[int],
    thresholds: Thresholds | None = None,
    fan_in: FanIn = AUTO,
    *,
    cost: AggregationCost | None = None,
    journal_bytes: int = 32,
    field: str = "guest.count",
) -> Plan:
    """Plan a batch.

    Args:
        name: ``auto``, or the name of a strategy in :data:`STRATEGIES`.
        leaves: The leaf job id of each position in the batch, numbered as in
            :func:`runner.plan.plan.distinct`.
        thresholds: The thresholds for ``auto``, or None for the defaults.
        fan_in: The group sizes, see :data:`FanIn`. A list for a forced strategy must have one
            number for each of its grouping levels (two_level 1, three_level 2). A list for ``auto``
            must have as many as the deepest strategy that it picks needs, and a less deep one takes
            the first of them. So it does not depend on the size of the batch whether a list is
            valid.
        cost: The zkVM's model of what an aggregation costs, for the fan-in ``auto``. If it is None,
            ``auto`` means ``balanced``.
        journal_bytes: The size of a leaf's journal in bytes, for ``cost``.
        field: The name of the setting that an error about an empty batch shows.

    Returns:
        A validated plan. It may have fewer levels than the strategy allows; see ``Plan.levels``.

    Raises:
        InputError: The batch is empty, the strategy is unknown, the fan-in cannot be used, or an
            aggregation would have more children than the aggregator takes.
    """
    if not leaves:
        raise InputError(field, 0, "empty batch", "give at least one input")
    picked = resolve(name, len(leaves), thresholds)
    levels = STRATEGIES[picked].grouping_levels
    takes = STRATEGIES[_DEEPEST].grouping_levels if name == AUTO else levels
    sizes = _group_sizes(fan_in, name, takes)
    if sizes is None and cost is not None and fan_in == AUTO:
        sizes = cheapest(len(leaves), levels, cost, journal_bytes)
    elif sizes is None:
        sizes = (_balanced(len(leaves), levels + 1),) * levels
    plan = STRATEGIES[picked].shape(picked, leaves, sizes[:levels])
    plan.validate()
    widest = max([len(aggregation.children) for aggregation in plan.aggregations], default=0)
    if widest > MAX_CHILDREN:
        problem = f"one aggregation would have {widest} children, the guest takes {MAX_CHILDREN}"
        remedy = "use strategy=three_level with strategy.fan_in=auto"
        raise InputError("strategy", picked, problem, remedy)
    return plan


def _group_sizes(fan_in: FanIn, name: str, takes: int) -> tuple[int, ...] | None:
    """Check the group sizes of ``takes`` grouping levels. None stands for auto and balanced."""
    field, remedy = "strategy.fan_in", "give a whole number of at least 2, auto or balanced"
    if fan_in in (AUTO, BALANCED):
        return None
    if isinstance(fan_in, str) or not isinstance(fan_in, (int, Sequence)):
        raise InputError(field, fan_in, "not a fan-in", remedy)
    # A single number is checked even if the strategy has no grouping level that uses it.
    sizes: tuple[int, ...] = (fan_in,) * max(takes, 1) if isinstance(fan_in, int) else (*fan_in,)
    for size in sizes:
        if type(size) is not int:
            raise InputError(field, fan_in, f"{size!r} is not a whole number", remedy)
        if size < 2:
            raise InputError(field, fan_in, f"groups of {size} never shrink a batch", remedy)
    if not isinstance(fan_in, int) and len(sizes) != takes:
        raise InputError(
            field,
            list(sizes),
            f"too {'short' if len(sizes) < takes else 'long'}: strategy {name} takes {takes}",
            f"give {takes} numbers, or one number or auto, which fit any strategy",
        )
    return sizes


def _balanced(n: int, levels: int) -> int:
    """The smallest power of two (at least 2) that covers ``n`` leaves in ``levels`` levels."""
    size = 2
    while size**levels < n:
        size *= 2
    return size


def _none(name: str, leaves: Sequence[int], sizes: Sequence[int]) -> Plan:  # noqa: ARG001  # a Shape
    """A plan without aggregations."""
    return Plan(name, tuple(leaves), max(leaves) + 1, (), None)


def _layered(name: str, leaves: Sequence[int], sizes: Sequence[int]) -> Plan:
    """A plan with one level of groups for each size, and a root over the last level.

    A single node that remains for the last group moves up as it is, because aggregating it would
    prove nothing new. When all nodes fit in one group, this group is the root, and no further level
    is made. The root is an aggregation even over a single leaf, so that a forced strategy always
    leaves an aggregated receipt.
    """
    builder = _Builder(max(leaves) + 1)
    nodes = leaves
    for size in sizes:
        if len(nodes) <= size:
            break
        groups = [tuple(nodes[at : at + size]) for at in range(0, len(nodes), size)]
        nodes = [builder.aggregate(group) if len(group) > 1 else group[0] for group in groups]
    root = builder.aggregate(tuple(nodes))
    return Plan(name, tuple(leaves), builder.leaf_jobs, tuple(builder.aggregations), root)


class _Builder:
    """Numbers the aggregations. The same children in the same order give the same aggregation."""

    def __init__(self, leaf_jobs: int) -> None:
        self.leaf_jobs = leaf_jobs
        self.aggregations: list[Aggregation] = []
        self._ids: dict[tuple[int, ...], int] = {}

    def aggregate(self, children: tuple[int, ...]) -> int:
        job = self.leaf_jobs + len(self.aggregations)
        known = self._ids.setdefault(children, job)
        if known == job:
            # Ids grow with the level, so the child with the largest id has the highest level.
            highest = max(children) - self.leaf_jobs
            below = self.aggregations[highest].level if highest >= 0 else 0
            self.aggregations.append(Aggregation(id=job, level=below + 1, children=children))
        return known


STRATEGIES: dict[str, Strategy] = {
    "none": Strategy(grouping_levels=0, shape=_none),
    "single": Strategy(grouping_levels=0, shape=_layered),
    "two_level": Strategy(grouping_levels=1, shape=_layered),
    "three_level": Strategy(grouping_levels=2, shape=_layered),
}
"""Every strategy by name, in the order of help texts."""


@dataclass(frozen=True, slots=True)
class StrategySettings:
    """The settings of ``conf/strategy``.

    Attributes:
        name: The name of the strategy.
        thresholds: The thresholds for ``auto``.
        fan_in: The group sizes.
    """

    name: str
    thresholds: Thresholds
    fan_in: FanIn
