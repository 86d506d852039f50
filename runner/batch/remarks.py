"""What a run remarks on its jobs: padded segments, GPUs set aside, a way to the store, prints."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from runner.batch.counters import RunCounters
    from runner.batch.printed import Printed
    from runner.model import LongRun, Outcome, ProofJob

__all__ = ["Remarks"]

log = logging.getLogger(__name__)

MUCH_PADDING = 1.5
"""How many times its own cycles a run may have when they are padded, without a warning. Segments of
2^17 cycles and more stay below, and a last one that is half empty adds a third at most."""


class Remarks:
    """Tells people what is worth knowing of the jobs of a run, and counts what workers say.

    Args:
        counters: the counters of the run.
        printed: the keeper of what guests print; None to keep nothing of it.
        wrote: a function that is told how many bytes a worker elsewhere has given to the store;
            None if nobody keeps its bound.
        looks_up: whether workers elsewhere look proofs up.
    """

    def __init__(
        self,
        counters: RunCounters,
        printed: Printed | None,
        wrote: Callable[[int], object] | None,
        *,
        looks_up: bool,
    ) -> None:
        self._counters = counters
        self._printed = printed
        self._wrote = wrote
        self._looks_up = looks_up
        self._padded: set[str] = set()  # the guests that were warned of

    def cut(self, job: ProofJob, run: LongRun, executed: Outcome) -> None:
        """Remark on a run that is cut into segments."""
        self._padding(job, run)
        self.made(job.name, executed, looked_up=True)

    def made(self, name: str, outcome: Outcome, *, looked_up: bool) -> None:
        """Remark on what a worker has made.

        Args:
            name: the name of the job.
            outcome: the outcome of the job.
            looked_up: whether the worker has looked the proof up first, if workers do.
        """
        if outcome.gpu is not None and outcome.gpu.error:
            log.warning(
                "%s: the CPU proved it, because %s failed and is set aside: %s",
                name,
                outcome.gpu.uuid,
                outcome.gpu.error,
            )
        if outcome.visit is None:
            return
        self._counters.visited(outcome.visit)
        if self._wrote is not None:
            self._wrote(outcome.visit.sent)
        if outcome.visit.trouble:
            log.warning(
                "%s: the store failed on %s, which cost no proof: %s",
                name,
                outcome.visit.host,
                outcome.visit.trouble,
            )
        if looked_up and self._looks_up:
            (self._counters.hit if outcome.cached else self._counters.missed)()

    def printed(self, name: str, leaf: int | None, text: str, *, failed: bool = False) -> None:
        """Keep what the guest of a job has printed.

        Args:
            name: the name of the job.
            leaf: the number of the leaf in the batch, which stays where its job's id changes; None
                for an aggregation.
            text: what was printed.
            failed: whether the guest has failed.
        """
        if self._printed is None or not text:
            return
        file = name.partition(" (")[0].replace(" ", "-") if leaf is None else f"leaf-{leaf}"
        self._printed.keep(file, name, text, failed=failed)

    def _padding(self, job: ProofJob, run: LongRun) -> None:
        """Warn once of each guest of segments that are so small that they are mostly padding."""
        own = run.cycles.user + run.cycles.paging
        times = run.cycles.total / own if own else 0.0
        if times < MUCH_PADDING or job.guest.name in self._padded:
            return
        self._padded.add(job.guest.name)
        log.warning(
            "%s: %d segments of at most 2^%d are padded from %s cycles to %s, %.1f times as many,"
            " which the proof takes longer by; larger segments (prover.segment_po2) have less"
            " padding and take more memory",
            job.name,
            len(run.sizes),
            run.segment_po2,
            f"{own:,}",
            f"{run.cycles.total:,}",
            times,
        )
