"""In which order jobs start, and how many of them run at a time on how many threads."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.engines.inline import InlineEngine
from runner.errors import JobFailedError
from runner.plan.plan import Plan  # noqa: TC001  # Hypothesis and dataclasses resolve annotations
from runner.plan.strategy import make_plan
from tests.executor.bench import (
    EIGHT,
    TRANSIENT,
    Bench,
    HandEngine,
    everything,
    hits,
    newest,
    no_overtaking,
    oldest,
)
from tests.fakes.jobs import outcome_of

if TYPE_CHECKING:
    from concurrent.futures import Future

    from runner.model import Outcome, ProofJob


def test_aggregations_start_with_their_children_and_before_new_leaves() -> None:
    bench = Bench(EIGHT, oldest, workers=1).run()
    assert bench.engine.submitted == [0, 1, 8, 2, 3, 9, 12, 4, 5, 10, 6, 7, 11, 13, 14]
    assert bench.jobs.accepted == bench.engine.submitted


def test_no_level_waits_for_all_of_the_one_below() -> None:
    bench = Bench(EIGHT, oldest, workers=2).run()
    assert bench.engine.submitted == [0, 1, 2, 8, 3, 4, 9, 5, 12, 10, 6, 7, 11, 13, 14]


def test_a_slow_leaf_holds_up_only_what_needs_it() -> None:
    def last_first(engine: HandEngine) -> None:
        engine.finish(next(iter([job for job in engine.running if job != 0]), 0))

    bench = Bench(EIGHT, last_first, workers=2).run()
    assert bench.engine.submitted == [0, 1, 2, 3, 9, 4, 5, 10, 6, 7, 11, 13, 8, 12, 14]


@pytest.mark.parametrize("workers", [1, 2, 3, 20])
def test_at_most_so_many_jobs_at_a_time(workers: int) -> None:
    bench = Bench(EIGHT, newest, workers=workers).run()
    assert bench.engine.widest == min(workers, 8)
    assert sorted(bench.engine.submitted) == list(range(15))


def test_load_counts_what_runs_and_what_waits() -> None:
    bench = Bench(make_plan("single", range(4)), oldest, workers=2).run()
    assert bench.observer.loads == [(2, 2), (2, 1), (2, 0), (1, 0), (1, 0), (0, 0)]


def test_without_aggregation() -> None:
    bench = Bench(make_plan("none", range(3)), everything).run()
    assert sorted(bench.jobs.accepted) == [0, 1, 2]


def test_a_child_that_stands_twice_is_one_child() -> None:
    plan = make_plan("two_level", [0, 0, 1, 0, 0, 0], fan_in=2)
    bench = Bench(plan, oldest, workers=1).run()
    assert sorted(bench.engine.submitted) == list(range(plan.jobs))
    by_id = {job.id: job for job in bench.engine.jobs}
    twice = next(a for a in plan.aggregations if a.children == (0, 0))
    assert len(by_id[twice.id].children) == 1
    assert bench.jobs.outcomes[plan.jobs - 1].journal == bench.jobs.expected_root().encode()


def test_children_come_with_their_receipts() -> None:
    bench = Bench(EIGHT, oldest).run()
    for job in bench.engine.jobs[-7:]:
        assert [child.receipt is None for child in job.children] == [False] * len(job.children)


# -- threads ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("leaves", "workers", "cores", "threads"),
    [
        (4, 1, 4, [4, 4, 4, 4, 4]),
        (4, 2, 4, [2, 2, 2, 2, 4]),
        (3, 2, 4, [2, 2, 4, 4]),  # the last leaf and the root run alone
        (4, 4, 4, [1, 1, 1, 1, 4]),
        (1, 4, 8, [8, 8]),
        (4, 16, 4, [1, 1, 1, 1, 4]),
        (2, 3, 7, [4, 4, 7]),
        (4, 4, 1, [1, 1, 1, 1, 1]),
    ],
)
def test_jobs_side_by_side_share_the_cores(
    leaves: int, workers: int, cores: int, threads: list[int]
) -> None:
    plan = make_plan("single", range(leaves))
    assert Bench(plan, everything, workers=workers, cores=cores).run().threads == threads


def test_the_last_job_of_a_level_shares_with_the_one_still_running() -> None:
    assert Bench(make_plan("none", range(4)), oldest).run().threads == [2, 2, 2, 2]


@pytest.mark.parametrize(("hit", "threads"), [(False, [2, 2, 4]), (True, [4, 4])])
def test_look_ups_that_decide_who_gets_which_cores_are_waited_for(
    hit: bool,  # a parameter
    threads: list[int],
) -> None:
    """Otherwise one of several jobs would take all cores, or a lone job only half of them."""
    bench = Bench(make_plan("single", range(2)), everything, cached=True)
    first_missed = threading.Event()

    def lookup(job: ProofJob) -> Outcome | None:
        if job.id == 0:
            first_missed.set()
        elif job.id == 1:
            assert first_missed.wait(60)
            time.sleep(0.05)  # the executor can only wait
            return outcome_of(job, cached=True) if hit else None
        return None

    bench.jobs.lookup = lookup  # type: ignore[method-assign]
    bench.run()
    assert bench.threads == threads


# -- anything ---------------------------------------------------------------------------------


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    name = draw(st.sampled_from(["none", "single", "two_level", "three_level"]))
    raw = draw(st.lists(st.integers(0, 12), min_size=1, max_size=24))
    ids: dict[int, int] = {}
    leaves = [ids.setdefault(value, len(ids)) for value in raw]
    return make_plan(name, leaves, fan_in=draw(st.integers(2, 5)))


@settings(deadline=None)
@given(
    plan=plans(),
    workers=st.integers(1, 6),
    cached=st.booleans(),
    data=st.data(),
    seed=st.integers(0, 2**32),
)
def test_any_plan_completes_in_any_order(
    plan: Plan, workers: int, *, cached: bool, data: st.DataObject, seed: int
) -> None:
    # Which jobs run at the same time also depends on the threads of the look-ups. Hypothesis wants
    # the same questions in every run, so it cannot be asked what happens to each job.
    chance = random.Random(seed)
    failures = data.draw(
        st.dictionaries(st.integers(0, plan.jobs - 1), st.integers(0, 2), max_size=4)
    )
    left = dict(failures)

    def script(engine: HandEngine) -> None:
        running = sorted(engine.running)
        for job_id in chance.sample(running, chance.randint(1, len(running))):
            if left.get(job_id, 0):
                left[job_id] -= 1
                engine.fail(job_id, TRANSIENT)
            else:
                engine.finish(job_id)

    bench = Bench(plan, script, workers=workers, cached=cached)
    if cached:
        hits(bench, *data.draw(st.sets(st.integers(0, plan.leaf_jobs - 1))))
    no_overtaking(bench)
    bench.run()

    assert sorted(bench.jobs.accepted) == list(range(plan.jobs))
    proved = set(range(plan.jobs)) - set(bench.jobs.hits)
    tries = {job: bench.engine.submitted.count(job) for job in range(plan.jobs)}
    assert tries == {job: 1 + failures.get(job, 0) if job in proved else 0 for job in tries}
    assert bench.engine.widest <= workers
    when = {job: at for at, job in enumerate(bench.jobs.accepted)}
    for aggregation in plan.aggregations:
        assert all(when[child] < when[aggregation.id] for child in aggregation.children)
    if plan.root is not None:
        assert bench.jobs.outcomes[plan.root].journal == bench.jobs.expected_root().encode()


def test_an_engine_that_takes_no_more_jobs_fails_the_batch_not_the_program() -> None:
    class Broken(InlineEngine):
        def submit(self, fn: object, /, *args: Any, **kwargs: Any) -> Future[Any]:  # noqa: ANN401
            raise BrokenProcessPool("all workers are gone")

    bench = Bench(make_plan("single", range(2)), oldest)
    with pytest.raises(JobFailedError, match="after 3 attempts: all workers are gone"):
        bench.make(Broken()).run()
