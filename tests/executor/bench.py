"""A run of a plan on an engine whose jobs end when a test says so."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runner.engines.engine import Engine, Host
from runner.engines.retry import RetryPolicy
from runner.errors import ProverError
from runner.events import Event, JobStarted, LoadMeasured
from runner.executor import OnFailure, PlanExecutor
from runner.plan.plan import Plan  # noqa: TC001  # Hypothesis and dataclasses resolve annotations
from runner.plan.strategy import make_plan
from tests.fakes.clock import FakeClock
from tests.fakes.guests import sample_guest
from tests.fakes.jobs import MemoryJobs, RecordingObserver, long_outcome, outcome_of

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

    A job is known by its id, and a part of a run of several segments by its key. ``long`` has the
    number of segments of each run that has several. ``joins`` says whether their receipts are
    joined.

    Args:
        decide: A function that finishes at least one job. It is called when the plan's executor
            waits for something.
    """

    def __init__(self, decide: Callable[[HandEngine], None]) -> None:
        self.decide = decide
        self.running: dict[Any, tuple[Future[Any], ProofJob]] = {}
        self.submitted: list[Any] = []
        self.long: dict[int, int] = {}
        self.joins = False
        self.jobs: list[ProofJob] = []
        self.widest = 0

    def hosts(self) -> Sequence[Host]:
        """No hosts: every test gives them to the executor."""
        return []

    def submit(self, fn: object, /, *args: Any, **kwargs: Any) -> Future[Any]:  # noqa: ANN401
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        (job,) = args
        name = job.id if job.part is None else job.key
        assert name not in self.running, "the same job twice at a time"
        self.running[name] = (future, job)
        self.submitted.append(name)
        self.jobs.append(job)
        self.widest = max(self.widest, len(self.running))
        return future

    def finish(self, job_id: Any) -> None:  # noqa: ANN401  # an id, or a key of a part
        future, job = self.running.pop(job_id)
        if job.part is None and job.id in self.long:
            future.set_result(long_outcome(job, self.long[job.id], joins=self.joins))
        else:
            future.set_result(outcome_of(job))

    def fail(self, job_id: Any, error: BaseException) -> None:  # noqa: ANN401
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


def failing(errors: dict[Any, Sequence[BaseException]]) -> Callable[[HandEngine], None]:
    """A script that fails the first attempts of some jobs and finishes the others, oldest first."""
    left = {job: list(items) for job, items in errors.items()}

    def script(engine: HandEngine) -> None:
        job_id = next(iter(engine.running))
        if left.get(job_id):
            engine.fail(job_id, left[job_id].pop(0))
        else:
            engine.finish(job_id)

    return script


def hits(bench: Bench, *ids: int) -> None:
    for job_id in ids:
        bench.jobs.hits[job_id] = outcome_of(bench.jobs.build(job_id), cached=True)


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
