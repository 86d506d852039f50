"""Plans: which are accepted, which are refused, and how much work a hostile one can cause."""

from __future__ import annotations

import json
import pickle
import time
import tracemalloc
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.model import Aggregation
from runner.plan.plan import Plan, distinct
from runner.plan.strategy import make_plan


def node(job: int, level: int, *children: int) -> Aggregation:
    return Aggregation(id=job, level=level, children=children)


# Four positions of which two are the same run, two groups and a root.
PLAN = Plan("two_level", (0, 1, 1, 2), 3, (node(3, 1, 0, 1), node(4, 1, 1, 2), node(5, 2, 3, 4)), 5)


def test_a_good_plan_and_its_properties() -> None:
    PLAN.validate()
    assert PLAN.jobs == 6
    assert PLAN.levels == 2
    assert PLAN.leaf_order() == PLAN.leaves
    assert PLAN.leaf_counts() == [1, 1, 1, 2, 2, 4]
    assert [*PLAN.first_positions()] == [0, 1, 3]
    assert PLAN.aggregation(4).children == (1, 2)
    assert pickle.loads(pickle.dumps(PLAN)) == PLAN


@pytest.mark.parametrize("job", [-1, 0, 2, 6])
def test_only_aggregations_are_found_as_such(job: int) -> None:
    with pytest.raises(KeyError):
        PLAN.aggregation(job)


def test_parents_are_listed_once_however_often_a_child_stands() -> None:
    assert PLAN.parents == [(3,), (3, 4), (4,), (5,), (5,), ()]
    same = make_plan("two_level", (0,) * 16, fan_in=4)
    assert same.aggregations == (node(1, 1, 0, 0, 0, 0), node(2, 2, 1, 1, 1, 1))
    assert same.parents == [(1,), (2,), ()]
    assert same.leaf_counts() == [1, 4, 16]


def test_distinct_numbers_by_first_appearance() -> None:
    assert distinct(["b", "a", "b", "c", "a"]) == ((0, 1, 0, 2, 1), 3)
    assert distinct([]) == ((), 0)


MALFORMED = {
    "no leaves": (replace(PLAN, leaves=()), "without leaves"),
    "leaf job out of range": (replace(PLAN, leaves=(0, 1, 1, 7)), "leaf jobs"),
    "negative leaf job": (replace(PLAN, leaves=(0, 1, 1, -2)), "leaf jobs"),
    "leaf job never used": (replace(PLAN, leaf_jobs=4), "leaf jobs"),
    "enormous leaf_jobs": (replace(PLAN, leaf_jobs=10**30), "leaf jobs"),
    "none with a root": (replace(PLAN, strategy="none"), "strategy none"),
    "none with aggregations": (replace(PLAN, strategy="none", root=None), "no aggregations"),
    "no root": (replace(PLAN, root=None), "strategy none"),
    "root without aggregations": (replace(PLAN, aggregations=(), root=2), "root 2"),
    "root is not the last": (replace(PLAN, root=4), "root 4"),
    "other order of leaves": (replace(PLAN, leaves=(1, 0, 1, 2)), "order"),
    "fewer leaves than covered": (replace(PLAN, leaves=(0, 1, 2)), "more leaves"),
    "more leaves than covered": (replace(PLAN, leaves=(0, 1, 1, 2, 2)), "order"),
}
MALFORMED_NODES = {
    "id order": ((node(4, 1, 0, 1), node(3, 1, 1, 2), node(5, 2, 3, 4)), "stands where 3"),
    "id gap": ((node(3, 1, 0, 1), node(5, 1, 1, 2), node(6, 2, 3, 5)), "stands where 4"),
    "itself": ((node(3, 1, 0, 3), node(4, 1, 1, 2), node(5, 2, 3, 4)), "come before"),
    "cycle": ((node(3, 1, 0, 4), node(4, 2, 3, 2), node(5, 3, 3, 4)), "come before"),
    "unknown child": ((node(3, 1, 0, 99), node(4, 1, 1, 2), node(5, 2, 3, 4)), "come before"),
    "negative child": ((node(3, 1, 0, -1), node(4, 1, 1, 2), node(5, 2, 3, 4)), "come before"),
    "empty": ((node(3, 1), node(4, 1, 1, 2), node(5, 2, 3, 4)), "no children"),
    "level": ((node(3, 1, 0, 1), node(4, 2, 1, 2), node(5, 3, 3, 4)), "one level above"),
    "unreachable": ((node(3, 1, 0, 1), node(4, 1, 1, 2), node(5, 1, 0, 1, 1, 2)), "job 3 is not"),
    "leaf not covered": ((node(3, 1, 0, 1), node(4, 1, 1, 1), node(5, 2, 3, 4)), "job 2 is not"),
    "single child": ((node(3, 1, 0, 1, 1, 2), node(4, 2, 3)), "single child"),
}
MALFORMED |= {
    name: (replace(PLAN, aggregations=nodes, root=nodes[-1].id), match)
    for name, (nodes, match) in MALFORMED_NODES.items()
}


@pytest.mark.parametrize(("plan", "match"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_plans_are_refused(plan: Plan, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        plan.validate()
    with pytest.raises(ValueError, match=match):
        Plan.from_json(json.loads(json.dumps(plan.to_json())))


def test_a_single_leaf_may_have_a_root_of_its_own() -> None:
    Plan("single", (0,), 1, (node(1, 1, 0),), 1).validate()
    with pytest.raises(ValueError, match="single child"):
        Plan("two_level", (0,), 1, (node(1, 1, 0), node(2, 2, 1)), 2).validate()


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=60),
    st.sampled_from(["none", "single", "two_level", "three_level", "auto"]),
    st.integers(2, 9) | st.just("auto"),
)
def test_json_round_trip(values: list[int], strategy: str, fan_in: int | str) -> None:
    plan = make_plan(strategy, distinct(values)[0], fan_in=fan_in)
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


def edited(**changes: object) -> dict[str, Any]:
    return PLAN.to_json() | changes


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        edited(extra=1),
        {k: v for k, v in PLAN.to_json().items() if k != "root"},
        edited(strategy=3),
        edited(strategy="\x1b[31m"),
        edited(strategy="s" * 65),
        edited(leaves=None),
        edited(leaves=[0, True, 1, 2]),
        edited(leaves=[0, 1.0, 1, 2]),
        edited(leaf_jobs="3"),
        edited(leaf_jobs=True),
        edited(root=5.0),
        edited(aggregations={}),
        edited(aggregations=[[0, 1]]),
        edited(aggregations=[{"id": 3, "level": 1}]),
        edited(aggregations=[{"id": 3, "level": 1, "children": "01"}]),
    ],
)
def test_other_json_is_refused(data: object) -> None:
    with pytest.raises(ValueError, match=r"^(plan|leaf jobs)"):
        Plan.from_json(data)


def bombs() -> dict[str, Plan]:
    doubling = tuple(node(1 + i, 1 + i, i, i) for i in range(20_000))
    chain = (node(1, 1, 0, 0), *(node(1 + i, 1 + i, i) for i in range(1, 20_000)))
    wide = (
        node(1, 1, *[0] * 20_000),
        node(2, 2, *[1] * 20_000),
        node(3, 3, *[2] * 20_000),
    )
    shared = (*chain, node(20_001, 20_001, *[20_000] * 20_000))
    nodes = {"doubling": doubling, "chain": chain, "wide": wide, "shared chain": shared}
    return {name: Plan("x", (0,) * 20_000, 1, n, n[-1].id) for name, n in nodes.items()}


@pytest.mark.parametrize("name", bombs())
def test_a_hostile_plan_is_refused_at_once(name: str) -> None:
    plan = bombs()[name]
    start = time.process_time()
    with pytest.raises(ValueError, match=r"more leaves than|single child"):
        plan.validate()
    assert time.process_time() - start < 1


def test_a_million_leaves() -> None:
    start = time.process_time()
    leaves, number = distinct(range(10**6))
    plan = make_plan("auto", leaves)
    assert (plan.strategy, plan.levels, number) == ("three_level", 3, 10**6)
    assert time.process_time() - start < 5


def test_memory_is_below_a_kibibyte_a_leaf() -> None:
    tracemalloc.start()
    try:
        plan = make_plan("two_level", distinct(range(8_000))[0], fan_in=2)
        assert plan.parents[0] == (8_000,)
        assert tracemalloc.get_traced_memory()[1] < 8_000 * 1024
    finally:
        tracemalloc.stop()


def test_a_deep_plan_is_no_problem() -> None:
    depth = 20_000
    nodes = tuple(node(1 + i, 1 + i, i, 0) for i in range(depth))
    plan = Plan("comb", (0,) * (depth + 1), 1, nodes, depth)
    plan.validate()
    assert plan.levels == depth
