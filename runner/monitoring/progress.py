"""The progress of a batch, as bars on a terminal or as plain log lines.

Both show an estimate of the time left. Every log line also carries its figures as fields, for
``log_format=json``; docs/monitoring.md lists the fields.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Self

from runner.events import (
    Event,
    JobFailed,
    JobFinished,
    JobRetried,
    JobSplit,
    JobStarted,
    LoadMeasured,
)
from runner.text import duration, one_line

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

    from runner.errors import JobFailedError
    from runner.model import LongRun, Outcome, ProofJob
    from runner.monitoring.tally import BatchState, Tally
    from runner.plan.time_left import Estimate

__all__ = ["BarProgress", "LineProgress", "SilentProgress", "level_name"]

log = logging.getLogger(__name__)

_LINE_EVERY_S = 2.0
_LINE_EVERY_SHARE = 0.01
"""The share of the time so far that passes between two lines: a batch that takes a day has a line
every quarter of an hour, and not 43 000 lines."""


def level_name(level: int) -> str:
    """Return the name of a level for people: the leaves, or a level of aggregation."""
    return "leaves" if level == 0 else f"level {level}"


class SilentProgress:
    """Logs failures and shows nothing else. It is an observer.

    Args:
        tally: the tally of the batch. Of each event it is told before the progress, which shows
            what the tally says.
        verb: the word for what is done to a job, ``proved`` or ``executed``.
    """

    def __init__(self, tally: Tally, verb: str) -> None:
        self._tally = tally
        self._verb = verb

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def notice(self, event: Event) -> None:
        """Log an event; see :class:`runner.events.Observer`."""
        match event:
            case JobStarted():
                self._started(event.job, event.attempt)
            case JobFinished():
                self._finished(event.job, event.outcome)
            case JobSplit():
                self._split(event.job, event.run)
            case JobRetried():
                self._retried(event)
            case JobFailed():
                self._failed(event.job, event.error)
            case LoadMeasured():
                pass

    def _started(self, job: ProofJob, attempt: int) -> None:
        log.debug("%s started", job.name, extra=self._fields("job_started", job, attempt=attempt))

    def _finished(self, job: ProofJob, outcome: Outcome) -> None:
        """Show a finished job, where this kind of progress shows any."""

    def _split(self, job: ProofJob, run: LongRun) -> None:
        most = max(run.sizes)
        fields = self._fields("job_split", job, segments=len(run.sizes), segment_po2=most)
        log.info(
            "%s has %s cycles in %d segments of at most 2^%d, which are proved one by one",
            job.name,
            f"{run.cycles.total:,}",
            len(run.sizes),
            most,
            extra=fields,
        )

    def _retried(self, event: JobRetried) -> None:
        job, words, wait = event.job, one_line(event.error), round(event.wait_s, 3)
        more = {"smaller": event.smaller, "fewer": event.fewer}
        fields = self._fields("job_retried", job, error=words, wait_s=wait, **more)
        how = ""
        if event.smaller:
            how = " with segments half as large"
        elif event.fewer:
            how = f" (at most {event.fewer} at a time from now on)"
        wait_s = duration(event.wait_s)
        log.warning("%s: %s; trying again%s in %s", job.name, words, how, wait_s, extra=fields)

    def _failed(self, job: ProofJob, error: JobFailedError) -> None:
        fields = self._fields("job_failed", job, error=error.reason, attempts=error.attempts)
        log.error("%s", error, extra=fields)

    def _fields(self, event: str, job: ProofJob, **more: object) -> dict[str, Any]:
        level = self._tally.level(job)
        return {"event": event, "job": job.name, "aggregation_level": level, **more}


class LineProgress(SilentProgress):
    """Logs a line for each job, but no more than one in 2 s and in 1 % of the time so far.

    The last job of a level always has its line.

    Args:
        tally: the tally of the batch, as for :class:`SilentProgress`.
        verb: the word for what is done to a job.
        every: whether each job has its line, however many jobs there are, as machines want it. The
            time left is then estimated no more often than without.
    """

    def __init__(self, tally: Tally, verb: str, *, every: bool = False) -> None:
        super().__init__(tally, verb)
        self._every = every
        self._last = float("-inf")
        self._left: Estimate | None = None

    def _finished(self, job: ProofJob, outcome: Outcome) -> None:
        now = self._tally.clock()
        wait = max(_LINE_EVERY_S, _LINE_EVERY_SHARE * (now - self._tally.began))
        due = now - self._last >= wait or (job.part is None and self._tally.level_done(job))
        if not (due or self._every):
            return
        state = self._tally.state(None if due else self._left)
        if due:
            self._last, self._left = now, state.left
        how = "from cache" if outcome.cached else f"{self._verb} in {duration(outcome.prove_s)}"
        fields = self._fields(
            "job_finished",
            job,
            cached=outcome.cached,
            worker=outcome.worker,
            attempts=outcome.attempts,
            prove_s=round(outcome.prove_s, 6),
            verify_s=round(outcome.verify_s, 6),
            done=[done for done, _ in state.levels],
            total=[total for _, total in state.levels],
            segments_done=state.segments[0],
            segments_total=state.segments[1],
            joins_done=state.joins[0],
            joins_total=state.joins[1],
            left_s=state.left.seconds,
            left_complete=state.left.complete,
        )
        where = f"{_state_text(state)}; {state.left.text()}"
        log.info("%s %s; %s", job.name, how, where, extra=fields)


class BarProgress(SilentProgress):
    """Draws bars on a terminal: one for each level, the leaves first, and then the figures.

    Args:
        tally: the tally of the batch, as for :class:`SilentProgress`.
        verb: the word for what is done to a job.
        console: the terminal that is drawn on.
    """

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
        """Return what the screen shows now. No line is wider than the screen."""
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        state, now = self._tally.state(), self._tally.clock()
        bars = Table.grid(padding=(0, 1), expand=False)
        bars.add_column(justify="right", width=10, no_wrap=True)
        width = max(4, min(40, self._console.width - 32))
        bars.add_column(width=width)
        bars.add_column(justify="right", no_wrap=True)
        for level, (done, total) in enumerate(state.levels):
            bar = ProgressBar(total=max(total, 1), completed=done, width=width)
            bars.add_row(level_name(level), bar, f"{done:,}/{total:,}")
        for name, (done, total) in (("segments", state.segments), ("joins", state.joins)):
            if total:
                bar = ProgressBar(total=total, completed=done, width=width)
                bars.add_row(name, bar, f"{done:,}/{total:,}")
        doing = ", ".join(
            f"{busy.job}{f' (attempt {busy.attempt})' if busy.attempt > 1 else ''}"
            f" {duration(now - busy.since)}"
            for busy in state.busy
        )
        counts = f"{state.hits:,} from cache, {_retries(state)}"
        if state.errors > state.retries:
            counts += f", {state.errors - state.retries:,} failed"
        workers = f"{state.active}/{self._tally.workers} busy"
        if state.queued:
            workers += f", {state.queued:,} waiting"
        return Group(
            bars,
            _row("workers", workers),
            _row("now", doing or "waiting"),
            _row("so far", counts),
            _row("time", f"{duration(now - self._tally.began)} so far, {state.left.text()}"),
        )


def _row(name: str, text: str) -> Text:
    from rich.text import Text

    return Text(f"{name:>10} {text}", overflow="ellipsis", no_wrap=True)


def _state_text(state: BatchState) -> str:
    parts = [
        f"{done}/{total} {level_name(level)}" for level, (done, total) in enumerate(state.levels)
    ]
    if state.segments[1]:
        parts.append(f"{state.segments[0]}/{state.segments[1]} segments")
    if state.joins[1]:
        parts.append(f"{state.joins[0]}/{state.joins[1]} lifts and joins")
    if state.hits:
        parts.append(f"{state.hits} from cache")
    if state.retries:
        parts.append(_retries(state))
    return ", ".join(parts)


def _retries(state: BatchState) -> str:
    return f"{state.retries:,} {'retry' if state.retries == 1 else 'retries'}"
