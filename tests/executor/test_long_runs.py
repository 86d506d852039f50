"""Jobs that turn out to be runs of several segments: a plan that grows while it is run."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.engines.retry import RetryPolicy
from runner.errors import JobFailedError, SegmentLostError, WorkerDiedError
from runner.events import JobFailed, JobFinished, JobRetried, JobSplit
from runner.plan.strategy import make_plan
from tests.executor.bench import LASTING, TRANSIENT, Bench, HandEngine, failing, newest, oldest

if TYPE_CHECKING:
    from collections.abc import Callable

ONE = make_plan("single", [0])
"""Leaf 0, and the root 1 over it."""


def bench(
    plan: Any,  # noqa: ANN401  # a plan
    long: dict[int, int],
    script: Callable[[HandEngine], None] = oldest,
    **options: Any,  # noqa: ANN401  # of the bench
) -> Bench:
    made = Bench(plan, script, **options)
    made.engine.long = long
    return made


def test_a_long_leaf_becomes_a_job_for_each_segment_and_one_for_all() -> None:
    one = bench(ONE, {0: 3}, workers=1).run()
    assert one.engine.submitted == [0, (0, 0), (0, 1), (0, 2), (0, 3), 1]
    assert one.jobs.accepted == [0, 1]
    names = [job.name for job in one.engine.jobs]
    assert names[1:5] == [
        "leaf 0, segment 1 of 3",
        "leaf 0, segment 2 of 3",
        "leaf 0, segment 3 of 3",
        "leaf 0, all segments",
    ]
    (split,) = one.observer.of(JobSplit)
    assert split.run.sizes == (20, 20, 20)
    whole = one.jobs.outcomes[0]
    assert whole.parts == 3
    assert whole.prove_s == 5.0  # the execution, three segments and the receipt of all
    assert whole.cycles.segments == 3


def test_segments_are_proved_side_by_side_and_in_any_order() -> None:
    one = bench(ONE, {0: 5}, newest, workers=3).run()
    assert one.engine.widest == 3
    assert one.jobs.accepted == [0, 1]
    assert one.engine.submitted[-2:] == [(0, 5), 1]


def test_an_aggregation_of_several_segments_takes_the_same_way() -> None:
    one = bench(make_plan("single", range(2)), {2: 2}, workers=2).run()
    assert one.engine.submitted == [0, 1, 2, (2, 0), (2, 1), (2, 2)]
    assert len(one.engine.jobs[-1].children) == 2


def test_neither_long_leaves_nor_short_ones_wait_for_the_other() -> None:
    one = bench(make_plan("none", range(6)), {0: 4}, workers=1).run()
    assert one.engine.submitted[:8] == [0, (0, 0), 1, (0, 1), 2, (0, 2), 3, (0, 3)]


def test_what_is_nearer_to_the_root_goes_first() -> None:
    # Aggregation 8 has segments while leaves wait, and so has the last receipt of leaf 1.
    plan = make_plan("two_level", range(8), fan_in=2)
    one = bench(plan, {1: 2, 8: 2}, workers=1).run()
    order = one.engine.submitted
    after = order.index(8)
    assert order[after : after + 4] == [8, (8, 0), (8, 1), (8, 2)]
    assembly = order.index((1, 2))
    assert order[assembly - 1] == (1, 1)


@pytest.mark.parametrize("workers", [1, 4])
def test_segments_are_cut_only_a_little_ahead(workers: int) -> None:
    one = bench(ONE, {0: 500}, workers=workers, cores=4).run()
    assert one.jobs.accepted == [0, 1]
    assert one.jobs.cut_ahead <= 2 * (workers + 4) + 1


def test_each_segment_is_tried_again_on_its_own() -> None:
    one = bench(ONE, {0: 3}, failing({(0, 1): [TRANSIENT, TRANSIENT]}), workers=2).run()
    assert one.engine.submitted.count((0, 1)) == 3
    assert one.engine.submitted.count((0, 0)) == one.engine.submitted.count((0, 2)) == 1


def test_a_segment_that_fails_for_good_fails_its_job_and_drops_the_others() -> None:
    plan = make_plan("none", range(2))
    one = bench(plan, {0: 50}, failing({(0, 1): [LASTING]}), workers=2, on_failure="continue")
    with pytest.raises(JobFailedError, match="leaf 0, segment 2 of 50 failed after 1 attempt"):
        one.run()
    assert one.jobs.accepted == [1]
    assert (0, 50) not in one.engine.submitted
    assert len(one.engine.submitted) < 10
    assert one.observer.ids(JobFailed) == [0]


KILLED = WorkerDiedError("signal SIGKILL")
"""Nobody knows who has killed the worker."""

NO_MEMORY = [
    [WorkerDiedError("signal SIGKILL", out_of_memory=True)],
    [WorkerDiedError("signal SIGABRT")],
    [KILLED, KILLED],
]
"""The failures after which a job is taken to have had too little memory."""


@pytest.mark.parametrize("errors", NO_MEMORY)
def test_a_segment_that_got_no_memory_cuts_its_run_smaller(errors: list[WorkerDiedError]) -> None:
    one = bench(ONE, {0: 3}, failing({(0, 1): errors}), workers=1)
    one.jobs.most_halvings = 1
    one.run()
    assert one.jobs.forgotten == [0]
    runs = [job for job in one.engine.jobs if job.id == 0 and job.part is None]
    assert [job.halvings for job in runs] == [0, 1]
    # All segments of the new cut are proved, and nothing of the earlier one counts.
    parts = [job.key for job in one.engine.jobs if job.part is not None and job.halvings]
    assert parts == [(0, 0), (0, 1), (0, 2), (0, 3)]
    assert one.jobs.accepted == [0, 1]
    assert [event.smaller for event in one.observer.of(JobRetried)][-1]
    assert one.jobs.outcomes[0].attempts == 2  # at the run, which was executed twice


@pytest.mark.parametrize("errors", NO_MEMORY)
def test_a_whole_run_that_got_no_memory_is_cut_smaller(errors: list[WorkerDiedError]) -> None:
    one = bench(ONE, {}, failing({0: errors}))
    one.jobs.most_halvings = 1
    one.run()
    assert [job.halvings for job in one.engine.jobs if job.id == 0][-1] == 1
    assert one.jobs.outcomes[0].attempts == len(errors) + 1


def test_a_worker_that_somebody_kills_costs_one_segment_and_no_other_cut() -> None:
    one = bench(ONE, {0: 3}, failing({(0, 1): [KILLED, TRANSIENT], (0, 2): [KILLED]}), workers=1)
    one.jobs.most_halvings = 1
    one.run()
    assert one.jobs.forgotten == []
    assert one.engine.submitted.count((0, 0)) == 1


def test_attempts_at_a_smaller_cut_are_limited_anew() -> None:
    aborted = WorkerDiedError("signal SIGABRT")
    one = bench(ONE, {}, failing({0: [aborted] * 6 + [TRANSIENT] * 2}))
    one.jobs.most_halvings = 6
    one.run()  # a job has three attempts, and each smaller one has them too
    assert one.jobs.outcomes[0].attempts == 9
    never = bench(ONE, {}, failing({0: [aborted]}), policy=RetryPolicy(1, 0.0, 0.0, 0.0))
    never.jobs.most_halvings = 6
    with pytest.raises(JobFailedError, match="after 1 attempt"):
        never.run()


def test_a_run_is_cut_smaller_only_when_nothing_of_the_earlier_cut_is_under_way() -> None:
    aborted = WorkerDiedError("signal SIGABRT")
    failed: list[object] = []

    def script(engine: HandEngine) -> None:
        assert len({job.halvings for _, job in engine.running.values() if job.id == 0}) <= 1
        if (0, 0) in engine.running and not failed:
            failed.append((0, 0))
            engine.fail((0, 0), aborted)
        elif (0, 1) in engine.running and len(failed) == 1:  # another one of the same cut
            failed.append((0, 1))
            engine.fail((0, 1), aborted)
        else:
            engine.finish(next(iter(engine.running)))

    one = bench(ONE, {0: 4}, script, workers=4)
    one.jobs.most_halvings = 3
    one.run()
    assert failed == [(0, 0), (0, 1)]
    assert one.jobs.forgotten == [0]
    assert one.jobs.accepted == [0, 1]


def test_a_lost_segment_is_cut_again() -> None:
    lost = SegmentLostError(0, 1, "not what was kept")
    one = bench(ONE, {0: 3}, failing({(0, 1): [lost]}), workers=1).run()
    assert one.jobs.streams == [(0, [0, 1, 2]), (0, [1])]
    assert one.engine.submitted.count((0, 1)) == 2
    assert one.jobs.accepted == [0, 1]


def test_a_receipt_that_does_not_verify_when_all_are_put_together_is_made_again() -> None:
    lost = SegmentLostError(0, 2, "receipt rejected: the seal is another")
    one = bench(ONE, {0: 3}, failing({(0, 3): [lost]}), workers=2).run()
    assert one.engine.submitted.count((0, 2)) == 2
    assert one.engine.submitted.count((0, 3)) == 2
    assert one.engine.submitted.count((0, 0)) == 1
    assert one.jobs.accepted == [0, 1]


def test_a_segment_that_is_lost_again_and_again_ends_the_run() -> None:
    lost = [SegmentLostError(0, 1, "not what was kept") for _ in range(9)]
    with pytest.raises(JobFailedError, match="segment 2 of 3 failed after 3 attempts"):
        bench(ONE, {0: 3}, failing({(0, 1): lost}), workers=1).run()


def test_a_full_disk_is_a_clear_error_and_keeps_what_is_finished() -> None:
    plan = make_plan("none", range(3))
    one = bench(plan, {1: 5}, workers=1, on_failure="continue")
    one.jobs.faults[1, 2] = OSError(28, "No space left on device")
    with pytest.raises(JobFailedError, match=r"leaf 1 failed after 1 attempt: .*No space left"):
        one.run()
    assert one.jobs.accepted == [0, 2]


def test_the_look_ups_of_segments_find_what_an_earlier_run_has_proved() -> None:
    one = bench(ONE, {0: 4}, workers=1, cached=True)
    found = {(0, 0), (0, 2)}
    from tests.fakes.jobs import outcome_of

    plain = one.jobs.lookup

    def lookup(job: Any) -> Any:  # noqa: ANN401
        return outcome_of(job, cached=True) if job.key in found and job.part else plain(job)

    one.jobs.lookup = lookup  # type: ignore[method-assign]
    one.run()
    assert (0, 0) not in one.engine.submitted
    assert (0, 1) in one.engine.submitted
    cached = [event.job.key for event in one.observer.of(JobFinished) if event.outcome.cached]
    assert sorted(cached) == sorted(found)


@settings(max_examples=50, deadline=None)
@given(
    st.integers(1, 12),
    st.dictionaries(st.integers(0, 15), st.integers(1, 9), max_size=6),
    st.integers(1, 5),
    st.booleans(),
    st.integers(0, 2**32),
)
def test_any_plan_with_long_runs_completes_in_any_order(
    leaves: int,
    long: dict[int, int],
    workers: int,
    cached: bool,
    seed: int,
) -> None:
    # Hypothesis does not draw the order itself: how often the executor waits depends on threads
    # that look jobs up, and it takes a second try that draws otherwise for a fault of the test.
    random = Random(seed)  # an order

    def some(engine: HandEngine) -> None:
        for name in random.sample(list(engine.running), random.randint(1, len(engine.running))):
            engine.finish(name)

    plan = make_plan("two_level" if leaves > 1 else "single", range(leaves))
    one = bench(plan, long, some, workers=workers, cached=cached).run()
    assert sorted(one.jobs.accepted) == list(range(plan.jobs))
    for job, segments in long.items():
        if job < plan.jobs:
            made = [
                name for name in one.engine.submitted if isinstance(name, tuple) and name[0] == job
            ]
            assert sorted(made) == [(job, index) for index in range(segments + 1)]
