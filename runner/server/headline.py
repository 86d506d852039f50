"""The first line of the status page: what is running, and how the last run ended."""

from __future__ import annotations

import html
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from runner.plan.time_left import Estimate
from runner.text import duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.monitoring.ledger_file import RecentRun
    from runner.monitoring.live import LiveFigures
    from runner.server.health import Health

__all__ = ["headline", "moment", "time_left", "title"]

_IDLE = "No run is under way"


def title(state: Health) -> str:
    """The title of the browser's tab, as text."""
    if state.running is None:
        return state.status.replace("_", " ")
    done, total = _sum(state.running)
    return f"{100 * done // max(total, 1)} % ({done:,}/{total:,})"


def headline(state: Health, recent: Sequence[RecentRun] = ()) -> tuple[str, str]:
    """The first line: its CSS class, and the line as HTML.

    Args:
        state: the state of the last run, and of the run under way.
        recent: the last runs, oldest first.
    """
    if state.running is not None:
        return _under_way(state, state.running)
    if state.killed is not None and state.status == "killed":
        return "bad", _line(f"{_IDLE}: the last one was killed", _killed(state.killed))
    if state.status == "unreadable":
        return "bad", _line("Unreadable", state.reason)
    if state.last_run is None:
        words = "It is shown here as soon as it starts with metrics.textfile= this server's file."
        return "idle", _line("No run yet", words)
    completed = state.last_run.get("completed", 0.0)
    ended = f"ended {moment(completed)}"
    ago = f", {duration(state.now - completed)} ago" if completed <= state.now else ""
    if not state.ok:
        return "bad", _line(f"{_IDLE}: {state.reason}", f"It {ended}", ticking=ago)
    leaves = state.last_run.get("leaves", 0.0)
    executed = bool(recent) and recent[-1].kind == "execute"
    words = (
        f"{leaves:,.0f} {'leaf' if leaves == 1 else 'leaves'}"
        f" {'executed, nothing proved,' if executed else 'proved and verified'}"
        f" in {duration(state.last_run.get('duration_seconds', 0.0))}; {ended}"
    )
    return "ok", _line(f"{_IDLE}: the last one ended well", words, ticking=ago)


def time_left(live: LiveFigures) -> str:
    """The estimated time that is left for a run under way, in words."""
    return Estimate(live.left_s, complete=live.left_complete, jobs=live.unfinished).text()


def moment(timestamp: float) -> str:
    """A Unix time as people read it; ``never`` for 0."""
    if timestamp <= 0:
        return "never"
    try:
        return f"{datetime.fromtimestamp(timestamp, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return "unknown"


def _under_way(state: Health, live: LiveFigures) -> tuple[str, str]:
    if state.silent_s:
        words = (
            f"Its process {live.pid} is there, but its figures are old: it is stopped, or its disk"
            " is. Nothing was written for "
        )
        return "bad", _line("Running, but silent", words, ticking=duration(state.silent_s))
    if not live.unfinished:
        words = "All jobs are done; the result is verified and written."
        return "running", _line("Finishing", words)
    before = "The first run of this textfile."
    if state.last_run is not None:
        before = f"Before it: {state.reason}."
    return "running", _line("Running", before, counting=f": {time_left(live)}")


def _killed(run: LiveFigures) -> str:
    done, total = _sum(run)
    kept = (
        "" if run.kind == "execute" else " The same command takes finished proofs from the cache."
    )
    return (
        f"Run {run.run_id[:12]} ended without a word: its process {run.pid} is gone. Last seen"
        f" {moment(run.updated)} with {done:,} of {total:,} jobs done.{kept}"
    )


def _line(head: str, words: str, *, counting: str = "", ticking: str = "") -> str:
    """The line as HTML. A screen reader announces its changes, but not those of each second.

    Args:
        head: the heading.
        words: the sentence after the heading.
        counting: a text after the heading that changes every second.
        ticking: a text after the sentence that changes every second.
    """
    return (
        f"<strong>{html.escape(head)}{_off(counting)}</strong> {html.escape(words)}{_off(ticking)}"
    )


def _off(text: str) -> str:
    return f'<span aria-live="off">{html.escape(text)}</span>' if text else ""


def _sum(live: LiveFigures) -> tuple[int, int]:
    return sum(done for done, _ in live.levels), sum(total for _, total in live.levels)
