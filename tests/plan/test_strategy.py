"""Strategies: the shapes of their plans, thresholds, fan-ins and degenerate cases."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import InputError
from runner.plan.journal import MAX_CHILDREN
from runner.plan.plan import Plan, distinct
from runner.plan.strategy import STRATEGIES, FanIn, Thresholds, make_plan, resolve


def plan_of(strategy: str, n: int, fan_in: FanIn = "auto") -> Plan:
    return make_plan(strategy, range(n), fan_in=fan_in)


def shape(plan: Plan) -> list[tuple[int, list[int]]]:
    """The levels from the bottom up, each with the numbers of children of its aggregations."""
    levels: dict[int, list[int]] = {}
    for aggregation in plan.aggregations:
        levels.setdefault(aggregation.level, []).append(len(aggregation.children))
    return sorted(levels.items())


@pytest.mark.parametrize(
    ("n", "picked"),
    [
        (1, "none"),
        (5, "none"),
        (6, "single"),
        (50, "single"),
        (51, "two_level"),
        (500, "two_level"),
        (501, "three_level"),
        (10**6, "three_level"),
    ],
)
def test_auto_picks_by_number(n: int, picked: str) -> None:
    assert resolve("auto", n) == picked
    for forced in STRATEGIES:
        assert resolve(forced, n) == forced


def test_auto_follows_the_thresholds() -> None:
    limits = Thresholds(minimum=2, two_level_from=4, three_level_from=8)
    picked = [resolve("auto", n, limits) for n in (1, 2, 3, 4, 7, 8)]
    assert picked == ["none", "single", "single", "two_level", "two_level", "three_level"]


def test_an_unknown_strategy_names_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"strategy = 'pyramid'.*auto, none, single, two_level"):
        plan_of("pyramid", 10)


@pytest.mark.parametrize(
    ("given_", "field", "problem"),
    [
        ({"minimum": 0}, "minimum", "at least one proof"),
        ({"minimum": -3}, "minimum", "at least one proof"),
        ({"minimum": 51}, "two_level_from", "overlaps strategy.minimum = 51"),
        ({"minimum": 60}, "two_level_from", "runs backwards.*strategy.minimum = 60"),
        ({"three_level_from": 51}, "three_level_from", "overlaps strategy.two_level_from = 51"),
        ({"three_level_from": 7}, "three_level_from", "runs backwards"),
        ({"minimum": True}, "minimum", "not a whole number"),
        ({"two_level_from": 5.5}, "two_level_from", "not a whole number"),
    ],
)
def test_thresholds_out_of_order(given_: dict[str, Any], field: str, problem: str) -> None:
    with pytest.raises(InputError, match=rf"{problem}.*; give a whole number") as caught:
        Thresholds(**given_)
    assert caught.value.field == f"strategy.{field}"


@pytest.mark.parametrize(
    ("strategy", "n", "fan_in", "expected"),
    [
        ("none", 7, "auto", []),
        ("single", 7, "auto", [(1, [7])]),
        ("single", 7, 2, [(1, [7])]),
        ("single", 7, [], [(1, [7])]),
        ("two_level", 51, "auto", [(1, [8, 8, 8, 8, 8, 8, 3]), (2, [7])]),
        ("two_level", 64, "auto", [(1, [8] * 8), (2, [8])]),
        ("two_level", 65, "auto", [(1, [16, 16, 16, 16]), (2, [5])]),  # the 65th leaf moves up
        ("two_level", 10, [3], [(1, [3, 3, 3]), (2, [4])]),
        ("three_level", 12, [3, 2], [(1, [3] * 4), (2, [2, 2]), (3, [2])]),
        ("three_level", 12, 2, [(1, [2] * 6), (2, [2, 2, 2]), (3, [3])]),
        ("three_level", 13, [3, 2], [(1, [3] * 4), (2, [2, 2]), (3, [3])]),  # so does the 13th
    ],
)
def test_shapes(strategy: str, n: int, fan_in: FanIn, expected: object) -> None:
    assert shape(plan_of(strategy, n, fan_in)) == expected


@pytest.mark.parametrize(
    ("strategy", "n", "fan_in", "levels"),
    [
        ("three_level", 8, 8, 1),
        ("three_level", 9, 8, 2),  # a group of 8 and one leaf beside it
        ("three_level", 1, "auto", 1),
        ("three_level", 2, "auto", 1),
        ("three_level", 8, [2, 100], 2),
        ("two_level", 1, "auto", 1),
        ("single", 1, "auto", 1),
        ("none", 1, "auto", 0),
    ],
)
def test_levels_collapse_rather_than_wrap_one_aggregate(
    strategy: str, n: int, fan_in: FanIn, levels: int
) -> None:
    plan = plan_of(strategy, n, fan_in)
    assert (plan.strategy, plan.levels) == (strategy, levels)


@given(
    st.lists(st.integers(0, 400), min_size=1, max_size=400),
    st.sampled_from(list(STRATEGIES)),
    st.integers(2, 40) | st.just("auto"),
)
def test_every_plan_is_valid_minimal_and_covers_the_batch(
    values: list[int], strategy: str, fan_in: FanIn
) -> None:
    leaves, number = distinct(values)
    plan = make_plan(strategy, leaves, fan_in=fan_in)  # it is validated there
    assert plan.leaf_jobs == number
    assert plan.levels <= STRATEGIES[strategy].grouping_levels + 1
    assert plan.leaf_order() == leaves
    children = Counter(aggregation.children for aggregation in plan.aggregations)
    assert set(children.values()) <= {1}
    if plan.root is not None:
        assert plan.leaf_counts()[plan.root] == len(leaves)


@given(st.integers(1, 5000), st.sampled_from(["two_level", "three_level"]))
def test_auto_fan_in_is_the_smallest_balanced_power_of_two(n: int, strategy: str) -> None:
    levels = STRATEGIES[strategy].grouping_levels + 1
    widest = max(len(a.children) for a in plan_of(strategy, n).aggregations)
    fan_in = 2
    while fan_in**levels < n:
        fan_in *= 2
    assert widest <= fan_in
    assert fan_in == 2 or (fan_in // 2) ** levels < n


@pytest.mark.parametrize(
    ("strategy", "fan_in", "problem"),
    [
        ("two_level", 1, "groups of 1 never shrink"),
        ("two_level", 0, "groups of 0"),
        ("single", -4, "groups of -4"),
        ("two_level", True, "not a whole number"),
        ("two_level", "8", "not a fan-in"),
        ("two_level", 2.5, "not a fan-in"),
        ("two_level", None, "not a fan-in"),
        ("two_level", ["8"], "'8' is not a whole number"),
        ("two_level", [1], "groups of 1"),
        ("two_level", [], "too short: strategy two_level takes 1"),
        ("two_level", [4, 4], "too long"),
        ("three_level", [4], "too short: strategy three_level takes 2"),
        ("single", [4], "too long: strategy single takes 0"),
        ("auto", [4], "too short: strategy auto takes 2"),
    ],
)
def test_unusable_fan_ins(strategy: str, fan_in: FanIn, problem: str) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        plan_of(strategy, 60, fan_in)
    assert caught.value.field == "strategy.fan_in"


def test_a_list_fits_auto_whatever_the_number() -> None:
    assert shape(plan_of("auto", 5, [16, 4])) == []
    assert shape(plan_of("auto", 50, [16, 4])) == [(1, [50])]
    assert shape(plan_of("auto", 64, [16, 4])) == [(1, [16] * 4), (2, [4])]
    assert shape(plan_of("auto", 640, [16, 4])) == [(1, [16] * 40), (2, [4] * 10), (3, [10])]


def test_no_aggregation_is_wider_than_the_guest_takes() -> None:
    assert shape(plan_of("single", MAX_CHILDREN)) == [(1, [MAX_CHILDREN])]
    with pytest.raises(InputError, match=r"strategy = 'single': .* 4096 children.*three_level"):
        plan_of("single", MAX_CHILDREN + 1)
    with pytest.raises(InputError, match=r"strategy = 'two_level': .* 4096 children"):
        plan_of("two_level", 2 * MAX_CHILDREN + 2, 2)
    assert plan_of("none", MAX_CHILDREN + 1).jobs == MAX_CHILDREN + 1


@pytest.mark.parametrize("strategy", ["auto", *STRATEGIES])
def test_an_empty_batch_is_the_inputs_fault(strategy: str) -> None:
    with pytest.raises(InputError, match=r"guest\.count = 0: empty batch"):
        make_plan(strategy, ())
    with pytest.raises(InputError, match=r"guest\.inputs = "):
        make_plan(strategy, (), field="guest.inputs")
