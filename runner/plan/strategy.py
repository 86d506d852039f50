"""Strategies: pure functions from the leaves of a batch to its plan.

A strategy lists the leaves in batch order, groups neighbours level by level and ends in one root.
With fan-ins that are powers of two (``balanced`` gives such) the groups are complete subtrees of an
RFC 6962 tree, so the root's combined hash is the same for every strategy: that of the flat tree
over all leaves. With other fan-ins, as ``auto`` gives them, the hash depends on the plan.

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
BALANCED = "balanced"
_DEEPEST = "three_level"
"""The deepest strategy that ``auto`` picks."""

FanIn: TypeAlias = "int | Sequence[int] | str"
"""Group size at every grouping level, or one a level from the bottom up, or ``auto`` (the cheapest)
or ``balanced`` (the smallest power of two that spreads the leaves evenly over the levels)."""

Shape: TypeAlias = Callable[[str, Sequence[int], Sequence[int]], Plan]
"""(name, leaf job ids by batch position, group sizes from the bottom up) -> plan."""


@dataclass(frozen=True, slots=True)
class Strategy:
    """One entry of the registry.

    Attributes:
        grouping_levels: levels between the leaves and the root; how many fan-ins it takes.
        shape: the function that makes the plan.
    """

    grouping_levels: int
    shape: Shape


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What ``auto`` picks: up to which number of proofs a batch takes which strategy.

    Attributes:
        minimum: fewer proofs than this are not aggregated.
        two_level_from: from here two levels; ``single`` between ``minimum`` and this.
        three_level_from: from here three levels.

    Raises:
        InputError: not ``1 <= minimum < two_level_from < three_level_from``.
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
    """The strategy that a batch of ``n`` proofs takes; a forced one whatever the number.

    Raises:
        InputError: an unknown name.
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


def make_plan(  # noqa: PLR0913  # what shapes a plan
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
        name: ``auto`` or one of :data:`STRATEGIES`.
        leaves: leaf job id by batch position, as :func:`runner.plan.plan.distinct` numbers them.
        thresholds: for ``auto``; the defaults when None.
        fan_in: see :data:`FanIn`. A forced strategy takes a list of exactly as many as it has
            grouping levels (two_level 1, three_level 2). ``auto`` takes a list for the deepest
            strategy and uses as many, from the bottom, as the one it picks has: a list is then
            right or wrong whatever the size of the batch.
        cost: What an aggregation costs, for fan-in ``auto``; without it ``auto`` is ``balanced``.
        journal_bytes: The size of a leaf's journal, for ``cost``.
        field: The setting that an empty batch is blamed on.

    Returns:
        A validated plan. ``Plan.levels`` says how many levels it really has.

    Raises:
        InputError: an empty batch, an unknown strategy, an unusable fan-in, or an aggregation
            of more children than the aggregator takes.
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
    """Fan-ins for ``takes`` grouping levels, checked; None for ``auto`` and ``balanced``."""
    field, remedy = "strategy.fan_in", "give a whole number of at least 2, auto or balanced"
    if fan_in in (AUTO, BALANCED):
        return None
    if isinstance(fan_in, str) or not isinstance(fan_in, (int, Sequence)):
        raise InputError(field, fan_in, "not a fan-in", remedy)
    # One number is checked even where no level uses it.
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
    """Receipts stay as they are."""
    return Plan(name, tuple(leaves), max(leaves) + 1, (), None)


def _layered(name: str, leaves: Sequence[int], sizes: Sequence[int]) -> Plan:
    """Groups of the given sizes, one level per size, and a root over whatever is left.

    A last group of one moves up as it is: aggregating it would prove nothing new. When all that
    is left fits in one group, that group is the root and no further level is made. The root is
    an aggregation even over a single leaf, so that a forced strategy always leaves one.
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
    """Numbers aggregations; the same children in the same order give the same one."""

    def __init__(self, leaf_jobs: int) -> None:
        self.leaf_jobs = leaf_jobs
        self.aggregations: list[Aggregation] = []
        self._ids: dict[tuple[int, ...], int] = {}

    def aggregate(self, children: tuple[int, ...]) -> int:
        job = self.leaf_jobs + len(self.aggregations)
        known = self._ids.setdefault(children, job)
        if known == job:
            # Ids only grow with the level, so the largest child has the highest level.
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
"""Every strategy by name, in the order help texts show them."""


@dataclass(frozen=True, slots=True)
class StrategySettings:
    """A strategy's name, the thresholds for ``auto``, and the fan-in."""

    name: str
    thresholds: Thresholds
    fan_in: FanIn
