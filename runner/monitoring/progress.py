"""Progress of a batch: bars on a terminal, plain log lines elsewhere, an honest estimate in both.

Every message also carries its figures as fields, for ``log_format=json``; the names are in
docs/monitoring.md.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Self

from runner.text import duration

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

    from runner.errors import JobFailedError
    from runner.model import Outcome, ProofJob
    from runner.monitoring.tally import Standing, Tally
    from runner.plan.time_left import Estimate

__all__ = ["BarProgress", "LineProgress", "SilentProgress", "level_name"]

log = logging.getLogger(__name__)

_LINE_EVERY_S = 2.0
_LINE_EVERY_SHARE = 0.01
"""Of the time so far: a batch of a day takes a line every quarter of an hour, not 43 000."""


def level_name(level: int) -> str:
    """Of the leaves, or of a level of aggregation."""
    return "leaves" if level == 0 else f"level {level}"


class SilentProgress:
    """Shows nothing but failures; tells the tally everything.

    Args:
        tally: of the batch.
        verb: what is done to a job, ``proved`` or ``executed``.
    """

    def __init__(self, tally: Tally, verb: str) -> None:
        self._tally = tally
        self._verb = verb

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def started(self, job: ProofJob, attempt: int) -> None:
        """A job was handed to the engine."""
        self._tally.started(job, attempt)
        log.debug("%s started", job.name, extra=self._fields("job_started", job, attempt=attempt))

    def finished(self, job: ProofJob, outcome: Outcome) -> None:
        """A job is done, by proof or from the cache."""
        self._tally.finished(job, outcome)

    def retrying(self, job: ProofJob, error: BaseException, wait_s: float) -> None:
        """A job failed and will be tried again."""
        self._tally.retrying(job, error, wait_s)
        words = " ".join(str(error).split()) or type(error).__name__
        fields = self._fields("job_retried", job, error=words, wait_s=round(wait_s, 3))
        log.warning("%s: %s; trying again in %s", job.name, words, duration(wait_s), extra=fields)

    def failed(self, job: ProofJob, error: JobFailedError) -> None:
        """A job failed for good."""
        self._tally.failed(job, error)
        fields = self._fields("job_failed", job, error=error.reason, attempts=error.attempts)
        log.error("%s", error, extra=fields)

    def load(self, active: int, queued: int) -> None:
        """Jobs in the engine and jobs waiting."""
        self._tally.load(active, queued)

    def _fields(self, event: str, job: ProofJob, **more: object) -> dict[str, Any]:
        level = self._tally.level(job)
        return {"event": event, "job": job.name, "aggregation_level": level, **more}


class LineProgress(SilentProgress):
    """Log lines: one a proof, but at most one in 2 s and in a hundredth of the time so far.

    The end of a level always has its line.

    Args:
        tally: of the batch.
        verb: what is done to a job.
        every: say each job, however many there are: for machines. The time left is then
            estimated anew as often as without.
    """

    def __init__(self, tally: Tally, verb: str, *, every: bool = False) -> None:
        super().__init__(tally, verb)
        self._every = every
        self._last = float("-inf")
        self._left: Estimate | None = None

    def finished(self, job: ProofJob, outcome: Outcome) -> None:
        """Log the job and where the batch stands."""
        super().finished(job, outcome)
        now = self._tally.clock()
        wait = max(_LINE_EVERY_S, _LINE_EVERY_SHARE * (now - self._tally.began))
        due = now - self._last >= wait or self._tally.level_done(job)
        if not (due or self._every):
            return
        standing = self._tally.standing(None if due else self._left)
        if due:
            self._last, self._left = now, standing.left
        how = "from cache" if outcome.cached else f"{self._verb} in {duration(outcome.prove_s)}"
        fields = self._fields(
            "job_finished",
            job,
            cached=outcome.cached,
            worker=outcome.worker,
            attempts=outcome.attempts,
            prove_s=round(outcome.prove_s, 6),
            verify_s=round(outcome.verify_s, 6),
            done=[done for done, _ in standing.levels],
            total=[total for _, total in standing.levels],
            left_s=standing.left.seconds,
            left_complete=standing.left.complete,
        )
        where = f"{_tally_text(standing)}; {standing.left.text()}"
        log.info("%s %s; %s", job.name, how, where, extra=fields)


class BarProgress(SilentProgress):
    """Bars on a terminal: one for leaves, one a level of aggregation, then workers and figures."""

    def __init__(self, tally: Tally, verb: str, console: Console) -> None:
        from rich.live import Live

        super().__init__(tally, verb)
        self._console = console
        self._live = Live(console=console, get_renderable=self.render, refresh_per_second=4)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def render(self) -> RenderableType:
        """What is on the screen now; never wider than the screen, one line a level."""
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        standing, now = self._tally.standing(), self._tally.clock()
        bars = Table.grid(padding=(0, 1), expand=False)
        bars.add_column(justify="right", width=10, no_wrap=True)
        width = max(4, min(40, self._console.width - 32))
        bars.add_column(width=width)
        bars.add_column(justify="right", no_wrap=True)
        for level, (done, total) in enumerate(standing.levels):
            bar = ProgressBar(total=max(total, 1), completed=done, width=width)
            bars.add_row(level_name(level), bar, f"{done:,}/{total:,}")
        doing = ", ".join(
            f"{busy.job}{f' (attempt {busy.attempt})' if busy.attempt > 1 else ''}"
            f" {duration(now - busy.since)}"
            for busy in standing.busy
        )
        counts = f"{standing.hits:,} from cache, {_retries(standing)}"
        if standing.errors > standing.retries:
            counts += f", {standing.errors - standing.retries:,} failed"
        workers = f"{standing.active}/{self._tally.workers} busy"
        if standing.queued:
            workers += f", {standing.queued:,} waiting"
        return Group(
            bars,
            _row("workers", workers),
            _row("now", doing or "waiting"),
            _row("so far", counts),
            _row("time", f"{duration(now - self._tally.began)} so far, {standing.left.text()}"),
        )


def _row(name: str, text: str) -> Text:
    from rich.text import Text

    return Text(f"{name:>10} {text}", overflow="ellipsis", no_wrap=True)


def _tally_text(standing: Standing) -> str:
    parts = [
        f"{done}/{total} {level_name(level)}" for level, (done, total) in enumerate(standing.levels)
    ]
    if standing.hits:
        parts.append(f"{standing.hits} from cache")
    if standing.retries:
        parts.append(_retries(standing))
    return ", ".join(parts)


def _retries(standing: Standing) -> str:
    return f"{standing.retries:,} {'retry' if standing.retries == 1 else 'retries'}"
