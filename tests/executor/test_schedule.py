"""The schedule of batches with long runs, in virtual time, against what no schedule can beat."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from benchmarks.studies.machines import Machines
from benchmarks.studies.schedule import OPENVM, OPENVM_RECEIPT, Result, Times, mixed, simulate
from runner.plan.strategy import make_plan

if TYPE_CHECKING:
    from runner.model import Outcome


@pytest.mark.parametrize(
    ("segments", "workers"),
    [
        (mixed(3_000), 30),
        ([1] * 300 + [300], 20),  # the long run comes last
        ([300] + [1] * 300, 20),
        ([40] * 15, 20),
    ],
    ids=["mixed", "long last", "long first", "all long"],
)
def test_the_makespan_is_close_to_the_bound(segments: list[int], workers: int) -> None:
    # The jobs that only one worker can do are short here, as they are in large batches, where they
    # come to 2 % of the makespan.
    times = Times(execute=0.001, segment=20.0, assemble=0.001, aggregate=1.0)
    found = simulate(segments, workers, times)
    assert found.over < 0.06
    assert found.makespan >= max(found.by_work, found.by_chain)


def test_one_long_run_takes_as_long_as_its_chain_where_there_are_workers_enough() -> None:
    found = simulate([50], 200, Times())
    assert found.over == pytest.approx(0.0, abs=1e-9)
    assert found.by_chain > found.by_work


def test_every_byte_of_a_receipt_goes_to_the_store_once_and_comes_back_once_or_was_there() -> None:
    machines = Machines(5, 4, receipt=1000)
    times = Times(segment=20.0, aggregate=10.0, child=1.0)
    found = simulate([1] * 1000, 20, times, machines=machines)
    plan = make_plan("three_level", range(1000))
    assert found.jobs == plan.jobs
    assert sum(link.sent for link in machines.links) == 1000 * plan.jobs
    # Each receipt but the root's is needed by its one parent.
    needed = sum(link.fetched + link.kept for link in machines.links)
    assert needed == 1000 * (plan.jobs - 1)
    # Leaves that are aggregated together were proved on one machine, and the aggregation there.
    assert sum(link.kept for link in machines.links) > 0.8 * needed
    assert found.over < 0.2


def test_placement_costs_no_time() -> None:
    def run(machines: Machines) -> Result:
        return simulate([1] * 3_000, 12, OPENVM, machines=machines)

    placed, scattered = Machines(3, 4, OPENVM_RECEIPT), Scattered(3, 4, OPENVM_RECEIPT)
    assert run(placed).makespan < 1.005 * run(scattered).makespan
    # 59.8 % of the bytes move without it, and 6.7 % with it.
    assert moved(placed) < 0.1
    assert moved(scattered) > 0.5


class Scattered(Machines):
    """Machines that do not say which of them has made a receipt."""

    def end(self, host: int, outcome: Outcome) -> Outcome:
        return replace(super().end(host, outcome), stored=None)


def moved(machines: Machines) -> float:
    """The share of the children's bytes that came from the store."""
    fetched = sum(link.fetched for link in machines.links)
    return fetched / (fetched + sum(link.kept for link in machines.links))


def test_what_goes_through_the_client_does_not_grow_with_receipts() -> None:
    small, large = (Machines(2, 2, receipt=size) for size in (1_000, 1_000_000))
    for machines in (small, large):
        simulate([1] * 100, 4, Times(), machines=machines)
    assert large.calls - small.calls < 1_000
    assert large.calls < 4_000 * 130
    assert large.outcomes < 1_000 * 130
