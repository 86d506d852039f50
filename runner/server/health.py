"""``/health`` of the monitoring server: the textfile and the live figures, judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runner.server.exposition import values

if TYPE_CHECKING:
    from runner.monitoring.live import Live

__all__ = ["SILENT_S", "Health", "health"]

SILENT_S = 15.0
"""A run that has written nothing for so long is stopped, or its disk is: it writes every 2 s."""

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
    """What the last run says.

    Attributes:
        status: ``ok``, ``failed``, ``killed``, ``stale``, ``never_run`` or ``unreadable``.
        reason: one line for people.
        now: Unix time of all this.
        last_run: figures of the last one that ended; None if there was none.
        running: the run under way.
        killed: a run that left its live figures behind when its process went.
    """

    status: str
    reason: str
    now: float
    last_run: dict[str, float] | None
    running: Live | None
    killed: Live | None = None

    @property
    def ok(self) -> bool:
        """Whether all is well."""
        return self.status == "ok"

    @property
    def silent_s(self) -> float:
        """Seconds for which the run under way has said nothing, where that is strange; else 0."""
        quiet = self.now - self.running.updated if self.running else 0.0
        return quiet if quiet > SILENT_S else 0.0

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "status": self.status,
            "reason": self.reason,
            "now": self.now,
            "last_run": self.last_run,
            "running": None if self.running is None else self.running.to_json(),
            "silent_seconds": self.silent_s,
            "killed": None if self.killed is None else self.killed.to_json(),
        }


def health(  # noqa: PLR0913  # what there is to judge, and by what
    text: bytes | None,
    live: Live | None,
    now: float,
    stale_after: float | None,
    problem: str = "",
    *,
    alive: bool = True,
) -> Health:
    """Judge the last run.

    Args:
        text: of the textfile; None if there is none.
        live: figures of a run that has not ended.
        now: Unix time.
        stale_after: seconds after which a run must have ended, or be under way; None: any time.
        problem: why the textfile cannot be read.
        alive: whether the process of ``live`` is there.
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
