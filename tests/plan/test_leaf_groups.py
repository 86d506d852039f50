"""Which leaf a machine takes next."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.plan.leaf_groups import LeafGroups
from runner.plan.strategy import make_plan


def groups(leaves: int, size: int) -> list[tuple[int, ...]]:
    """The parents of leaves that are aggregated in groups of a size."""
    return [(leaves + leaf // size,) for leaf in range(leaves)]


@given(st.integers(1, 60), st.integers(1, 20), st.lists(st.sampled_from("abc "), max_size=200))
def test_every_leaf_is_taken_once_by_whoever_has_room(
    leaves: int, size: int, order: list[str]
) -> None:
    without = {0, leaves // 2}
    left = LeafGroups(leaves, groups(leaves, size), without)
    taken = []
    for host in [*order, *"c" * leaves]:
        if not len(left):
            break
        taken.append(left.take(host.strip()))
    assert sorted(taken) == sorted({*range(leaves)} - without)


def test_without_machines_the_order_is_that_of_the_ids() -> None:
    left = LeafGroups(100, groups(100, 7))
    assert [left.take() for _ in range(100)] == [*range(100)]


def test_a_machine_takes_leaves_that_are_aggregated_together() -> None:
    left = LeafGroups(1000, groups(1000, 10))
    taken = {leaf: host for _ in range(250) for host in "abcd" for leaf in [left.take(host)]}
    shares = [Counter(taken[leaf] for leaf in range(at, at + 10)) for at in range(0, 1000, 10)]
    assert sum(share.most_common(1)[0][1] == 10 for share in shares) >= 88
    # The last groups are shared, so that not all aggregations start at the end.
    assert all(len(share) == 4 for share in shares[-4:])


def test_a_machine_that_is_gone_keeps_no_leaf_from_the_others() -> None:
    left = LeafGroups(100, groups(100, 10))
    first = left.take("gone")
    assert sorted([first, *(left.take("here") for _ in range(99))]) == [*range(100)]


@pytest.mark.parametrize("strategy", ["none", "single", "two_level"])
def test_plans_of_all_shapes(strategy: str) -> None:
    plan = make_plan(strategy, range(30), fan_in=4)
    left = LeafGroups(plan.leaf_jobs, plan.parents)
    assert sorted(left.take("ab"[turn % 2]) for turn in range(30)) == [*range(30)]
    assert not len(left)
    left.clear()
    assert not len(left)
