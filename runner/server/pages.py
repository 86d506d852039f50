"""``/``: the status page, which shows people what is known about the runs, as HTML.

The page loads nothing from elsewhere. Its script fetches the page again every second and replaces
what has changed, so all rendering and escaping is done here.
"""

from __future__ import annotations

import base64
import hashlib
import html
from pathlib import Path
from typing import TYPE_CHECKING

from runner.metric_table import L1_BATCHES, L1_LAST_LOOK_TIMESTAMP_SECONDS
from runner.server.exposition import by_label, values
from runner.server.headline import headline, moment, time_left, title
from runner.text import duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.monitoring.ledger_file import RecentRun
    from runner.monitoring.live import LiveFigures
    from runner.server.health import Health

__all__ = ["POLICY", "index"]

_STYLE = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
_SCRIPT = (Path(__file__).parent / "page.js").read_text(encoding="utf-8")


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


POLICY = (
    "default-src 'none'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none';"
    f" frame-ancestors 'none'; style-src {_source(_STYLE)}; script-src {_source(_SCRIPT)}"
)
"""The Content-Security-Policy, which allows this style and this script and no other."""

_PAGE = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{title}}</title>
<link rel="icon" href="data:,">
<noscript><meta http-equiv="refresh" content="5"></noscript>
<style>{_STYLE.replace("{", "{{").replace("}", "}}")}</style>
</head>
<body>
<header>
<h1>zk-batch-runner</h1>
<nav aria-label="For machines">
<a href="status.json">status.json</a> <a href="health">health</a> <a href="metrics">metrics</a>
</nav>
</header>
<main>
<p id="lost" role="alert" hidden>The server does not answer: what is below is old.</p>
<div id="state" class="state {{css}}" role="status">{{state}}</div>
<div id="running">{{running}}</div>
<div id="history">{{history}}</div>
<p id="now">As of {{now}}.</p>
</main>
<script>{_SCRIPT.replace("{", "{{").replace("}", "}}")}</script>
</body>
</html>
"""

_TOTALS = (
    ("batches aggregated", "l2_aggregation_total", "{:,.0f}"),
    ("leaf proofs aggregated", "l2_aggregation_proof_count", "{:,.0f}"),
    ("proofs made", "l2_proof_generation_total", "{:,.0f}"),
    ("of them aggregation proofs", "l2_aggregation_proof_generation_total", "{:,.0f}"),
    ("receipts verified", "l2_proof_verification_total", "{:,.0f}"),
    ("cache hits", "l2_cache_hits_total", "{:,.0f}"),
    ("cache misses", "l2_cache_misses_total", "{:,.0f}"),
    ("errors", "l2_errors_total", "{:,.0f}"),
    ("leaf proofs made and aggregated per second, average", "l2_tps_average", "{:,.3g}"),
    ("batches executed, nothing proved", "l2_executed_batches_total", "{:,.0f}"),
)


def index(state: Health, text: bytes | None, recent: Sequence[RecentRun] = ()) -> bytes:
    """The status page.

    Args:
        state: the state of the last run, and of the run under way.
        text: the textfile's content; None if there is none.
        recent: the last runs, oldest first.
    """
    css, line = headline(state, recent)
    return _PAGE.format(
        title=html.escape(f"{title(state)} - zk-batch-runner"),
        css=css,
        state=line,
        running=_running(state.running, state.now) if state.running else "",
        history=_history(state, text, recent),
        now=moment(state.now),
    ).encode()


# -- the run under way --------------------------------------------------------------------------


def _running(live: LiveFigures, now: float) -> str:
    executes = live.kind == "execute"
    what = "executed only, nothing is proved" if executes else f"{live.kind} receipts"
    name = f"{live.leaves:,} {'leaf' if live.leaves == 1 else 'leaves'} of {live.guest}"
    made = ("executed", live.executions) if executes else ("proofs made", live.proofs)
    figures = (
        ("so far", duration(max(0.0, now - live.started))),
        ("time left", time_left(live).removesuffix(" left").removeprefix("time left ")),
        ("workers busy", f"{live.workers_active:,} of {live.workers_limit:,}"),
        ("jobs waiting", f"{live.queue_depth:,}"),
        (made[0], f"{made[1]:,}"),
        ("cache hits", f"{live.hits:,}"),
        ("retries", f"{live.retries:,}"),
        ("errors", f"{live.errors:,}"),
    )
    cells = "".join(
        f"<div><dt>{label}</dt><dd>{html.escape(value)}</dd></div>" for label, value in figures
    )
    error = (
        f'<p class="bad">Last error: {html.escape(live.last_error)}</p>' if live.last_error else ""
    )
    return f"""<div class="cards">
<section class="card" aria-labelledby="progress">
<h2 id="progress">{html.escape(name)}</h2>
<p>{html.escape(f"{live.strategy}, {what}")}</p>
<p>run <code>{html.escape(live.run_id[:12])}</code>, started {moment(live.started)}</p>
<div class="levels">
{"".join(_level(level, *counts) for level, counts in enumerate(live.levels))}
</div>
<dl class="figures">{cells}</dl>
{error}
</section>
<section class="card">{_workers(live, now)}</section>
{_hosts(live)}
</div>"""


def _level(level: int, done: int, total: int) -> str:
    name = f"level {level}" if level else "leaves"
    said = f"{done:,} of {total:,}"
    return (
        f'<label for="level{level}">{name}</label>'
        f'<progress id="level{level}" value="{done}" max="{max(total, 1)}">{said}</progress>'
        f'<output for="level{level}">{said}</output>'
    )


def _workers(live: LiveFigures, now: float) -> str:
    rows = []
    for job in live.jobs:
        again = f" (attempt {job.attempt})" if job.attempt > 1 else ""
        took = duration(max(0.0, now - job.since))
        rows.append((str(job.worker), html.escape(job.job + again), took))
    more = live.workers_active - len(live.jobs)
    if more > 0:
        rows.append(("", f"and {more:,} more", ""))
    if not rows:
        rows.append(("", "none has a job now", ""))
    return _table("Workers", ("worker", "job", "for"), rows)


def _hosts(live: LiveFigures) -> str:
    """What each machine has done; nothing where all workers are on this one."""
    if not live.hosts:
        return ""
    rows = [
        (
            html.escape(share.host),
            f"{share.jobs:,}",
            *(f"{size / 2**20:,.1f}" for size in (share.fetched, share.kept, share.sent)),
        )
        for share in live.hosts
    ]
    columns = ("machine", "jobs", "MiB from the store", "from its disk", "to the store")
    return f'<section class="card">{_table("Machines", columns, rows)}</section>'


# -- the runs that have ended -------------------------------------------------------------------


def _history(state: Health, text: bytes | None, recent: Sequence[RecentRun]) -> str:
    last = state.last_run
    if last is None:
        return ""
    found = values(text or b"")
    status = last.get("exit_status", 0)
    rows = [
        ("result", _result(status, "")),
        ("started", moment(last.get("started", 0.0))),
        ("ended", moment(last.get("completed", 0.0))),
        ("leaves", f"{last.get('leaves', 0):,.0f}"),
        ("wall time", duration(last.get("duration_seconds", 0))),
        ("last success", moment(last.get("last_success", 0.0))),
    ]
    totals = [(label, shape.format(found[name])) for label, name, shape in _TOTALS if name in found]
    one = f'<section class="card">{_table("Last run that ended", (), rows)}</section>'
    every = f'<section class="card">{_table("All runs so far", (), totals)}</section>'
    runs = f'<section class="card">{_runs(recent)}</section>' if recent else ""
    return f'<div class="cards">{one}{every}{_l1(text or b"", found)}</div>\n{runs}'


def _l1(text: bytes, found: dict[str, float]) -> str:
    """The batches on an L1, by where their submission stands; empty if none was looked at."""
    looked = found.get(L1_LAST_LOOK_TIMESTAMP_SECONDS.name, 0.0)
    if looked <= 0:
        return ""
    states = by_label(text, L1_BATCHES.name, "state")
    rows = [(html.escape(state), f"{count:,.0f}") for state, count in states.items() if count]
    rows.append(("as of", moment(looked)))
    return f'<section class="card">{_table("Batches on the L1", (), rows)}</section>'


def _runs(recent: Sequence[RecentRun]) -> str:
    rows = [
        (
            moment(run.started),
            _result(run.exit_status, run.kind),
            f"{run.leaves:,.0f}",
            duration(run.duration_s),
            f"<code>{html.escape(run.run_id[:12])}</code>",
        )
        for run in reversed(recent)
    ]
    return _table("Last runs", ("started", "result", "leaves", "took", "run"), rows)


def _result(status: float, kind: str) -> str:
    executed = ", executed only" if kind == "execute" else ""
    if status == 0:
        return f'<span class="good">ok{executed}</span>'
    return f'<span class="bad">exit status {status:.0f}{executed}</span>'


def _table(title: str, head: Sequence[str], rows: Sequence[tuple[str, ...]]) -> str:
    """An HTML table.

    Args:
        title: the caption.
        head: the headings of the columns; none means a table without a head.
        rows: the cells of each row, of which the first names the row; they are HTML already.
    """
    top = "".join(f'<th scope="col">{name}</th>' for name in head)
    body = "\n".join(
        f'<tr><th scope="row">{row[0]}</th>'
        + "".join(f"<td>{cell}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    thead = f"<thead><tr>{top}</tr></thead>" if head else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{title}">'
        f"<table><caption>{title}</caption>{thead}\n<tbody>{body}</tbody></table></div>"
    )
