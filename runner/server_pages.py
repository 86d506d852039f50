"""``/health`` and ``/`` of the monitoring server, from the textfile's text and live figures."""

from __future__ import annotations

import html
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from runner.exposition import values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.ledger_file import Glance
    from runner.live import Live

__all__ = ["Health", "health", "index"]


# -- /health ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Health:
    """What the last run says.

    Attributes:
        status: ``ok``, ``failed``, ``stale``, ``never_run`` or ``unreadable``.
        reason: one line for people.
        last_run: its figures; None if there was none.
        running: the run under way.
    """

    status: str
    reason: str
    last_run: dict[str, float] | None
    running: Live | None

    @property
    def ok(self) -> bool:
        """Whether all is well."""
        return self.status == "ok"

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "status": self.status,
            "reason": self.reason,
            "last_run": self.last_run,
            "running": None if self.running is None else self.running.to_json(),
        }


_LAST_RUN = {
    "started": "l2_last_run_start_timestamp_seconds",
    "completed": "l2_last_run_completion_timestamp_seconds",
    "last_success": "l2_last_run_success_timestamp_seconds",
    "duration_seconds": "l2_last_run_duration_seconds",
    "exit_status": "l2_last_run_exit_status",
    "leaves": "l2_last_run_leaves",
}


def health(
    text: bytes | None, live: Live | None, now: float, stale_after: float | None, problem: str = ""
) -> Health:
    """Judge the last run.

    Args:
        text: of the textfile; None if there is none.
        live: the run under way.
        now: Unix time.
        stale_after: seconds after which a run must have ended, or be under way; None: any time.
        problem: why the textfile cannot be read.
    """
    if problem:
        return Health("unreadable", problem, None, live)
    found = values(text or b"")
    last = {key: found[name] for key, name in _LAST_RUN.items() if name in found}
    completed = last.get("completed", 0.0)
    if not completed:
        under_way = "; the first is under way" if live else ""
        return Health("never_run", f"no run has ended yet{under_way}", None, live)
    status = int(last.get("exit_status", 0))
    if status:
        words = "was stopped" if status == 130 else "failed"
        return Health("failed", f"the last run {words} (exit status {status})", last, live)
    latest = max(completed, live.started if live else 0.0)
    if stale_after is not None and now - latest > stale_after:
        words = "has been under way" if live and live.started > completed else "ended"
        ago = "" if words.startswith("has") else " ago"
        reason = f"the last run {words} {now - latest:.0f} s{ago}, more than {stale_after:.0f} s"
        return Health("stale", reason, last, live)
    return Health("ok", "the last run ended well", last, live)


# -- / ------------------------------------------------------------------------------------------

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="5">
<title>zk-batch-runner: {status}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 48rem; margin: 2rem auto; padding: 0 1rem;
  color: #1a1a1a; background: #fff; }}
h2 {{ font-size: 1.1rem; margin-top: 2rem; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ text-align: left; padding: .25rem .5rem; border-bottom: 1px solid #ddd; }}
th {{ font-weight: normal; color: #555; width: 16rem; }}
.runs th {{ width: auto; }} .runs td {{ white-space: nowrap; }}
.state {{ padding: .25rem .6rem; border-radius: .25rem; background: #fbd5d0; }}
.ok {{ background: #d3efd6; }}
progress {{ width: 12rem; }}
@media (prefers-color-scheme: dark) {{
  body {{ color: #e6e6e6; background: #16181a; }} th {{ color: #aaa; }}
  th, td {{ border-color: #333; }} .state {{ background: #6b211a; }} .ok {{ background: #1d4d26; }}
}}
</style>
</head>
<body>
<h1>zk-batch-runner</h1>
<p>Proves batches of zero-knowledge programs. This page, <a href="metrics">metrics</a> for
Prometheus and the last run's <a href="health">health</a> are all that is served here.</p>
<p><span class="{css}">{status}</span> {reason}</p>
{sections}
</body>
</html>
"""

_TOTALS = (
    ("aggregations", "l2_aggregation_total", "{:,.0f}"),
    ("leaf proofs covered", "l2_aggregation_proof_count", "{:,.0f}"),
    ("proofs made", "l2_proof_generation_total", "{:,.0f}"),
    ("receipts verified", "l2_proof_verification_total", "{:,.0f}"),
    ("cache hits", "l2_cache_hits_total", "{:,.0f}"),
    ("cache misses", "l2_cache_misses_total", "{:,.0f}"),
    ("errors", "l2_errors_total", "{:,.0f}"),
    ("leaf proofs per second, average", "l2_tps_average", "{:,.3g}"),
)


def index(state: Health, text: bytes | None, recent: Sequence[Glance] = ()) -> bytes:
    """The page for people, which loads nothing from anywhere.

    Args:
        state: of the last run.
        text: of the textfile.
        recent: the last runs, oldest first.
    """
    sections = []
    if state.running is not None:
        sections.append(_running(state.running))
    if state.last_run is not None:
        last = state.last_run
        rows = [
            ("started", _time(last.get("started", 0.0))),
            ("ended", _time(last.get("completed", 0.0))),
            ("exit status", f"{last.get('exit_status', 0):.0f}"),
            ("leaves", f"{last.get('leaves', 0):,.0f}"),
            ("wall time", f"{last.get('duration_seconds', 0):,.1f} s"),
            ("last success", _time(last.get("last_success", 0.0))),
        ]
        sections.append(_table("Last run", rows))
        found = values(text or b"")
        totals = [
            (label, shape.format(found[name])) for label, name, shape in _TOTALS if name in found
        ]
        if recent:
            sections.append(_runs(recent))
        sections.append(_table("All runs so far", totals))
    return _PAGE.format(
        css="state ok" if state.ok else "state",
        status=html.escape(state.status.replace("_", " ")),
        reason=html.escape(state.reason),
        sections="\n".join(sections),
    ).encode()


def _running(live: Live) -> str:
    rows = [
        ("run", html.escape(live.run_id)),
        ("started", _time(live.started)),
        ("leaves", f"{live.leaves:,}"),
        ("strategy, receipts", html.escape(f"{live.strategy}, {live.kind}")),
    ]
    for level, (done, total) in enumerate(live.levels):
        name = f"aggregations, level {level}" if level else "distinct leaves"
        bar = f'<progress value="{done}" max="{max(total, 1)}"></progress> {done:,} of {total:,}'
        rows.append((name, bar))
    made = f"{live.proofs:,} proofs made, {live.executions:,} executions, {live.hits:,} from cache"
    rows += [
        ("so far", made),
        ("workers", f"{live.workers_active} of {live.workers_limit} busy"),
        ("waiting", f"{live.queue_depth:,} jobs"),
        ("retries, errors", f"{live.retries:,}, {live.errors:,}"),
    ]
    return _table("Running now", rows)


def _runs(recent: Sequence[Glance]) -> str:
    head = "".join(f"<th>{name}</th>" for name in ("started", "result", "leaves", "took", "run"))
    rows = []
    for run in reversed(recent):
        result = "ok" if run.exit_status == 0 else f"exit status {run.exit_status:.0f}"
        executed = ", executed only" if run.kind == "execute" else ""
        cells = (
            _time(run.started),
            f"{result}{executed}",
            f"{run.leaves:,.0f}",
            f"{run.duration_s:,.1f} s",
            f"<code>{html.escape(run.run_id[:12])}</code>",
        )
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    body = "\n".join(rows)
    return f'<h2>Last runs</h2>\n<table class="runs">\n<tr>{head}</tr>\n{body}\n</table>'


def _table(title: str, rows: list[tuple[str, str]]) -> str:
    """Of labels from this module and values that are escaped already."""
    body = "\n".join(f"<tr><th>{label}</th><td>{value}</td></tr>" for label, value in rows)
    return f"<h2>{title}</h2>\n<table>\n{body}\n</table>"


def _time(timestamp: float) -> str:
    if timestamp <= 0:
        return "never"
    try:
        return f"{datetime.fromtimestamp(timestamp, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return "unknown"
