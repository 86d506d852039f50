"""Runs whose segments' receipts are lifted and joined: a tree of jobs that grows as they end."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import JobFailedError, SegmentLostError
from runner.events import JobFailed, JobFinished
from runner.model import Part, Span, Step
from runner.plan.strategy import make_plan
from tests.executor.bench import LASTING, TRANSIENT, Bench, HandEngine, failing, newest, oldest
from tests.fakes.jobs import outcome_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from runner.model import Outcome, ProofJob

ONE = make_plan("single", [0])
"""Leaf 0, and the root 1 over it."""


def bench(
    plan: Any,  # noqa: ANN401  # a plan
    long: dict[int, int],
    script: Callable[[HandEngine], None] = oldest,
    **options: Any,  # noqa: ANN401  # of the bench
) -> Bench:
    made = Bench(plan, script, **options)
    made.engine.long, made.engine.joins = long, True
    return made


def steps(one: Bench, job: int = 0) -> list[tuple[Step, int, int]]:
    """The parts of a job that were submitted: the step, the first and the last segment."""
    parts = [made.part for made in one.engine.jobs if made.id == job and made.part is not None]
    return [(part.step, part.span.first, part.span.end - 1) for part in parts]


def lift(of: int, index: int) -> tuple[int, int]:
    return 0, Part(Step.LIFT, Span(index, 1), of).number


def join(of: int, first: int, count: int) -> tuple[int, int]:
    return 0, Part(Step.JOIN, Span(first, count), of).number


def test_each_receipt_is_lifted_and_joined_before_more_segments_are_proved() -> None:
    one = bench(ONE, {0: 5}, workers=1).run()
    assert steps(one) == [
        (Step.SEGMENT, 0, 0),
        (Step.LIFT, 0, 0),
        (Step.SEGMENT, 1, 1),
        (Step.LIFT, 1, 1),
        (Step.JOIN, 0, 1),
        (Step.SEGMENT, 2, 2),
        (Step.LIFT, 2, 2),
        (Step.SEGMENT, 3, 3),
        (Step.LIFT, 3, 3),
        (Step.JOIN, 2, 3),
        (Step.JOIN, 0, 3),
        (Step.SEGMENT, 4, 4),
        (Step.LIFT, 4, 4),
        (Step.JOIN, 0, 4),
        (Step.RESOLVE, 0, 4),
    ]
    assert one.jobs.accepted == [0, 1]
    names = [job.name for job in one.engine.jobs]
    assert names[2] == "leaf 0, lift of segment 1 of 5"
    assert names[-3] == "leaf 0, join of segments 1 to 5 of 5"
    assert names[-2] == "leaf 0, all segments"
    whole = one.jobs.outcomes[0]
    assert (whole.parts, whole.joins) == (5, 9)
    assert whole.prove_s == 1.0 + 5 + 9 + 1  # the execution, the segments, the tree, the last one


def test_a_run_of_one_segment_is_lifted_alone() -> None:
    one = bench(ONE, {0: 1}, workers=1).run()
    assert steps(one) == [(Step.SEGMENT, 0, 0), (Step.LIFT, 0, 0), (Step.RESOLVE, 0, 0)]


@pytest.mark.parametrize("segments", [*range(2, 18), 31, 32, 33, 100])
def test_the_joins_are_a_tree_of_equal_depth_over_neighbours(segments: int) -> None:
    one = bench(ONE, {0: segments}, newest, workers=3).run()
    spans = [(first, last) for step, first, last in steps(one) if step is Step.JOIN]
    assert len(spans) == len(set(spans)) == segments - 1
    assert spans[-1] == (0, segments - 1)
    depths = {(index, index): 0 for index in range(segments)}
    for first, last in sorted(spans, key=lambda span: span[1] - span[0]):
        left, right = Span(first, last - first + 1).halves
        assert left.end == right.first
        halves = [depths[half.first, half.end - 1] for half in (left, right)]
        depths[first, last] = 1 + max(halves)
    assert depths[0, segments - 1] == (segments - 1).bit_length()
    keys = [name for name in one.engine.submitted if isinstance(name, tuple)]
    assert len(keys) == len(set(keys)) == 3 * segments


def test_a_join_begins_as_soon_as_both_halves_are_there_and_not_before() -> None:
    done: set[tuple[Step, Span]] = set()

    def script(engine: HandEngine) -> None:
        for _, job in engine.running.values():
            if (part := job.part) is None or part.step is Step.SEGMENT:
                continue
            before = Step.SEGMENT if part.step is Step.LIFT else None
            for span in part.takes:
                step = before or (Step.LIFT if span.count == 1 else Step.JOIN)
                assert (step, span) in done, job.name
        name = max(engine.running, key=str)
        if (part := engine.running[name][1].part) is not None:
            done.add((part.step, part.span))
        engine.finish(name)

    one = bench(ONE, {0: 13}, script, workers=4).run()
    assert one.jobs.accepted == [0, 1]


def test_lifts_and_joins_go_before_leaves_and_segments() -> None:
    one = bench(make_plan("none", range(6)), {0: 2}, workers=1).run()
    order = one.engine.submitted
    assert order[:4] == [0, (0, 0), lift(2, 0), 1]
    assert order[4:8] == [(0, 1), lift(2, 1), join(2, 0, 2), (0, 2)]


def test_an_aggregation_of_several_segments_takes_the_same_way() -> None:
    one = bench(make_plan("single", range(2)), {2: 3}, workers=2).run()
    assert [step for step, _, _ in steps(one, 2)].count(Step.JOIN) == 2
    assert steps(one, 2)[-1] == (Step.RESOLVE, 0, 2)
    resolve = one.engine.jobs[-1]
    assert len(resolve.children) == 2  # the receipts of the assumptions that are resolved
    assert resolve.expected is not None


def test_the_digest_of_a_part_says_what_it_is_made_of() -> None:
    first, second = bench(ONE, {0: 6}, oldest).run(), bench(ONE, {0: 6}, newest, workers=4).run()

    def digests(one: Bench) -> dict[int, bytes]:
        parts = [job.part for job in one.engine.jobs if job.part is not None and not job.part.last]
        return {part.number: part.digest for part in parts}

    assert digests(first) == digests(second)
    assert len(set(digests(first).values())) == 6 + 6 + 5


@pytest.mark.parametrize("key", [lift(4, 2), join(4, 0, 2), join(4, 0, 4), (0, 4)])
def test_each_is_tried_again_on_its_own(key: tuple[int, int]) -> None:
    one = bench(ONE, {0: 4}, failing({key: [TRANSIENT, TRANSIENT]}), workers=2).run()
    assert one.engine.submitted.count(key) == 3
    others = [name for name in one.engine.submitted if name != key]
    assert len(others) == len(set(others))
    assert one.jobs.accepted == [0, 1]


def test_a_join_that_fails_for_good_fails_its_job_and_drops_the_others() -> None:
    plan = make_plan("none", range(2))
    script = failing({join(50, 0, 2): [LASTING]})
    one = bench(plan, {0: 50}, script, workers=2, on_failure="continue")
    with pytest.raises(
        JobFailedError, match="join of segments 1 to 2 of 50 failed after 1 attempt"
    ):
        one.run()
    assert one.jobs.accepted == [1]
    assert len(one.engine.submitted) < 12
    assert one.observer.ids(JobFailed) == [0]


def test_a_joined_receipt_that_is_lost_is_made_again_from_its_segments() -> None:
    lost = SegmentLostError(0, 0, "not what was kept", 2)
    one = bench(ONE, {0: 4}, failing({join(4, 0, 4): [lost]}), workers=1).run()
    assert one.jobs.streams == [(0, [0, 1, 2, 3]), (0, [0, 1])]
    counts = {key: one.engine.submitted.count(key) for key in one.engine.submitted}
    again = {(0, 0), (0, 1), lift(4, 0), lift(4, 1), join(4, 0, 2), join(4, 0, 4)}
    assert {key for key, count in counts.items() if count == 2} == again
    assert one.jobs.accepted == [0, 1]
    assert one.jobs.outcomes[0].prove_s == 1.0 + 4 + 7 + 1  # what was lost does not count


def test_the_last_joined_receipt_that_is_lost_is_made_again() -> None:
    lost = SegmentLostError(0, 0, "not what was kept", 3)
    one = bench(ONE, {0: 3}, failing({(0, 3): [lost]}), workers=2).run()
    assert one.jobs.streams == [(0, [0, 1, 2]), (0, [0, 1, 2])]
    assert one.engine.submitted.count((0, 3)) == 2
    assert one.jobs.accepted == [0, 1]


def test_a_receipt_that_is_lost_before_it_is_lifted_is_proved_again() -> None:
    lost = SegmentLostError(0, 2, "receipt rejected: the seal is another")
    one = bench(ONE, {0: 4}, failing({lift(4, 2): [lost]}), workers=1).run()
    assert one.jobs.streams == [(0, [0, 1, 2, 3]), (0, [2])]
    assert one.engine.submitted.count((0, 2)) == 2
    assert one.engine.submitted.count((0, 1)) == 1


def test_what_an_earlier_run_has_made_is_looked_up() -> None:
    one = bench(ONE, {0: 4}, workers=1, cached=True)
    found = {(0, 0), (0, 1), lift(4, 0), lift(4, 1), join(4, 0, 2), (0, 2)}
    plain = one.jobs.lookup

    def lookup(job: ProofJob) -> Outcome | None:
        return outcome_of(job, cached=True) if job.key in found and job.part else plain(job)

    one.jobs.lookup = lookup  # type: ignore[method-assign]
    one.run()
    made = {name for name in one.engine.submitted if isinstance(name, tuple)}
    everything = {(0, number) for number in range(4)} | {lift(4, index) for index in range(4)}
    everything |= {join(4, 0, 2), join(4, 2, 2), join(4, 0, 4), (0, 4)}
    assert made == everything - found
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
def test_any_plan_completes_in_any_order(
    leaves: int, long: dict[int, int], workers: int, cached: bool, seed: int
) -> None:
    random = Random(seed)  # an order

    def some(engine: HandEngine) -> None:
        for name in random.sample(list(engine.running), random.randint(1, len(engine.running))):
            engine.finish(name)

    plan = make_plan("two_level" if leaves > 1 else "single", range(leaves))
    one = bench(plan, long, some, workers=workers, cached=cached).run()
    assert sorted(one.jobs.accepted) == list(range(plan.jobs))
    for job, segments in long.items():
        if job < plan.jobs:
            made = [name for name in one.engine.submitted if isinstance(name, tuple)]
            assert len([name for name in made if name[0] == job]) == 3 * segments
