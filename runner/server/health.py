"""``/health``: what the textfile and the live figures say about the last run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runner.server.exposition import values

if TYPE_CHECKING:
    from runner.monitoring.live import LiveFigures

__all__ = ["SILENT_S", "Health", "health"]

SILENT_S = 15.0
"""A run writes figures every 2 s, so after this many seconds without any it, or its disk, hangs."""

_LAST_RUN = {
    "started": "l2_last_run_start_timestamp_seconds",
    "completed": "l2_last_run_completion_timestamp_seconds",
    "last_success": "l2_last_run_success_timestamp_seconds",
    "duration_seconds": "l2_last_run_duration_seconds",
    "exit_status": "l2_last_run_exit_status",
    "leaves": "l2_last_run_leaves",
}


@dataclass(frozen=True, slots=True)
class Health:
    """The state of the last run and of the run under way.

    Attributes:
        status: ``ok``, ``failed``, ``killed``, ``stale``, ``never_run`` or ``unreadable``.
        reason: the reason for the status, in one line for people.
        now: the Unix time at which this was the state.
        last_run: the figures of the last run that ended; None if none has.
        running: the live figures of the run under way; None if there is none.
        killed: the live figures that a killed run has left behind; None if there are none.
    """

    status: str
    reason: str
    now: float
    last_run: dict[str, float] | None
    running: LiveFigures | None
    killed: LiveFigures | None = None

    @property
    def ok(self) -> bool:
        """Whether the last run ended well and is not too old."""
        return self.status == "ok"

    @property
    def silent_s(self) -> float:
        """The seconds since the run under way wrote figures, if that is too long ago; else 0."""
        quiet = self.now - self.running.updated if self.running else 0.0
        return quiet if quiet > SILENT_S else 0.0

    def to_json(self) -> dict[str, Any]:
        """The state as JSON values."""
        return {
            "status": self.status,
            "reason": self.reason,
            "now": self.now,
            "last_run": self.last_run,
            "running": None if self.running is None else self.running.to_json(),
            "silent_seconds": self.silent_s,
            "killed": None if self.killed is None else self.killed.to_json(),
        }


def health(  # noqa: PLR0913  # each is a fact of its own
    text: bytes | None,
    live: LiveFigures | None,
    now: float,
    stale_after: float | None,
    problem: str = "",
    *,
    alive: bool = True,
) -> Health:
    """Judge the state of the last run and of the run under way.

    Args:
        text: the textfile's content; None if there is none.
        live: the live figures of a run that has not ended; None if there are none.
        now: the current Unix time.
        stale_after: the seconds within which a run must have ended or started; None sets no limit.
        problem: why the textfile cannot be read; empty if it can.
        alive: whether the process that wrote ``live`` still exists.
    """
    running, killed = (live, None) if alive else (None, live)
    found = values(text or b"")
    last = {key: found[name] for key, name in _LAST_RUN.items() if name in found}
    completed = last.get("completed", 0.0)
    last_run = last if completed and not problem else None

    def judged(status: str, reason: str) -> Health:
        return Health(status, reason, now, last_run, running, killed)

    if problem:
        return judged("unreadable", problem)
    if killed is not None and killed.updated > completed:
        return judged("killed", f"the last run was killed: its process {killed.pid} is gone")
    if not completed:
        under_way = "; the first is under way" if running else ""
        return judged("never_run", f"no run has ended yet{under_way}")
    status = int(last.get("exit_status", 0))
    if status:
        words = "was stopped" if status == 130 else "failed"
        return judged("failed", f"the last run {words} (exit status {status})")
    latest = max(completed, running.started if running else 0.0)
    if stale_after is not None and now - latest > stale_after:
        words = "has been under way" if running and running.started > completed else "ended"
        ago = "" if words.startswith("has") else " ago"
        reason = f"the last run {words} {now - latest:.0f} s{ago}, more than {stale_after:.0f} s"
        return judged("stale", reason)
    return judged("ok", "the last run ended well")
