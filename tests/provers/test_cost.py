"""The cost model against the aggregator itself, and the groupings it picks."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import runner_risc0 as native
from hypothesis import given
from hypothesis import strategies as st

from runner.plan.cost import cheapest
from runner.plan.journal import AggregationResult, aggregator_stdin
from runner.plan.strategy import STRATEGIES, Strategy, make_plan
from runner.provers.guests import DEFAULT_FOLDER, Manifest, read_elf
from runner.provers.openvm.cost import AGGREGATOR as OPENVM
from runner.provers.risc0.cost import AGGREGATOR as RISC0

if TYPE_CHECKING:
    from runner.model import AggregationCost
    from runner.plan.plan import Plan

SHIPPED = Manifest.load(DEFAULT_FOLDER)


def used(journal: bytes | None, children: int) -> tuple[int, int]:
    """(cycles but for the circuit's own, padded cycles) of an aggregation; None: of aggregates."""
    aggregator = SHIPPED.get("aggregator")
    claims = []
    for _ in range(children):
        if journal is None:
            result = AggregationResult(aggregator.image_id, 2, os.urandom(32))
            claims.append((aggregator.image_id, result.encode()))
        else:
            claims.append((SHIPPED.get("fibonacci").image_id, journal))
    stdin = aggregator_stdin(aggregator.image_id, claims)
    run = native.execute(read_elf(aggregator), stdin, claims)
    return run.user_cycles + run.paging_cycles, run.total_cycles


@pytest.mark.parametrize("size", [4, 8, 20, 24, 32, 56, 68, 200, 1024])
@pytest.mark.parametrize("children", [1, 8, 60])
def test_leaves_cost_what_is_counted(size: int, children: int) -> None:
    counted, _ = used(os.urandom(size), children)
    modelled = RISC0.fixed + children * RISC0.leaf(size) - 4_112
    assert counted <= modelled + 20 * children
    assert modelled <= counted * 1.02 + 100


@pytest.mark.parametrize("children", [1, 5, 40])
def test_aggregates_cost_what_is_counted(children: int) -> None:
    counted, _ = used(None, children)
    modelled = RISC0.fixed + children * RISC0.aggregate - 4_112
    assert counted <= modelled <= counted * 1.02 + 100


@pytest.mark.parametrize(("size", "children"), [(8, 8), (8, 24), (8, 57), (32, 6), (32, 20)])
def test_a_group_that_fills_a_power_of_two_does_so(size: int, children: int) -> None:
    for more in (0, 1):
        _, total = used(os.urandom(size), children + more)
        assert total == RISC0.aggregation((children + more) * RISC0.leaf(size))
    assert total == 2 * RISC0.aggregation(children * RISC0.leaf(size))


def cycles(plan: Plan, journal_bytes: int) -> int:
    """Padded cycles of a plan's aggregations, counted one by one."""
    leaf = RISC0.leaf(journal_bytes)
    return sum(
        RISC0.aggregation(
            sum(leaf if child < plan.leaf_jobs else RISC0.aggregate for child in a.children)
        )
        for a in plan.aggregations
    )


@given(
    st.integers(1, 3000),
    st.sampled_from([("two_level", 1), ("three_level", 2)]),
    st.sampled_from([8, 32]),
)
def test_never_dearer_than_balanced_and_as_many_levels(
    n: int, strategy: tuple[str, int], size: int
) -> None:
    name, levels = strategy
    sizes = cheapest(n, levels, RISC0, size)
    assert len(sizes) == levels
    assert min(sizes) >= 2
    ours = make_plan(name, range(n), cost=RISC0, journal_bytes=size)
    balanced = make_plan(name, range(n), fan_in="balanced")
    assert ours.levels >= balanced.levels
    if ours.levels == balanced.levels:
        assert cycles(ours, size) <= cycles(balanced, size)


@pytest.mark.parametrize(
    ("name", "n", "size", "sizes"),
    [
        ("two_level", 51, 8, {24: 2, 3: 2}),  # 24 fill 2^16
        ("three_level", 8, 8, {3: 2, 2: 3}),
    ],
)
def test_pictures(name: str, n: int, size: int, sizes: dict[int, int]) -> None:
    plan = make_plan(name, range(n), cost=RISC0, journal_bytes=size)
    found: dict[int, int] = {}
    for aggregation in plan.aggregations:
        width = len(aggregation.children)
        found[width] = found.get(width, 0) + 1
    assert found == sizes


@pytest.mark.parametrize(
    ("children", "proofs"),
    # Counted in the logs of real aggregations: the proofs of a run, and those of its children.
    [(1, 10 + 1 + 3), (2, 10 + 2 + 3), (4, 10 + 4 + 2 + 1 + 1), (6, 10 + 6 + 3 + 2 + 1)],
)
def test_an_openvm_aggregation_is_so_many_proofs(children: int, proofs: int) -> None:
    assert OPENVM.aggregation(children) == proofs


@pytest.mark.parametrize("cost", [RISC0, OPENVM], ids=["risc0", "openvm"])
def test_a_strategy_of_any_number_of_grouping_levels_gets_as_many(
    cost: AggregationCost, monkeypatch: pytest.MonkeyPatch
) -> None:
    four = Strategy(grouping_levels=3, shape=STRATEGIES["three_level"].shape)
    monkeypatch.setitem(STRATEGIES, "four_level", four)
    assert len(cheapest(5000, 3, cost, 8)) == 3
    assert make_plan("four_level", range(5000), cost=cost, journal_bytes=8).levels == 4
    assert make_plan("four_level", range(5000)).levels == 4


@given(st.integers(3, 400), st.integers(1, 2))
def test_openvm_gets_few_large_groups(n: int, levels: int) -> None:
    name = ("two_level", "three_level")[levels - 1]
    plan = make_plan(name, range(n), cost=OPENVM, journal_bytes=8)
    balanced = make_plan(name, range(n))

    def proofs(tree: Plan) -> int:
        return sum(OPENVM.aggregation(len(a.children)) for a in tree.aggregations)

    assert max(len(a.children) for a in plan.aggregations) <= OPENVM.most
    if plan.levels == balanced.levels:
        assert proofs(plan) <= proofs(balanced)
