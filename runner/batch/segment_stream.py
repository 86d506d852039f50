"""A long run that is cut on a thread of this process, one segment each time that it is asked.

A worker has run the same guest on the same input to its end before. It is repeated here because its
segments are kept on this machine's disk, from which any worker gets them, wherever it is.
"""

from __future__ import annotations

import queue
from concurrent.futures import Future
from typing import TYPE_CHECKING

from runner import threads
from runner.errors import ProverError
from runner.long_runs import CutSegment

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from runner.model import LongRun, ProofJob
    from runner.provers.segments import SegmentProver

__all__ = ["RunStream"]


class _EndedError(Exception):
    """Nobody wants the rest of the run."""


class RunStream:
    """A run that is being cut. See :class:`runner.long_runs.SegmentStream`.

    Args:
        prover: the prover that runs the guest.
        job: the job whose run it is.
        run: the run.
        wanted: the positions of the segments that are kept.
        keep: a function that keeps a segment and returns its digest. It may raise OSError.
    """

    def __init__(
        self,
        prover: SegmentProver,
        job: ProofJob,
        run: LongRun,
        wanted: Container[int],
        keep: Callable[[bytes], bytes],
    ) -> None:
        self._prover = prover
        self._job = job
        self._run = run
        self._wanted = [index for index in range(len(run.sizes)) if index in wanted]
        self._keep = keep
        # None stands for the end, after which nobody asks.
        self._asked: queue.SimpleQueue[Future[CutSegment | None] | None] = queue.SimpleQueue()
        self._thread = threads.start("cut", self._serve)

    def pull(self) -> Future[CutSegment | None]:
        """See :class:`runner.long_runs.SegmentStream`."""
        future: Future[CutSegment | None] = Future()
        self._asked.put(future)
        return future

    def close(self) -> None:
        """See :class:`runner.long_runs.SegmentStream`."""
        self._asked.put(None)

    def _serve(self) -> None:
        error: Exception | None = None
        job = self._job
        try:
            self._prover.cut(
                job.guest, job.stdin, job.children, self._run, seed=job.seed, sink=self._take
            )
        except _EndedError:
            return
        except Exception as caught:  # noqa: BLE001  # the one who asks next is told
            error = caught
        if error is None and self._wanted:
            error = ProverError("guest_failed", "the guest ran otherwise than the first time")
        while (future := self._asked.get()) is not None:
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(None)

    def _take(self, index: int, data: bytes) -> None:
        if not self._wanted or index != self._wanted[0]:
            return
        future = self._asked.get()
        if future is None:
            raise _EndedError
        try:
            digest = self._keep(data)
        except Exception as error:  # noqa: BLE001  # the one who has asked must not wait for ever
            future.set_exception(error)
            raise _EndedError from None
        self._wanted.pop(0)
        future.set_result(CutSegment(index, digest))
