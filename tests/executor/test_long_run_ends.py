"""Streams of segments that end after their run has, because they are asked for the end too."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from runner.long_runs import CutSegment, LongRuns
from runner.model import Cycles, LongRun, Outcome, ProofJob, ReceiptKind
from tests.fakes.guests import sample_guest

if TYPE_CHECKING:
    from collections.abc import Container

JOB = ProofJob(0, "leaf 0", sample_guest(), b"", (), ReceiptKind.COMPOSITE)
DONE = Outcome(0, bytes(32), b"", b"receipt", JOB.kind, Cycles(), 0.0, 0.0, 0, 0, 0.0, 0.0)


class Slow:
    """A stream that gives what it was asked for when a test says so."""

    def __init__(self) -> None:
        self.asked: list[Future[CutSegment | None]] = []
        self.closed = False

    def pull(self) -> Future[CutSegment | None]:
        self.asked.append(Future())
        return self.asked[-1]

    def close(self) -> None:
        self.closed = True


def begun() -> tuple[LongRuns, Slow, ProofJob]:
    """A run of one segment that was cut, whose stream was asked for more."""
    stream = Slow()

    def cut(job: ProofJob, run: LongRun, wanted: Container[int]) -> Slow:
        return stream

    def ended(future: Future[Any]) -> None:
        """Nobody waits."""

    runs = LongRuns(cut, 8, ended)
    runs.begin(JOB, DONE, LongRun(b"", Cycles(segments=1), 20, (20,)))
    runs.pull()
    stream.asked[0].set_result(CutSegment(0, bytes(32)))
    segment = runs.segment(stream.asked[0])
    assert segment is not None
    runs.pull()
    return runs, stream, segment


def test_the_end_of_a_stream_may_come_after_its_run_is_put_together() -> None:
    runs, stream, segment = begun()
    assert runs.finished(segment, DONE) is not None
    runs.assembled(JOB.id, DONE)
    stream.asked[1].set_result(None)
    assert runs.job_of(stream.asked[1]) == JOB
    assert runs.segment(stream.asked[1]) is None
    assert stream.closed


def test_a_stream_may_fail_after_its_run_was_given_up() -> None:
    runs, stream, _ = begun()
    assert runs.drop(JOB.id) == JOB
    stream.asked[1].set_exception(OSError("full"))
    assert runs.job_of(stream.asked[1]) == JOB
    assert runs.segment(stream.asked[1]) is None
