"""How good the schedule of a large batch is, how fast it is made, and what it moves.

The plan is run by the executor itself, on an engine whose workers prove nothing: a job ends after
the seconds that it would take, on a clock that goes on to the end of the next job at once. What is
measured is the makespan on that clock, against the larger of two bounds: all work over all workers,
and the longest chain of jobs that wait for each other. The wall time shows how many decisions one
scheduler makes a second.

    python -m benchmarks.studies.schedule                      long runs, of 100,000 segments
    python -m benchmarks.studies.schedule --segments 10000 --workers 100
    python -m benchmarks.studies.schedule --leaves 1000000     short leaves on 125 machines

``--leaves`` has leaves of one segment on machines with links of their own to a store
(``machines.py``). The seconds and the size of a receipt are those of OpenVM on two cores
(docs/figures/provers.md): its receipts are as large for a leaf as for a tree of any size.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import time
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from benchmarks.studies.machines import Machines
from runner.engines.engine import Engine, Host
from runner.engines.retry import RetryPolicy
from runner.events import Event, LoadMeasured
from runner.executor import PlanExecutor
from runner.long_runs import CutSegment
from runner.model import Cycles, Guest, LongRun, Outcome, ProofJob, ReceiptKind
from runner.plan.strategy import make_plan
from runner.provers.guests import DEFAULT_FOLDER

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    from runner.plan.plan import Plan

__all__ = ["Result", "Times", "simulate"]


@dataclass(frozen=True)
class Times:
    """How long the jobs take, in seconds. The defaults are about those of one core and 2^20 cycles.

    Attributes:
        execute: the execution of one segment, which is a part of the job that finds out how many
            there are.
        segment: the proof of one segment.
        assemble: the share of one segment in the job that puts the receipts together.
        aggregate: the proof of an aggregation.
        child: what each child adds to it.
    """

    execute: float = 0.025
    segment: float = 80.0
    assemble: float = 0.015
    aggregate: float = 20.0
    child: float = 0.0


@dataclass(frozen=True)
class Result:
    """What a simulation has found.

    Attributes:
        jobs: the number of jobs that ran.
        makespan: the seconds of the whole batch, by the virtual clock.
        by_work: the seconds that all workers together need at least.
        by_chain: the seconds of the longest chain of jobs that wait for each other.
        wall_s: the seconds that the scheduler itself took.
    """

    jobs: int
    makespan: float
    by_work: float
    by_chain: float
    wall_s: float

    @property
    def over(self) -> float:
        """How much longer than the bound the batch takes, as a ratio."""
        return self.makespan / max(self.by_work, self.by_chain) - 1.0


@dataclass
class _Simulation(Engine):
    """The engine, the jobs, the clock and an observer in one, because time connects them.

    Attributes:
        plan: the plan of the batch.
        segments: the number of segments of each leaf.
        times: how long the jobs take.
        workers: the number of workers.
        machines: the machines that the workers are on, or None if there is no store.
        now: the virtual time.
    """

    plan: Plan
    segments: Sequence[int]
    times: Times
    workers: int
    machines: Machines | None = None
    now: float = 0.0
    work: float = 0.0
    jobs: int = 0
    running: list[tuple[float, int, Future[Any], ProofJob, int]] = field(default_factory=list)
    numbers: itertools.count[int] = field(default_factory=itertools.count)
    guest: Guest = field(default_factory=lambda: Guest("simulated", bytes(32), DEFAULT_FOLDER, ""))

    def hosts(self) -> Sequence[Host]:
        if self.machines is not None:
            return self.machines.hosts()
        return [Host("simulated", self.workers, self.workers)]

    def submit(self, fn: object, /, *args: Any, **kwargs: Any) -> Future[Any]:  # noqa: ANN401
        del fn, kwargs
        (job,) = args
        took, host = self.seconds(job), 0
        if self.machines is not None:
            host, on_the_way = self.machines.start(job)
            took += on_the_way
        self.work += took
        self.jobs += 1
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        heapq.heappush(self.running, (self.now + took, next(self.numbers), future, job, host))
        return future

    def seconds(self, job: ProofJob) -> float:
        if job.id >= self.plan.leaf_jobs:
            children = len(self.plan.aggregation(job.id).children)
            return self.times.aggregate + self.times.child * children
        if job.part is not None and not job.part.last:
            return self.times.segment
        if job.part is not None:
            return self.times.assemble * job.part.of
        many = self.segments[job.id]
        return self.times.execute * many if many > 1 else self.times.segment

    def notice(self, event: Event) -> None:
        """Let the time pass to the end of the next job, when the executor is about to wait."""
        if not isinstance(event, LoadMeasured) or not self.running:
            return
        end = self.running[0][0]
        while self.running and self.running[0][0] <= end:
            self.now, _, future, job, host = heapq.heappop(self.running)
            outcome = self.outcome(job)
            if self.machines is not None:
                outcome = self.machines.end(host, outcome)
            future.set_result(outcome)

    def outcome(self, job: ProofJob) -> Outcome:
        done = Outcome(
            job.id, bytes(32), b"", b"receipt", job.kind, Cycles(), 0.0, 0.0, 0, 0, 0.0, 0.0
        )
        many = self.segments[job.id] if job.id < self.plan.leaf_jobs else 1
        if job.part is not None or many == 1:
            return done
        run = LongRun(b"", Cycles(segments=many), 18, (18,) * many)
        return replace(done, receipt=None, long=run)

    # -- the jobs -----------------------------------------------------------------------------

    def build(self, job_id: int) -> ProofJob:
        name = self.plan.job_name(job_id)
        return ProofJob(job_id, name, self.guest, b"", (), ReceiptKind.COMPOSITE)

    def load(self, job: ProofJob) -> ProofJob:
        if self.machines is None or job.id < self.plan.leaf_jobs:
            return job
        return self.machines.load(job, self.plan.aggregation(job.id).children)

    def lookup(self, job: ProofJob) -> Outcome | None:
        raise AssertionError(f"there is no cache to look {job.name} up in")

    def accept(self, outcome: Outcome) -> None:
        """Nothing is kept."""

    def accept_part(self, job: ProofJob, outcome: Outcome) -> None:
        """Nothing is kept."""

    def smaller(self, job: ProofJob) -> ProofJob | None:
        raise AssertionError(f"{job.name} had too little memory in virtual time")

    def forget(self, job_id: int) -> None:
        """Nothing is kept."""

    def cut(self, job: ProofJob, run: LongRun, wanted: Container[int]) -> _Ready:
        del job
        return _Ready([index for index in range(len(run.sizes)) if index in wanted])


class _Ready:
    """A stream whose segments are there at once, as cutting takes next to no time."""

    def __init__(self, wanted: list[int]) -> None:
        self._left = iter(wanted)

    def pull(self) -> Future[CutSegment | None]:
        future: Future[CutSegment | None] = Future()
        index = next(self._left, None)
        future.set_result(None if index is None else CutSegment(index, b""))
        return future

    def close(self) -> None:
        """Nothing runs."""


def simulate(
    segments: Sequence[int],
    workers: int,
    times: Times,
    clock: Callable[[], float] = time.perf_counter,
    machines: Machines | None = None,
) -> Result:
    """Run a batch in virtual time.

    Args:
        segments: the number of segments of each leaf.
        workers: the number of workers.
        times: how long the jobs take.
        clock: the clock of the wall time.
        machines: the machines that the workers are on, whose bytes are counted; None for no store.
    """
    plan = make_plan("three_level", range(len(segments)))
    world = _Simulation(plan, segments, times, workers, machines)
    executor = PlanExecutor(
        plan,
        engine=world,
        hosts=world.hosts(),
        task=world.outcome,
        jobs=world,
        observers=(world,),
        policy=RetryPolicy(),
        cached=False,
        clock=lambda: world.now,
        sleep=lambda _: None,
    )
    begun = clock()
    executor.run()
    wall_s = clock() - begun
    chains: list[float] = []
    for many in segments:
        whole = (times.execute + times.assemble) * many + times.segment
        chains.append(whole if many > 1 else times.segment)
    for node in plan.aggregations:
        own = times.aggregate + times.child * len(node.children)
        chains.append(own + max(chains[child] for child in node.children))
    return Result(world.jobs, world.now, world.work / workers, max(chains), wall_s)


def mixed(total: int) -> list[int]:
    """Leaves with this many segments together: half of them in long runs, which come last.

    Of 100,000 segments, a long run has 1,000, which is a run of 10^9 cycles.
    """
    long = max(2, total // 100)
    short = [1] * (total // 10) + [10] * (total // 25)
    left = total - sum(short)
    return [*short, *([long] * (left // long)), *([left % long] if left % long else [])]


OPENVM = Times(segment=19.0, aggregate=67.0, child=7.8)
"""The seconds of OpenVM's proofs in docs/figures/provers.md: a leaf takes 19, and an aggregation
over two, four and eight leaves 80.7, 91.0 and 129.2, which the line fits within a tenth."""
OPENVM_RECEIPT = 274_303


def main() -> None:
    """Simulate one batch, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--segments", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=1_000)
    parser.add_argument("--leaves", type=int, help="short leaves, instead of segments")
    parser.add_argument("--slots", type=int, default=8, help="the workers of one machine")
    given = parser.parse_args()
    machines = None
    if given.leaves:
        machines = Machines(given.workers // given.slots, given.slots, OPENVM_RECEIPT)
        given.workers = machines.count * machines.slots
        found = simulate([1] * given.leaves, given.workers, OPENVM, machines=machines)
        print(f"{given.leaves:,} leaves on {given.workers:,} workers of {machines.count} machines")
    else:
        segments = mixed(given.segments)
        found = simulate(segments, given.workers, Times())
        print(
            f"{sum(segments):,} segments of {len(segments):,} leaves on {given.workers:,} workers"
        )
    print(f"jobs           {found.jobs:,}")
    print(f"makespan       {found.makespan:,.0f} s")
    print(f"work / workers {found.by_work:,.0f} s, longest chain {found.by_chain:,.0f} s")
    print(f"over the bound {100 * found.over:.2f} %")
    print(f"decisions      {found.jobs / found.wall_s:,.0f} a second ({found.wall_s:.1f} s)")
    if machines is not None:
        show(machines, found)


def show(machines: Machines, found: Result) -> None:
    """Print the bytes on each kind of link."""
    fetched = [link.fetched for link in machines.links]
    sent = [link.sent for link in machines.links]
    kept = sum(link.kept for link in machines.links)
    print(f"client to scheduler to workers  {machines.calls:,} bytes of calls")
    print(f"workers to scheduler to client  {machines.outcomes:,} bytes of outcomes")
    for name, each in (("store to machines", fetched), ("machines to store", sent)):
        rate = max(each) / found.makespan
        print(
            f"{name:31} {sum(each):,} bytes, {min(each):,} to {max(each):,} a machine,"
            f" {rate:,.0f} a second"
        )
    print(f"on the machine's own disk       {kept:,} bytes")
    moved = sum(fetched) / max(1, sum(fetched) + kept)
    print(f"children's bytes that moved     {100 * moved:.1f} %")


if __name__ == "__main__":
    main()
