"""Progress of a batch: bars on a terminal, plain log lines elsewhere, an honest estimate in both.

The estimate uses measured times only: this run's, or an earlier run's from the cache until this
run has its own. What was never measured is left out, and the estimate is then shown as a lower
bound ("at least").
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rich.console import Console, RenderableType

    from runner.errors import JobFailedError
    from runner.model import Outcome, ProofJob
    from runner.plan import Plan

__all__ = ["BarProgress", "LineProgress", "SilentProgress", "TimeLeft", "duration"]

log = logging.getLogger(__name__)

_LINE_EVERY_S = 2.0


def duration(seconds: float) -> str:
    """Seconds as people say them: ``0.4 s``, ``12 s``, ``3 min 05 s``, ``2 h 10 min``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class TimeLeft:
    """Estimates what is left from measured times, by aggregation level (0 = leaves).

    Args:
        remaining: jobs to do by level.
        workers: jobs side by side.
        earlier: mean seconds a job took in earlier runs, by level, where known.
    """

    def __init__(
        self, remaining: Mapping[int, int], workers: int, earlier: Mapping[int, float]
    ) -> None:
        self._remaining = Counter(remaining)
        self._workers = workers
        self._earlier = dict(earlier)
        self._spent: dict[int, tuple[float, int]] = {}
        self._started: dict[int, tuple[int, float]] = {}

    def started(self, job: int, level: int, now: float) -> None:
        """A job began at ``now`` (monotonic seconds)."""
        self._started[job] = (level, now)

    def stopped(self, job: int) -> None:
        """A job ended without a result and may start again."""
        self._started.pop(job, None)

    def finished(self, job: int, level: int, now: float) -> None:
        """A job is done; one that never started came from the cache and measures nothing."""
        self._remaining[level] -= 1
        begun = self._started.pop(job, None)
        if begun is not None:
            spent, count = self._spent.get(level, (0.0, 0))
            self._spent[level] = (spent + now - begun[1], count + 1)

    def seconds(self, now: float) -> tuple[float, bool] | None:
        """Seconds left and whether that is all of it; None when nothing was measured yet.

        Leaves share the workers; levels of aggregation narrow towards the root, so a level keeps
        at most as many workers busy as it has jobs.
        """
        total, known, complete = 0.0, False, True
        # A copy in one step: the display's thread reads while the run's thread writes.
        started = list(self._started.values())
        for level, count in self._remaining.items():
            if count <= 0:
                continue
            mean = self._mean(level)
            if mean is None:
                complete = False
                continue
            known = True
            running = [now - at for at_level, at in started if at_level == level]
            done = sum(min(spent, mean) for spent in running)
            total += (count * mean - done) / min(self._workers, count)
        return (total, complete) if known else None

    def text(self, now: float) -> str:
        """The estimate in words."""
        left = self.seconds(now)
        if sum(count for count in self._remaining.values() if count > 0) == 0:
            return "nothing left"
        if left is None or (not left[1] and left[0] < 1.0):
            return "time left not known yet"
        return f"{'about' if left[1] else 'at least'} {duration(left[0])} left"

    def _mean(self, level: int) -> float | None:
        if level in self._spent:
            spent, count = self._spent[level]
            return spent / count
        return self._earlier.get(level)


class SilentProgress:
    """Shows nothing but failures; keeps what the displays show."""

    def __init__(
        self,
        plan: Plan,
        workers: int,
        earlier: Mapping[int, float],
        verb: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._levels = {a.id: a.level for a in plan.aggregations}
        self._totals = Counter({0: plan.leaf_jobs})
        self._totals.update(self._levels.values())
        self._done: Counter[int] = Counter()
        self._hits = 0
        self._running: dict[int, str] = {}
        self._clock = clock
        self._left = TimeLeft(self._totals, workers, earlier)
        self._verb = verb

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def started(self, job: ProofJob, attempt: int) -> None:
        """A job was handed to the engine."""
        self._running[job.id] = job.name if attempt == 1 else f"{job.name} (attempt {attempt})"
        self._left.started(job.id, self._level(job), self._clock())

    def finished(self, job: ProofJob, outcome: Outcome) -> None:
        """A job is done, by proof or from the cache."""
        level = self._level(job)
        self._running.pop(job.id, None)
        self._done[level] += 1
        self._hits += outcome.cached
        self._left.finished(job.id, level, self._clock())

    def retrying(self, job: ProofJob, error: BaseException, wait_s: float) -> None:
        """A job failed and will be tried again."""
        self._running.pop(job.id, None)
        self._left.stopped(job.id)
        log.warning("%s: %s; trying again in %s", job.name, error, duration(wait_s))

    def failed(self, job: ProofJob, error: JobFailedError) -> None:
        """A job failed for good."""
        self._running.pop(job.id, None)
        self._left.stopped(job.id)
        log.error("%s", error)

    def load(self, active: int, queued: int) -> None:
        """Jobs in the engine and jobs waiting."""

    def _level(self, job: ProofJob) -> int:
        return self._levels.get(job.id, 0)

    def _tally(self) -> str:
        parts = [
            f"{self._done[level]}/{self._totals[level]} {_level_name(level)}"
            for level in sorted(self._totals)
        ]
        if self._hits:
            parts.append(f"{self._hits} from cache")
        return ", ".join(parts)


class LineProgress(SilentProgress):
    """Plain log lines, one a proof but at most one every two seconds."""

    _last = float("-inf")

    def finished(self, job: ProofJob, outcome: Outcome) -> None:
        """Log the job and where the batch stands."""
        super().finished(job, outcome)
        now = self._clock()
        if now - self._last < _LINE_EVERY_S and self._done != self._totals:
            return
        self._last = now
        how = "from cache" if outcome.cached else f"{self._verb} in {duration(outcome.prove_s)}"
        log.info("%s %s; %s; %s", job.name, how, self._tally(), self._left.text(now))


class BarProgress(SilentProgress):
    """Bars on a terminal: one for leaves, one a level of aggregation, and what is running."""

    def __init__(  # noqa: PLR0913  # the display's own wiring
        self,
        plan: Plan,
        workers: int,
        earlier: Mapping[int, float],
        verb: str,
        console: Console,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # Not at the top: a run without a terminal needs none of it.
        from rich.live import Live
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        super().__init__(plan, workers, earlier, verb, clock)
        self._progress = Progress(
            TextColumn("{task.description:>14}"), BarColumn(), MofNCompleteColumn()
        )
        self._tasks = {
            level: self._progress.add_task(_level_name(level), total=self._totals[level])
            for level in sorted(self._totals)
        }
        self._began = self._clock()
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=4)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def finished(self, job: ProofJob, outcome: Outcome) -> None:
        """Move the level's bar."""
        super().finished(job, outcome)
        self._progress.advance(self._tasks[self._level(job)])

    def _render(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        now = self._clock()
        names = list(self._running.values())
        shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        status = f"{duration(now - self._began)} so far, {self._left.text(now)}"
        if self._hits:
            status += f", {self._hits} from cache"
        return Group(
            self._progress,
            Text(f"{'now':>14} {shown or 'waiting'}", overflow="ellipsis", no_wrap=True),
            Text(f"{'time':>14} {status}", overflow="ellipsis", no_wrap=True),
        )


def _level_name(level: int) -> str:
    return "leaves" if level == 0 else f"level {level}"
