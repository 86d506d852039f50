"""The runs of several segments of a plan that is being run: what is cut, proved and still missing.

A run is cut while its segments are proved, by a stream that gives one segment each time that it is
asked. It is asked only while few segments wait, so that neither memory nor disk holds a long run.

Where receipts are joined, each segment's is lifted as soon as it is there, and two that follow each
other are joined as soon as both are there. The joins are a tree of equal depth over the segments.
"""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from runner.model import Part, Span, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Container
    from concurrent.futures import Future
    from typing import Any

    from runner.model import LongRun, Outcome, ProofJob

__all__ = ["CutSegment", "LongRuns", "SegmentStream", "most_ahead"]

STREAMS = 2
"""The runs that are cut at the same time. Each holds the guest's memory, and one stream gives
segments hundreds of times faster than a worker proves them."""


def most_ahead(workers: int, lookups: int) -> int:
    """The number of segments that are cut and not proved at any time, at most.

    Twice as many as are under way keep all workers busy, and all threads that look segments up.

    Args:
        workers: the number of jobs that run side by side.
        lookups: the number of threads that look jobs up in the cache.
    """
    return 2 * (workers + lookups)


@dataclass(frozen=True, slots=True)
class CutSegment:
    """A segment that was cut and is kept.

    Attributes:
        index: its position in the run, from 0.
        digest: the SHA-256 of its bytes.
    """

    index: int
    digest: bytes


class SegmentStream(Protocol):
    """A run that is being cut."""

    def pull(self) -> Future[CutSegment | None]:
        """Ask for the next segment. The result is None once there are no more.

        It is called again only when the future is done. The future fails with OSError if the
        segment cannot be kept, and with ProverError if the run cannot be repeated.
        """
        ...

    def close(self) -> None:
        """End the run without waiting for it. A second call does nothing."""
        ...


@dataclass
class _Run:
    """A run of which some parts are missing.

    Attributes:
        job: the job, without its children's receipts.
        executed: the outcome of its execution.
        run: the run.
        made: the outcomes of its parts, without the receipts, by the part and its number.
        joinable: the digests of the lifted and joined receipts that are in no join yet.
    """

    job: ProofJob
    executed: Outcome
    run: LongRun
    made: dict[int, tuple[Part, Outcome]] = field(default_factory=dict)
    joinable: dict[Span, bytes] = field(default_factory=dict)


class LongRuns:
    """Keeps track of the runs of several segments. One thread calls the methods.

    Args:
        cut: a function that begins to cut a run. It is given the job, the run and the positions of
            the segments that are wanted.
        ahead: the number of segments that are cut and not proved at any time.
        ended: a function that is called with each future of a stream when it is done, from any
            thread.
    """

    def __init__(
        self,
        cut: Callable[[ProofJob, LongRun, Container[int]], SegmentStream],
        ahead: int,
        ended: Callable[[Future[Any]], None],
    ) -> None:
        self._cut = cut
        self._most_ahead = ahead
        self._ended = ended
        self._runs: dict[int, _Run] = {}
        # A stream is known by its run, because a job may have had another one before.
        self._due: deque[tuple[_Run, Container[int]]] = deque()
        self._idle: list[tuple[_Run, SegmentStream]] = []
        self._asked: dict[Future[CutSegment | None], tuple[_Run, SegmentStream]] = {}
        self._waiting: set[tuple[int, int]] = set()  # the keys of segments that are not proved

    @property
    def busy(self) -> bool:
        """Whether a stream was asked for a segment."""
        return bool(self._asked)

    def owns(self, future: Future[Any]) -> bool:
        """Whether a stream was asked for what this future gives."""
        return future in self._asked

    def job_of(self, future: Future[Any]) -> ProofJob:
        """The job whose run is being cut."""
        return self._asked[future][0].job

    def has(self, job_id: int) -> bool:
        """Whether parts of a job's run are missing and wanted."""
        return job_id in self._runs

    def attempts(self, job_id: int) -> int:
        """The number of attempts that the execution of a run took; 0 for a job that has none."""
        run = self._runs.get(job_id)
        return 0 if run is None else run.executed.attempts

    def begin(self, job: ProofJob, executed: Outcome, run: LongRun) -> None:
        """Note that a job has turned out to be a run of several segments."""
        begun = self._runs[job.id] = _Run(job, executed, run)
        self._due.append((begun, range(len(run.sizes))))

    def pull(self) -> list[Future[CutSegment | None]]:
        """Ask for segments while few wait. Returns those that are there at once."""
        ready = []
        while self._due and len(self._idle) + len(self._asked) < STREAMS:
            run, wanted = self._due.popleft()
            if self._wants(run):
                self._idle.append((run, self._cut(run.job, run.run, wanted)))
        while self._idle and len(self._waiting) + len(self._asked) < self._most_ahead:
            run, stream = self._idle.pop(0)
            future = stream.pull()
            self._asked[future] = (run, stream)
            if future.done():
                ready.append(future)
            else:
                future.add_done_callback(self._ended)
        return ready

    def segment(self, future: Future[CutSegment | None]) -> ProofJob | None:
        """Return the job of a segment that a stream gave, or None at the end of the stream.

        Raises:
            OSError: the segment could not be kept.
            ProverError: the run could not be repeated.
        """
        run, stream = self._asked.pop(future)
        if not self._wants(run) or (cut := future.result()) is None:
            stream.close()
            return None
        self._idle.append((run, stream))
        of, po2 = len(run.run.sizes), run.run.sizes[cut.index]
        job = _job(run, Part(Step.SEGMENT, Span(cut.index, 1), of, po2, cut.digest))
        self._waiting.add(job.key)
        return job

    def finished(self, job: ProofJob, outcome: Outcome) -> ProofJob | None:
        """Note that a part is there.

        Returns:
            The job of the part that can be made now: the receipt is lifted or joined, or that of
            the run is made. There is one at most.
        """
        self._waiting.discard(job.key)
        run, part = self._runs.get(job.id), job.part
        if run is None or part is None:
            return None
        run.made[part.number] = (part, replace(outcome, receipt=None))
        following = _joined(run, part) if run.run.joins else _assembled(run)
        return None if following is None else _job(run, following)

    def lost(self, job_id: int, span: Span) -> None:
        """Cut some segments again, because what was kept of them cannot be used."""
        run = self._runs.get(job_id)
        if run is None:
            return
        for number, (part, _) in list(run.made.items()):
            if span.first <= part.span.first and part.span.end <= span.end:
                del run.made[number]
                run.joinable.pop(part.span, None)
        lost = range(span.first, span.end)
        self._waiting.difference_update((job_id, index) for index in lost)
        self._due.appendleft((run, lost))

    def assembled(self, job_id: int, outcome: Outcome) -> tuple[ProofJob, Outcome]:
        """The job itself and its outcome, now that its receipt is there.

        The times are sums over all parts, which may have been made side by side.

        Args:
            job_id: the id of the job.
            outcome: the outcome of the job that made the receipt.
        """
        run = self._runs.pop(job_id)
        parts = [run.executed, *(made for _, made in run.made.values()), outcome]
        whole = replace(
            outcome,
            cycles=run.run.cycles,
            prove_s=sum(part.prove_s for part in parts),
            verify_s=sum(part.verify_s for part in parts),
            verifications=sum(part.verifications for part in parts),
            started=min(part.started for part in parts),
            attempts=run.executed.attempts,
            parts=len(run.run.sizes),
            joins=run.run.lifts_and_joins,
            peak_memory_mib=max(part.peak_memory_mib for part in parts),
        )
        return run.job, whole

    def drop(self, job_id: int) -> ProofJob | None:
        """Forget a run, because a part has failed or it is cut anew. Returns its job."""
        run = self._runs.pop(job_id, None)
        self._waiting = {key for key in self._waiting if key[0] != job_id}
        for _, stream in [one for one in self._idle if one[0] is run]:
            stream.close()
        self._idle = [one for one in self._idle if one[0] is not run]
        return None if run is None else run.job

    def close(self) -> None:
        """End all streams, and cut no more."""
        self._due.clear()
        for _, stream in [*self._idle, *self._asked.values()]:
            stream.close()
        self._idle.clear()
        self._asked.clear()

    def _wants(self, run: _Run) -> bool:
        return self._runs.get(run.job.id) is run


def _assembled(run: _Run) -> Part | None:
    """The receipt of a run that carries all others, once these are there."""
    of = len(run.run.sizes)
    return Part(Step.ASSEMBLE, Span(0, of), of) if len(run.made) == of else None


def _joined(run: _Run, part: Part) -> Part | None:
    """What can be made of the receipt of a part that is lifted or joined next."""
    if part.step is Step.SEGMENT:
        return Part(Step.LIFT, part.span, part.of, digest=_digest(Step.LIFT, part.digest))
    if part.step is Step.JOIN:
        for half in part.takes:
            run.joinable.pop(half, None)
    run.joinable[part.span] = part.digest
    if (above := _above(part.span, part.of)) is None:
        return Part(Step.RESOLVE, part.span, part.of)
    left, right = (run.joinable.get(half, b"") for half in above.halves)
    if not (left and right):
        return None
    return Part(Step.JOIN, above, part.of, digest=_digest(Step.JOIN, left, right))


def _above(span: Span, of: int) -> Span | None:
    """The span whose receipt is joined from that of this one and another; None for a whole run."""
    above = Span(0, of)
    if span == above:
        return None
    while span not in above.halves:
        left, right = above.halves
        above = left if span.first < right.first else right
    return above


def _digest(step: Step, *digests: bytes) -> bytes:
    """The digest that stands for what a lifted or joined receipt proves."""
    return hashlib.sha256(step.value.encode() + b"".join(digests)).digest()


def _job(run: _Run, part: Part) -> ProofJob:
    """The job of a part, without its data."""
    first, of = part.span.first + 1, part.of
    match part.step:
        case Step.SEGMENT:
            what = f"segment {first} of {of}"
        case Step.LIFT:
            what = f"lift of segment {first} of {of}"
        case Step.JOIN:
            what = f"join of segments {first} to {part.span.end} of {of}"
        case _:
            what = "all segments"
    expected = run.run.journal if part.last else None
    return replace(run.job, name=f"{run.job.name}, {what}", part=part, expected=expected)
