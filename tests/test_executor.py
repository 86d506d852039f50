"""How a plan is run: order, width, retries, failures and the cache, on an engine by hand."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.engines.engine import Engine, Host
from runner.engines.inline import InlineEngine
from runner.engines.retry import RetryPolicy
from runner.errors import JobFailedError, ProverError, WorkerDiedError
from runner.events import Event, JobFailed, JobFinished, JobRetried, JobStarted, LoadMeasured
from runner.executor import OnFailure, PlanExecutor
from runner.plan.plan import Plan  # noqa: TC001  # Hypothesis and dataclasses resolve annotations
from runner.plan.strategy import make_plan
from tests.fakes.clock import FakeClock
from tests.fakes.guests import sample_guest
from tests.fakes.jobs import MemoryJobs, RecordingObserver, outcome_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runner.model import Outcome, ProofJob

TRANSIENT = ProverError("internal", "for now")
LASTING = ProverError("guest_failed", "panic")


def jobs_for(plan: Plan) -> MemoryJobs:
    stdins = [b"stdin %d" % n for n in range(plan.leaf_jobs)]
    guest, aggregator = sample_guest(), sample_guest("aggregator")
    return MemoryJobs(plan, guest, aggregator, stdins)


def prove(job: ProofJob) -> Outcome:
    return outcome_of(job)


class HandEngine(Engine):
    """An engine that finishes jobs when a test says so.

    Args:
        decide: A function that finishes at least one job. It is called when the plan's executor
            waits for something.
    """

    def __init__(self, decide: Callable[[HandEngine], None]) -> None:
        self.decide = decide
        self.running: dict[int, tuple[Future[Any], ProofJob]] = {}
        self.submitted: list[int] = []
        self.jobs: list[ProofJob] = []
        self.widest = 0

    def hosts(self) -> Sequence[Host]:
        """No hosts: every test gives them to the executor."""
        return []

    def submit(self, fn: object, /, *args: Any, **kwargs: Any) -> Future[Any]:  # noqa: ANN401
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        (job,) = args
        assert job.id not in self.running, "the same job twice at a time"
        self.running[job.id] = (future, job)
        self.submitted.append(job.id)
        self.jobs.append(job)
        self.widest = max(self.widest, len(self.running))
        return future

    def finish(self, job_id: int) -> None:
        future, job = self.running.pop(job_id)
        future.set_result(outcome_of(job))

    def fail(self, job_id: int, error: BaseException) -> None:
        self.running.pop(job_id)[0].set_exception(error)


@dataclass
class Bench:
    """One run of a plan, with everything that takes part in it.

    Attributes:
        script: A function that decides what happens each time the executor waits.
    """

    plan: Plan
    script: Callable[[HandEngine], None]
    workers: int = 2
    cores: int = 4
    cached: bool = False
    on_failure: OnFailure = "stop"
    policy: RetryPolicy = field(default_factory=lambda: RetryPolicy(3, 8.0, 100.0, 0.0))

    def __post_init__(self) -> None:
        self.clock = FakeClock()
        self.jobs = jobs_for(self.plan)
        self.engine = HandEngine(self.script)
        self.observer = RecordingObserver()

    def make(self, engine: Engine | None = None) -> PlanExecutor:
        return PlanExecutor(
            self.plan,
            engine=engine or self.engine,
            task=prove,
            jobs=self.jobs,
            observers=[self.observer, self],
            policy=self.policy,
            hosts=[Host("here", self.cores, self.workers)],
            lookups=self.cores,
            cached=self.cached,
            on_failure=self.on_failure,
            clock=self.clock,
            sleep=self.clock.sleep,
        )

    def notice(self, event: Event) -> None:
        # The executor reports its load right before it waits: what finishes here is found at once.
        if isinstance(event, LoadMeasured) and self.engine.running:
            self.engine.decide(self.engine)

    def run(self) -> Bench:
        self.make().run()
        return self

    @property
    def threads(self) -> list[int]:
        return [job.threads for job in self.engine.jobs]


def oldest(engine: HandEngine) -> None:
    engine.finish(next(iter(engine.running)))


def newest(engine: HandEngine) -> None:
    engine.finish(next(reversed(engine.running)))


def everything(engine: HandEngine) -> None:
    for job_id in list(engine.running):
        engine.finish(job_id)


EIGHT = make_plan("three_level", range(8), fan_in=2)
"""A plan with leaves 0-7, aggregations 8-11 over pairs of them, 12 and 13, and the root 14."""


# -- order ------------------------------------------------------------------------------------


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
        (2, 3, 7, [3, 3, 7]),
        (4, 4, 1, [1, 1, 1, 1, 1]),
    ],
)
def test_those_side_by_side_share_the_cores(
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


# -- retries ----------------------------------------------------------------------------------


def failing(errors: dict[int, Sequence[BaseException]]) -> Callable[[HandEngine], None]:
    """A script that fails the first attempts of some jobs and finishes the others, oldest first."""
    left = {job: list(items) for job, items in errors.items()}

    def script(engine: HandEngine) -> None:
        job_id = next(iter(engine.running))
        if left.get(job_id):
            engine.fail(job_id, left[job_id].pop(0))
        else:
            engine.finish(job_id)

    return script


def test_a_transient_failure_is_tried_again_after_the_policys_wait() -> None:
    script = failing({0: [TRANSIENT, WorkerDiedError("signal SIGKILL")]})
    bench = Bench(make_plan("single", [0]), script, workers=1).run()
    assert bench.engine.submitted == [0, 0, 0, 1]
    waits = [event.wait_s for event in bench.observer.of(JobRetried)]
    assert waits == [8.0, 16.0]
    assert bench.clock.now == 1024.0
    assert max(bench.clock.slept) <= 0.5  # it waits in short pieces, so that a signal is heard
    assert [job.attempts for job in bench.jobs.outcomes.values()] == [3, 1]
    started = [event.attempt for event in bench.observer.of(JobStarted) if event.job.id == 0]
    assert started == [1, 2, 3]


def test_others_go_on_while_one_waits() -> None:
    bench = Bench(make_plan("single", range(4)), failing({0: [TRANSIENT]}), workers=1).run()
    assert bench.engine.submitted == [0, 1, 2, 3, 0, 4]


def test_attempts_end() -> None:
    bench = Bench(make_plan("single", range(2)), failing({0: [TRANSIENT] * 5}), workers=1)
    with pytest.raises(JobFailedError) as caught:
        bench.run()
    assert caught.value.args == ("leaf 0", 3, "for now [internal]")
    assert caught.value.__cause__ is TRANSIENT
    assert bench.observer.ids(JobFailed) == [0]


@pytest.mark.parametrize("error", [LASTING, ValueError("a bug"), MemoryError()])
def test_what_would_fail_again_is_not_tried_again(error: BaseException) -> None:
    bench = Bench(make_plan("single", range(2)), failing({0: [error]}), workers=1)
    with pytest.raises(JobFailedError) as caught:
        bench.run()
    assert caught.value.attempts == 1
    assert caught.value.reason == (str(error) or type(error).__name__)
    assert bench.clock.slept == []


def test_a_failures_reason_is_one_line() -> None:
    script = failing({0: [RuntimeError("thread panicked:\n  at lib.rs:3\n\n")]})
    with pytest.raises(JobFailedError) as caught:
        Bench(make_plan("none", [0]), script).run()
    assert caught.value.reason == "thread panicked: at lib.rs:3"


def test_a_broken_pool_counts_as_a_dead_worker() -> None:
    bench = Bench(make_plan("none", [0]), failing({0: [BrokenProcessPool("gone")]})).run()
    assert bench.engine.submitted == [0, 0]


# -- failures ---------------------------------------------------------------------------------


def test_stop_starts_no_more_and_keeps_what_finishes() -> None:
    bench = Bench(EIGHT, failing({1: [LASTING]}), workers=3)
    with pytest.raises(JobFailedError, match="leaf 1 failed after 1 attempt: panic"):
        bench.run()
    # Leaf 0 is done before leaf 1 fails, and leaf 3 has taken its place.
    assert bench.engine.submitted == [0, 1, 2, 3]
    assert bench.jobs.accepted == [0, 2, 3]
    assert bench.observer.loads[-1] == (0, 0)


def test_stop_announces_no_retry_that_will_not_be() -> None:
    bench = Bench(EIGHT, failing({0: [LASTING], 1: [TRANSIENT]}), workers=2)
    executor = bench.make()
    with pytest.raises(JobFailedError, match="leaf 0"):
        executor.run()
    assert bench.observer.ids(JobRetried) == []
    assert bench.observer.ids(JobFailed) == [0, 1]
    assert [failure.job for failure in executor.failures] == ["leaf 0", "leaf 1"]


def test_stop_drops_a_job_that_waits_for_its_retry() -> None:
    bench = Bench(EIGHT, failing({0: [TRANSIENT], 1: [LASTING]}), workers=2)
    with pytest.raises(JobFailedError, match="leaf 1"):
        bench.run()
    assert bench.engine.submitted == [0, 1, 2]
    assert bench.clock.slept == []


def test_continue_makes_everything_that_does_not_need_the_failed() -> None:
    bench = Bench(EIGHT, failing({1: [LASTING], 10: [LASTING]}), on_failure="continue")
    executor = bench.make()
    with pytest.raises(JobFailedError, match="leaf 1"):
        executor.run()
    assert sorted(bench.jobs.accepted) == [0, 2, 3, 4, 5, 6, 7, 9, 11]
    assert [failure.job for failure in executor.failures] == ["leaf 1", "aggregation 10"]


def test_an_interrupt_keeps_what_has_finished_and_is_passed_on() -> None:
    def script(engine: HandEngine) -> None:
        engine.finish(0)
        engine.finish(2)
        raise KeyboardInterrupt

    bench = Bench(EIGHT, script, workers=3)
    with pytest.raises(KeyboardInterrupt):
        bench.run()
    assert sorted(bench.jobs.accepted) == [0, 2]
    assert bench.engine.submitted == [0, 1, 2]


def test_an_interrupt_inside_an_inline_job_keeps_the_ones_before() -> None:
    def task(job: ProofJob) -> Outcome:
        if job.id == 3:
            raise KeyboardInterrupt
        return outcome_of(job)

    bench = Bench(EIGHT, everything, workers=8)
    executor = bench.make(InlineEngine())
    executor._task = task
    with pytest.raises(KeyboardInterrupt):
        executor.run()
    assert sorted(bench.jobs.accepted) == [0, 1, 2]


# -- the cache --------------------------------------------------------------------------------


def hits(bench: Bench, *ids: int) -> None:
    for job_id in ids:
        bench.jobs.hits[job_id] = outcome_of(bench.jobs.build(job_id), cached=True)


def test_hits_skip_the_engine() -> None:
    bench = Bench(make_plan("single", range(4)), oldest, cached=True)
    hits(bench, 0, 1, 3)
    bench.run()
    assert bench.engine.submitted == [2, 4]
    assert sorted(bench.observer.ids(JobFinished)) == [0, 1, 2, 3, 4]
    assert bench.observer.ids(JobStarted) == [2, 4]
    assert [bench.jobs.outcomes[job].cached for job in range(5)] == [1, 1, 0, 1, 0]
    assert [bench.jobs.outcomes[job].attempts for job in range(5)] == [0, 0, 1, 0, 1]


def test_everything_in_the_cache() -> None:
    plan = make_plan("none", range(50))
    bench = Bench(plan, oldest, cached=True)
    hits(bench, *range(50))
    bench.run()
    assert bench.engine.submitted == []
    assert sorted(bench.jobs.accepted) == list(range(50))


def test_without_a_cache_nothing_is_looked_up() -> None:
    bench = Bench(make_plan("single", range(2)), oldest)
    hits(bench, 0)
    bench.run()
    assert bench.engine.submitted == [0, 1, 2]


def no_overtaking(bench: Bench) -> None:
    """Check from now on that no new leaf starts while an aggregation could."""

    def on_event(event: Event) -> None:
        if not isinstance(event, JobStarted):
            return
        new = event.job.id not in bench.engine.submitted
        if new and event.job.id < bench.plan.leaf_jobs:
            done = set(bench.jobs.accepted)
            ready = {a.id for a in bench.plan.aggregations if done >= set(a.children)}
            assert ready <= done | set(bench.engine.submitted)

    bench.observer.on_event = on_event


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_leaves_looked_up_ahead_do_not_overtake_aggregations(workers: int) -> None:
    bench = Bench(EIGHT, oldest, cached=True, workers=workers)
    no_overtaking(bench)
    bench.run()
    assert sorted(bench.jobs.accepted) == list(range(15))


def test_a_failed_look_up_ends_the_run() -> None:
    bench = Bench(EIGHT, oldest, cached=True)

    def lookup(job: ProofJob) -> Outcome | None:
        raise OSError(5, "Input/output error")

    bench.jobs.lookup = lookup  # type: ignore[method-assign]
    with pytest.raises(OSError, match="Input/output"):
        bench.run()


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
