"""The runs of several segments of a plan that is being run: what is cut, proved and still missing.

A run is cut while its segments are proved, by a stream that gives one segment each time that it is
asked. It is asked only while few segments wait, so that neither memory nor disk holds a long run.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from runner.run_parts import RunParts

if TYPE_CHECKING:
    from collections.abc import Callable, Container
    from concurrent.futures import Future
    from typing import Any

    from runner.model import LongRun, Outcome, ProofJob, Span

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
        self._runs: dict[int, RunParts] = {}
        # A stream is known by its run, because a job may have had another one before.
        self._due: deque[tuple[RunParts, Container[int]]] = deque()
        self._idle: list[tuple[RunParts, SegmentStream]] = []
        self._asked: dict[Future[CutSegment | None], tuple[RunParts, SegmentStream]] = {}
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
        begun = self._runs[job.id] = RunParts(job, executed, run)
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
        job = run.segment(cut.index, cut.digest)
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
        return run.finished(part, outcome)

    def lost(self, job_id: int, span: Span) -> None:
        """Cut some segments again, because what was kept of them cannot be used."""
        run = self._runs.get(job_id)
        if run is None:
            return
        run.lost(span)
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
        return run.job, run.whole(outcome)

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

    def _wants(self, run: RunParts) -> bool:
        return self._runs.get(run.job.id) is run
