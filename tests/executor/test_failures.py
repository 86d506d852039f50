"""Jobs that fail: retries, what happens to the others, and interrupts."""

from __future__ import annotations

from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING

import pytest

from runner.engines.inline import InlineEngine
from runner.errors import JobFailedError, WorkerDiedError
from runner.events import JobFailed, JobRetried, JobStarted, WorkersChanged
from runner.plan.strategy import make_plan
from tests.executor.bench import EIGHT, LASTING, TRANSIENT, Bench, HandEngine, everything, failing
from tests.fakes.jobs import outcome_of

if TYPE_CHECKING:
    from runner.model import Outcome, ProofJob


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


NO_MEMORY = WorkerDiedError("signal SIGKILL", out_of_memory=True)


def test_a_job_without_memory_that_cannot_be_smaller_has_fewer_beside_it() -> None:
    widest: list[int] = []

    def script(engine: HandEngine) -> None:
        widest.append(len(engine.running))
        first = next(iter(engine.running))
        failures = engine.submitted.count(first)
        if first < 3 and failures == 1:
            engine.fail(first, NO_MEMORY)
        else:
            engine.finish(first)

    bench = Bench(make_plan("none", range(8)), script, workers=4).run()
    assert widest[0] == 4
    assert [event.fewer for event in bench.observer.of(JobRetried)] == [3, 2, 1]
    assert [event.workers for event in bench.observer.of(WorkersChanged)] == [3, 2, 1]
    assert set(widest[-6:]) == {1}
    # A job that runs alone has all cores.
    assert bench.engine.jobs[-1].threads > bench.engine.jobs[0].threads


def test_a_job_that_has_no_memory_alone_fails() -> None:
    bench = Bench(make_plan("none", range(2)), failing({0: [NO_MEMORY] * 3}), workers=2)
    with pytest.raises(JobFailedError, match="after 3 attempts: worker died"):
        bench.run()
    assert [event.fewer for event in bench.observer.of(JobRetried)] == [1, 0]


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
