"""The estimate of the time left claims what the model knows, and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.plan import time_left
from runner.plan.strategy import make_plan
from runner.plan.time_left import Estimate, TimeLeft
from runner.text import duration

if TYPE_CHECKING:
    from runner.plan.plan import Plan


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 s"),
        (0.0001, "0.0 s"),
        (0.0042, "4 ms"),
        (0.0994, "99 ms"),
        (0.0996, "0.1 s"),
        (0.44, "0.4 s"),
        (9.9, "9.9 s"),
        (12.4, "12 s"),
        (59.6, "1 min 00 s"),
        (185.0, "3 min 05 s"),
        (3599.7, "1 h 00 min"),
        (7800.0, "2 h 10 min"),
        (360000.0, "100 h 00 min"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def leaves(count: int) -> Plan:
    return make_plan("none", range(count))


def single(count: int) -> Plan:
    """A plan of leaves with one root over them."""
    return make_plan("single", range(count))


def test_nothing_measured_is_unknown() -> None:
    left = TimeLeft(single(4), 1, {})
    assert left.estimate(0.0) == Estimate(None, complete=False, jobs=5)
    assert left.estimate(0.0).text() == "time left unknown"
    left.started(0, 0.0)
    assert left.estimate(100.0).text() == "time left unknown"


def test_what_was_never_measured_makes_a_lower_bound() -> None:
    left = TimeLeft(single(4), 1, {})
    left.started(0, 0.0)
    left.finished(0, 10.0)
    assert left.estimate(10.0) == Estimate(30.0, complete=False, jobs=4)
    assert left.estimate(10.0).text() == "at least 30 s left"


def test_a_lower_bound_of_nothing_is_not_worth_saying() -> None:
    left = TimeLeft(single(1), 1, {})
    left.finished(0, 10.0)
    assert left.estimate(10.0).text() == "time left unknown"


def test_earlier_runs_fill_in_until_this_one_has_its_own() -> None:
    left = TimeLeft(single(4), 1, {0: 20.0, 1: 8.0})
    assert left.estimate(0.0).text() == "about 1 min 28 s left"
    left.finished(0, 10.0)
    assert left.estimate(10.0).text() == "about 38 s left"


def test_earlier_figures_of_one_level_only_are_a_lower_bound() -> None:
    assert TimeLeft(single(4), 1, {1: 8.0}).estimate(0.0).text() == "at least 8.0 s left"


def test_the_mean_is_over_this_runs_jobs() -> None:
    left = TimeLeft(leaves(4), 1, {0: 99.0})
    left.finished(0, 10.0)
    left.finished(1, 20.0)
    assert left.estimate(0.0) == Estimate(30.0, complete=True, jobs=2)


def test_cache_hits_measure_nothing() -> None:
    left = TimeLeft(leaves(4), 1, {})
    left.finished(0, None)
    left.finished(1, None)
    assert left.estimate(1.0).text() == "time left unknown"
    left.finished(2, 10.0)
    assert left.estimate(11.0) == Estimate(10.0, complete=True, jobs=1)


def test_running_jobs_count_as_far_as_they_are() -> None:
    left = TimeLeft(leaves(3), 1, {0: 10.0})
    left.started(0, 100.0)
    assert left.estimate(104.0).seconds == 26.0
    assert left.estimate(150.0).seconds == 20.0  # an overdue job does not make the others faster


def test_an_overdue_job_is_called_due() -> None:
    left = TimeLeft(leaves(1), 1, {0: 10.0})
    left.started(0, 0.0)
    assert left.estimate(10.5).text() == "due, takes longer than measured so far"


def test_workers_share_what_there_is() -> None:
    assert TimeLeft(leaves(8), 4, {0: 10.0}).estimate(0.0).seconds == 20.0
    # One root keeps one worker busy, however many workers there are.
    assert TimeLeft(single(8), 4, {0: 10.0, 1: 10.0}).estimate(0.0).seconds == 30.0


def test_workers_without_a_job_at_the_end_of_a_level_help_nobody() -> None:
    """Five leaves on four workers take two rounds, as eight do, and not 12.5 s."""
    assert TimeLeft(leaves(5), 4, {0: 10.0}).estimate(0.0).seconds == 20.0


def test_the_chain_up_to_the_root_is_a_bound_for_any_number_of_workers() -> None:
    plan = make_plan("three_level", range(27), fan_in=3)
    assert plan.levels == 3
    means = {0: 10.0, 1: 3.0, 2: 4.0, 3: 5.0}
    assert TimeLeft(plan, 1000, means).estimate(0.0).seconds == 22.0


def test_aggregations_start_while_leaves_are_proved() -> None:
    """Of two groups of two leaves on one worker, none waits for the end of a level."""
    plan = make_plan("two_level", range(4), fan_in=2)
    left = TimeLeft(plan, 2, {0: 10.0, 1: 1.0, 2: 1.0})
    # Leaves 0 and 1 end at 10, their aggregation at 11 beside leaf 2, leaf 3 at 21, the other
    # aggregation at 22 and the root at 23.
    assert left.estimate(0.0).seconds == 23.0


def test_a_failed_attempt_measures_nothing() -> None:
    left = TimeLeft(leaves(2), 1, {})
    left.started(0, 0.0)
    left.stopped(0)
    assert left.estimate(50.0).text() == "time left unknown"
    left.finished(0, 10.0)
    assert left.estimate(60.0).seconds == 10.0


def test_what_failed_for_good_takes_what_needs_it_along() -> None:
    plan = make_plan("two_level", range(4), fan_in=2)
    left = TimeLeft(plan, 1, {0: 10.0, 1: 1.0, 2: 1.0})
    left.failed(0)
    # Leaf 1, leaves 2 and 3 and their aggregation can still be made, but the root cannot.
    assert left.estimate(0.0) == Estimate(31.0, complete=True, jobs=4)


def test_the_end() -> None:
    left = TimeLeft(leaves(1), 1, {})
    left.finished(0, 1.0)
    assert left.estimate(1.0) == Estimate(0.0, complete=True, jobs=0)
    assert left.estimate(1.0).text() == "nothing left"


MEANS = st.floats(0.001, 1000.0)


@given(
    strategy=st.sampled_from(["none", "single", "two_level", "three_level"]),
    count=st.integers(1, 60),
    fan_in=st.integers(2, 5),
    workers=st.integers(1, 9),
    means=st.lists(MEANS, min_size=4, max_size=4),
    laid_out=st.sampled_from([3, 1000]),
    done=st.integers(0, 60),
)
def test_estimates_are_within_grahams_bounds(
    *,
    strategy: str,
    count: int,
    fan_in: int,
    workers: int,
    means: list[float],
    laid_out: int,
    done: int,
) -> None:
    """List scheduling takes at least work / workers and the longest chain, and at most their sum.

    See R. L. Graham, Bounds on Multiprocessing Timing Anomalies, 1969.
    """
    plan = make_plan(strategy, range(count), fan_in=fan_in)
    by_level = dict(enumerate(means))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time_left, "_LAID_OUT", laid_out)
        left = TimeLeft(plan, workers, by_level)
    levels = [0] * plan.leaf_jobs + [a.level for a in plan.aggregations]
    gone = range(min(done, plan.leaf_jobs))
    for job in gone:
        left.finished(job, None)
    chains: dict[int, float] = {}
    for job in range(plan.jobs):
        children = () if job < plan.leaf_jobs else plan.aggregation(job).children
        below = max((chains[child] for child in children), default=0.0)
        chains[job] = below + (0.0 if job in gone else by_level[levels[job]])
    work = sum(by_level[levels[job]] for job in range(plan.jobs) if job not in gone) / workers
    chain = max(chains.values())
    seconds = left.estimate(0.0).seconds
    assert seconds is not None
    assert seconds >= work * (1 - 1e-9)
    if laid_out == 1000:  # jobs that are only counted are taken to keep all workers busy
        assert seconds >= chain * (1 - 1e-9)
    assert seconds <= (work + chain) * (1 + 1e-9)


def test_a_large_batch_costs_little_more_than_a_small_one() -> None:
    """The number of jobs that are laid out one by one does not grow with the batch."""
    sizes = [
        len(TimeLeft(make_plan("three_level", range(count)), 8, {})._children)
        for count in (5_000, 20_000)
    ]
    assert sizes[1] < 1.2 * sizes[0] < 2_000
