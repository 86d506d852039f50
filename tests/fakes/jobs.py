"""The jobs of a plan in memory, their outcomes, and an observer that keeps every event."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from runner.events import Event, JobFailed, JobFinished, JobRetried, JobStarted, LoadMeasured
from runner.long_runs import CutSegment
from runner.model import Child, Cycles, Guest, LongRun, Outcome, ProofJob, ReceiptKind
from runner.plan import merkle
from runner.plan.journal import AggregationResult, aggregator_stdin
from tests.fakes.prover import claim, fake_receipt, journal_of, leaf_journal

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    from runner.plan.plan import Plan

E = TypeVar("E", bound=Event)
JobEvent: TypeAlias = JobStarted | JobFinished | JobRetried | JobFailed


@dataclass
class MemoryJobs:
    """Source and sink of a plan's jobs in memory. See :class:`runner.executor.Jobs`.

    Attributes:
        plan: The plan of the batch.
        guest: The guest of the leaves.
        aggregator: The guest of the aggregations.
        stdins: The inputs of the leaves, by job id.
        kind: The kind of all receipts.
        hits: The outcomes that the cache has, by job id.
        outcomes: The accepted outcomes, by job id.
        accepted: The job ids in the order in which they were accepted.
        segments: The number of segments of each job's run that has several, by job id.
        cut_ahead: The most segments that were cut and not accepted at any time.
        faults: What a stream raises in place of a segment, by job id and position.
        streams: The wanted positions of each stream that was made, in order.
        waiting: The keys of the segments that were cut and not accepted.
        most_halvings: How often a run can be cut smaller.
        forgotten: The jobs whose segments were forgotten, in order.
    """

    plan: Plan
    guest: Guest
    aggregator: Guest
    stdins: Sequence[bytes]
    kind: ReceiptKind = ReceiptKind.COMPOSITE
    hits: dict[int, Outcome] = field(default_factory=dict)
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    accepted: list[int] = field(default_factory=list)
    segments: dict[int, int] = field(default_factory=dict)
    cut_ahead: int = 0
    faults: dict[tuple[int, int], Exception] = field(default_factory=dict)
    streams: list[tuple[int, list[int]]] = field(default_factory=list)
    waiting: set[tuple[int, int]] = field(default_factory=set)
    most_halvings: int = 0
    forgotten: list[int] = field(default_factory=list)

    def build(self, job_id: int) -> ProofJob:
        if job_id < self.plan.leaf_jobs:
            stdin = self.stdins[job_id]
            return ProofJob(job_id, f"leaf {job_id}", self.guest, stdin, (), self.kind)
        claims = self._claims(job_id)
        stdin = aggregator_stdin(self.aggregator.image_id, claims)
        return ProofJob(job_id, f"aggregation {job_id}", self.aggregator, stdin, (), self.kind)

    def load(self, job: ProofJob) -> ProofJob:
        if job.id < self.plan.leaf_jobs:
            return job
        ids = self.plan.aggregation(job.id).children
        found = {
            pair: Child(*pair, self.outcomes[i].receipt)
            for i, pair in zip(ids, self._claims(job.id), strict=True)
        }
        return replace(job, children=tuple(found.values()))

    def lookup(self, job: ProofJob) -> Outcome | None:
        return self.hits.get(job.id) if job.part is None else None

    def cut(self, job: ProofJob, run: LongRun, wanted: Container[int]) -> ReadyStream:
        positions = [index for index in range(len(run.sizes)) if index in wanted]
        self.streams.append((job.id, positions))
        return ReadyStream(self, job.id, list(positions))

    def accept_part(self, job: ProofJob, outcome: Outcome) -> None:
        assert outcome.receipt is not None
        self.waiting.discard(job.key)

    def smaller(self, job: ProofJob) -> ProofJob | None:
        if job.halvings >= self.most_halvings:
            return None
        return replace(self.build(job.id), halvings=job.halvings + 1)

    def forget(self, job_id: int) -> None:
        self.forgotten.append(job_id)
        self.waiting = {key for key in self.waiting if key[0] != job_id}

    def accept(self, outcome: Outcome) -> None:
        self.outcomes[outcome.job_id] = outcome
        self.accepted.append(outcome.job_id)

    def expected_root(self) -> AggregationResult:
        """The journal that the root must have."""
        ids = range(self.plan.leaf_jobs)
        journals = [leaf_journal(self.guest.name, self.stdins[i]) for i in ids]
        hashes = [merkle.leaf_hash(self.guest.image_id, journal) for journal in journals]
        combined = merkle.combined_hash(self.plan, hashes)
        return AggregationResult(self.aggregator.image_id, len(self.plan.leaves), combined)

    def _claims(self, job_id: int) -> list[tuple[bytes, bytes]]:
        children = [self.outcomes[i] for i in self.plan.aggregation(job_id).children]
        return [(child.image_id, child.journal) for child in children]


@dataclass
class ReadyStream:
    """A stream whose segments are there as soon as they are asked for."""

    jobs: MemoryJobs
    job_id: int
    left: list[int]
    closed: bool = False

    def pull(self) -> Future[CutSegment | None]:
        assert not self.closed, "a closed stream is asked"
        future: Future[CutSegment | None] = Future()
        if not self.left:
            future.set_result(None)
            return future
        index = self.left.pop(0)
        fault = self.jobs.faults.pop((self.job_id, index), None)
        if fault is not None:
            future.set_exception(fault)
            return future
        self.jobs.waiting.add((self.job_id, index))
        self.jobs.cut_ahead = max(self.jobs.cut_ahead, len(self.jobs.waiting))
        future.set_result(CutSegment(index, b"digest %d" % index))
        return future

    def close(self) -> None:
        self.closed = True


def outcome_of(job: ProofJob, *, cached: bool = False, prove_s: float = 1.0) -> Outcome:
    """A good outcome of a job that was never run."""
    journal = journal_of(job.guest, job.stdin, job.children)
    claims = [claim(child.image_id, child.journal) for child in job.children]
    execute = job.kind is ReceiptKind.EXECUTE
    return Outcome(
        job_id=job.id,
        image_id=job.guest.image_id,
        journal=journal,
        receipt=None if execute else fake_receipt(job.guest.image_id, journal, job.kind, claims),
        kind=job.kind,
        cycles=Cycles(1000, 2000, 2**14, 1),
        prove_s=0.0 if cached else prove_s,
        verify_s=0.01,
        verifications=1,
        worker=0,
        started=0.0,
        finished=prove_s,
        cached=cached,
        attempts=0 if cached else 1,
    )


def long_outcome(job: ProofJob, segments: int, po2: int = 20, *, joins: bool = False) -> Outcome:
    """The outcome of a job that was executed and has several segments."""
    outcome = outcome_of(job)
    cycles = Cycles(1000, 2000, segments << po2, segments)
    run = LongRun(outcome.journal, cycles, po2, (po2,) * segments, joins=joins)
    return replace(outcome, receipt=None, long=run, verifications=0, verify_s=0.0)


@dataclass
class RecordingObserver:
    """An observer that keeps every event.

    Attributes:
        events: the events of jobs, in order.
        loads: the executor's loads (active, queued), in order.
        on_event: a function that is called with each event of a job.
    """

    events: list[Event] = field(default_factory=list)
    loads: list[tuple[int, int]] = field(default_factory=list)
    on_event: Callable[[Event], None] | None = None

    def notice(self, event: Event) -> None:
        if isinstance(event, LoadMeasured):
            self.loads.append((event.active, event.queued))
            return
        self.events.append(event)
        if self.on_event is not None:
            self.on_event(event)

    def of(self, kind: type[E]) -> list[E]:
        """The events of one kind, in order."""
        return [event for event in self.events if isinstance(event, kind)]

    def ids(self, kind: type[JobEvent]) -> list[int]:
        """The job ids of one kind of event, in order."""
        return [event.job.id for event in self.of(kind)]
