"""The pages of runs and sweeps: each is one HTML file that loads nothing else."""

from __future__ import annotations

import os
import re
import shlex
from collections import Counter
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import jinja2
from markupsafe import Markup, escape

import runner
from runner.folder import LEAVES, RECEIPTS, REPORT, RESULT, ROOT, SUMS
from runner.plan.savings_model import RECEIPT_BYTES, VERIFICATION_MS
from runner.report.charts import MOST_RUNS, over_leaves, savings, side_by_side, theory
from runner.report.figures import figures, units
from runner.report.leaves import first_leaves
from runner.report.run_charts import timeline, tree
from runner.report.svg import CACHED_NAME, LEVEL_NAMES
from runner.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runner.report.figures import Figures, Runs
    from runner.report.read import RunRecord

__all__ = ["run_page", "sweep_page"]

TEMPLATES = Path(__file__).parent / "templates"
_SLOWEST = 10
_LEAVES = 50
_BREAKS = re.compile(r"(?<=[A-Za-z_])\.(?=[A-Za-z_])|/")
_SETTINGS = 6  # The settings that get a column; with more the table would not fit on a screen.
_MODEL_SAYS = (
    "The model knows only how many leaves there are: to it every receipt has"
    f" {RECEIPT_BYTES:,} bytes and takes {VERIFICATION_MS} ms to verify, and proving takes no time."
)


def sweep_page(runs: Runs, to: Path) -> bytes:
    """The page of runs side by side.

    Args:
        runs: the runs that the page shows.
        to: the page's path, from which its links are made.
    """
    counts = Counter(row.run.status for row in runs.all)
    machines = {_machine(row.run) for row in runs.all}
    return _render(
        "sweep.html",
        title="Sweep report",
        runs=runs,
        counts=", ".join(f"{number} {status}" for status, number in counts.most_common()) or "none",
        machines="; ".join(sorted(machines)[:3]) + ("; and others" if len(machines) > 3 else ""),
        links={row.name: _run_link(row.run.folder, to) for row in runs.all},
        sections=[_section(rows) for rows in (runs.proved, runs.executed) if rows],
    )


def run_page(run: RunRecord, to: Path) -> bytes:
    """The page of one run.

    Args:
        run: the run that the page shows.
        to: the page's path, from which its links are made.
    """
    row = figures(run)
    made = [job for job in run.jobs if not job.cached]
    return _render(
        "run.html",
        title=f"Run {row.name}",
        row=row,
        badge=_badge(run),
        tree=tree(run),
        tree_says=_tree_says(run),
        timeline=timeline(run) if run.jobs else None,
        phases=list(_phases(row)),
        slowest=sorted(made, key=lambda job: job.started - job.finished)[:_SLOWEST],
        long_runs=sorted(
            (job for job in made if job.segments_proved_apart or job.segments_halved),
            key=lambda job: -job.total_cycles,
        )[:_SLOWEST],
        retried=[job for job in made if job.attempts > 1][:_SLOWEST],
        gpu_failures=[job for job in made if job.gpu and job.gpu.error][:_SLOWEST],
        missing=_missing(run),
        leaves=first_leaves(run.folder, _LEAVES),
        command=_command(run),
        commands=_commands(run),
        files=list(_files(run.folder, to)),
    )


# -- parts of a sweep's page ----------------------------------------------------------------------


def _section(rows: tuple[Figures, ...]) -> dict[str, Any]:
    """The section for runs that can be compared: all of them proved, or all executed."""
    executed = rows[0].run.executed
    done = [row for row in rows if row.run.ok]
    kinds = ", ".join(dict.fromkeys(row.run.kind for row in rows))
    counts = {row.leaves for row in done}
    longest = max(done, key=lambda row: row.wall_s, default=None)
    aggregated = [row for row in done if row.run.plan.levels and not executed][:MOST_RUNS]
    shown = f"The first {MOST_RUNS} runs. " if len(done) > MOST_RUNS else ""
    section: dict[str, Any] = {
        "title": "Executed only" if executed else f"Proved: {kinds} receipts",
        "executed": executed,
        "rows": rows,
        "settings": list(rows[0].settings)[:_SETTINGS],
        "more_settings": list(rows[0].settings)[_SETTINGS:],
        "units": units(rows),
        "levels": max(row.run.plan.levels for row in rows),
        "longest": longest,
        "timeline": timeline(longest.run) if longest and longest.run.jobs else None,
        "theory": theory(aggregated) if aggregated else None,
        "theory_says": f"{shown}{_MODEL_SAYS}",
        "over": None,
        "savings": None,
    }
    saving = [
        row
        for row in aggregated
        if row.run.summary and row.run.summary.size_savings_percent is not None
    ]
    if len({row.leaves for row in saving}) > 1:
        section["savings"] = savings(saving)
    if len(counts) > 1:
        section["over"] = over_leaves(done)
        section["over_says"] = _over_says(done)
    elif done:
        section["over"] = side_by_side(done[:MOST_RUNS])
        section["over_says"] = f"{shown}All runs have {done[0].leaves:,} leaves."
    return section


def _over_says(done: Sequence[Figures]) -> str:
    words = "A mark is a run, a line goes through the mean at each number of leaves."
    if any(row.cached for row in done):
        words += " Hollow marks had receipts from the cache: their times are on no line."
    return words


def _machine(run: RunRecord) -> str:
    zkvm = " ".join(run.versions.get(name, "") for name in ("zkvm", "zkvm_version"))
    parts = [zkvm, run.machine.get("cpu", ""), f"{run.machine.get('cores', '?')} cores"]
    return ", ".join(part for part in parts if part.strip())


def _run_link(folder: Path, to: Path) -> str | None:
    for name in (REPORT, RESULT):
        path = folder / name
        if path.is_file() and path.absolute() != to.absolute():
            return _link(path, to)
    return None


# -- parts of a run's page ------------------------------------------------------------------------


def _badge(run: RunRecord) -> str:
    if not run.ok:
        return run.status
    return "executed, nothing proved" if run.executed else "verified when it was made"


def _tree_says(run: RunRecord) -> str:
    words = "A box is as wide as the leaves it covers; the root is on top."
    if run.plan.root is None:
        return "Nothing is aggregated: each leaf keeps its receipt."
    if len(run.jobs) < run.plan.jobs:
        words += " Dashed boxes were not finished."
    return words


def _phases(row: Figures) -> Iterator[dict[str, Any]]:
    made = Counter(job.level for job in row.run.jobs if not job.cached)
    for level, seconds in enumerate(row.level_s):
        name = f"aggregations, level {level}" if level else "leaves"
        yield {"name": name, "jobs": made[level], "seconds": seconds}
    if row.used_gpus:
        yield {"name": "of all proofs, on a GPU", "jobs": row.gpu_proofs, "seconds": row.gpu_s}
    yield {"name": "cache look-ups that found one", "jobs": row.cached, "seconds": row.lookup_s}
    checked = sum(job.verifications for job in row.run.jobs)
    checked += 1 if row.run.summary and row.run.summary.root_verify_s else 0
    yield {"name": "verification of receipts", "jobs": checked, "seconds": row.verify_s}


def _missing(run: RunRecord) -> list[tuple[str, int]]:
    done = Counter(job.level for job in run.jobs)
    due = Counter(node.level for node in run.plan.aggregations)
    due[0] = run.plan.leaf_jobs
    return [
        (f"aggregations, level {level}" if level else "leaves", due[level] - done[level])
        for level in sorted(due)
        if due[level] > done[level]
    ]


def _command(run: RunRecord) -> str:
    first, *words = run.command or ("",)
    said = "python -m runner" if first.endswith("/runner/__main__.py") else shlex.quote(first)
    return f"{said} {shlex.join(words)}".strip()


def _commands(run: RunRecord) -> list[str]:
    if run.executed or not run.ok:
        return []
    here, folder = Path.cwd(), run.folder.absolute()
    shown = folder.relative_to(here) if folder.is_relative_to(here) else folder
    place = visible(shlex.quote(str(shown)))
    lines = [f"python -m runner.verify {place}"]
    if run.plan.root is not None:
        root = visible(shlex.quote(str(shown / ROOT)))
        lines.append(f"python -m runner.verify {place} --leaf 0 --out proof.json")
        lines.append(f"python -m runner.inclusion proof.json --receipt {root}")
    return lines


def _files(folder: Path, to: Path) -> Iterator[tuple[str, str]]:
    """The files in a run's folder, by names known here; those in the record are not trusted."""
    names = (ROOT, RECEIPTS, LEAVES, RESULT, SUMS)
    for name in (*names, "run.log", "metrics.prom"):
        path = folder / name
        if path.exists():
            yield (f"{name}/" if path.is_dir() else name), _link(path, to)


# -- parts of both pages --------------------------------------------------------------------------


def _link(path: Path, to: Path) -> str:
    relative = os.path.relpath(path.absolute(), to.absolute().parent)
    # Without the "./", a browser would take a first part that has a colon for a URL scheme.
    return quote(os.fsencode(f"./{relative}" if not relative.startswith(".") else relative))


def _render(name: str, **values: Any) -> bytes:  # noqa: ANN401  # values of any type
    text = _environment().get_template(name).render(version=runner.__version__, **values)
    return text.encode()


@cache
def _environment() -> jinja2.Environment:
    """The templates, which are compiled once for all pages of a process."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": _count,
        "figure": _figure,
        "percent": lambda value: "" if value is None else f"{value:.1f}",
        "moment": lambda value: f"{datetime.fromtimestamp(value, UTC):%Y-%m-%d %H:%M:%S} UTC",
        "short": lambda text: text if len(text) <= 40 else f"{text[:37]}...",
    }
    environment.filters["breakable"] = _breakable
    environment.globals["swatches"] = _swatches
    return environment


def _swatches(run: RunRecord) -> list[tuple[str, str]]:
    shown = [
        (f"level {level}" if level else "leaf", LEVEL_NAMES[min(level, len(LEVEL_NAMES) - 1)])
        for level in range(run.plan.levels + 1)
    ]
    if any(job.cached for job in run.jobs):
        shown.append(("from cache", CACHED_NAME))
    return shown


def _breakable(text: str) -> Markup:
    """A path or a dotted name that the browser may break between its parts."""
    return Markup(_BREAKS.sub(r"\g<0><wbr>", str(escape(text))))  # noqa: S704  # the text is escaped


def _count(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _figure(value: float | None) -> str:
    """A number with three significant digits, and an exponent only if it is tiny."""
    if value is None:
        return ""
    if value and abs(value) < 1e-4:
        return f"{value:.1e}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
