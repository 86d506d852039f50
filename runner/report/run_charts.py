"""Pictures of one run: its plan as a tree, and its jobs on their workers over time."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from matplotlib.ticker import MaxNLocator

from runner.report.svg import (
    CACHED,
    INK,
    LEVELS,
    MUTED,
    ON_LEAF,
    ON_OTHER,
    figure,
    plain,
    styled,
    svg,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from markupsafe import Markup
    from matplotlib.axes import Axes

    from runner.report.read import JobRow, RunRecord

__all__ = ["timeline", "tree"]

WIDTH = 1160
"""Of a picture, in CSS pixels; its axes have ``_INNER`` of them, beside the rows' names."""

_INNER = 940
_LETTER = 7.0  # pixels a letter takes, on average
_NARROW = 3.0  # pixels; boxes narrower than that and alike are one
_LINKS = 80  # lines to more children than that across the picture are a surface
_HALF = 0.3  # of a box's height, in levels
_ROWS = 48  # workers with a name of their own


@styled
def tree(run: RunRecord) -> Markup:
    """The plan as a tree, the root on top and every node as wide as the leaves it covers.

    Neighbours that would be narrower than three pixels and are in the same state are one block, so
    the picture stays small and readable whatever the size of the batch.
    """
    plan, rows = run.plan, {job.id: job for job in run.jobs}
    levels: list[list[_Node]] = [[] for _ in range(plan.levels + 1)]
    made, (axes,) = figure(WIDTH, 64 + 52 * len(levels))
    scale = _INNER / len(plan.leaves)
    for node, children in _nodes(run):
        levels[node.level].append(node)
        _link(axes, node, children, scale)
    for level, nodes in enumerate(levels):
        _boxes(axes, level, nodes, rows, scale)
    axes.set_xlim(0, len(plan.leaves))
    axes.set_ylim(-0.5, plan.levels + 0.5)
    axes.set_yticks(range(plan.levels + 1), [_level_name(run, n) for n in range(plan.levels + 1)])
    axes.tick_params(axis="y", labelcolor=INK)
    axes.xaxis.set_major_locator(MaxNLocator(10, integer=True))
    axes.set_xlabel("position in the batch (leaves)")
    plain(axes)
    axes.grid(visible=False)
    return svg(made, f"Plan: {plan.strategy}, {len(plan.leaves)} leaves, {plan.levels} levels")


class _Node(NamedTuple):
    """A node where it stands: ``start`` and ``width`` in leaves, ``group`` its parent's number."""

    start: int
    width: int
    job: int
    level: int
    group: int


def _nodes(run: RunRecord) -> Iterator[tuple[_Node, list[_Node]]]:
    """Every node with its children, parents first."""
    plan = run.plan
    if plan.root is None:
        for position, job in enumerate(plan.leaves):
            yield _Node(position, 1, job, 0, 0), []
        return
    counts, group = plan.leaf_counts(), 0
    todo = [_Node(0, len(plan.leaves), plan.root, plan.levels, group)]
    while todo:
        node, children = todo.pop(), []
        if node.job >= plan.leaf_jobs:
            group, at = group + 1, node.start
            for child in plan.aggregation(node.job).children:
                level = plan.aggregation(child).level if child >= plan.leaf_jobs else 0
                children.append(_Node(at, counts[child], child, level, group))
                at += counts[child]
        yield node, children
        todo.extend(children)


def _link(axes: Axes, node: _Node, children: list[_Node], scale: float) -> None:
    """Lines from a parent to its children; one thin wedge where they could not be told apart."""
    x, y = node.start + node.width / 2, node.level - _HALF
    if children and node.width * scale / len(children) < _INNER / _LINKS:
        end, top = node.start + node.width, min(child.level for child in children) + _HALF
        axes.fill([x, node.start, end], [y, top, top], color=MUTED, alpha=0.3, zorder=0, lw=0)
        return
    for child in children:
        to = child.start + child.width / 2
        axes.plot([x, to], [y, child.level + _HALF], color=MUTED, linewidth=0.8, zorder=0)


def _boxes(
    axes: Axes, level: int, nodes: list[_Node], rows: dict[int, JobRow], scale: float
) -> None:
    spans: dict[str, list[tuple[float, float]]] = {"made": [], "cached": [], "missing": []}
    last: tuple[str, int] | None = None
    for node in sorted(nodes):
        row, pixels = rows.get(node.job), node.width * scale
        state = _state(row)
        if pixels < _NARROW and last == (state, node.group):
            left, whole = spans[state][-1]
            spans[state][-1] = (left, whole + node.width)
        else:
            inset = min(0.06 * node.width, 3 / scale) if pixels >= _NARROW else 0.0
            spans[state].append((node.start + inset, node.width - 2 * inset))
        last = (state, node.group)
        name = _box_name(node, row, pixels)
        if name:
            colour = MUTED if state == "missing" else _on(level, cached=state == "cached")
            _name(axes, node.start + node.width / 2, level, name, colour)
    colour, at = LEVELS[min(level, len(LEVELS) - 1)], (level - _HALF, 2 * _HALF)
    axes.broken_barh(spans["made"], at, facecolor=colour, linewidth=0)
    axes.broken_barh(spans["cached"], at, facecolor=CACHED, linewidth=0)
    axes.broken_barh(
        spans["missing"], at, facecolor="none", edgecolor=MUTED, linewidth=1, linestyle=(0, (3, 2))
    )


def _state(row: JobRow | None) -> str:
    if row is None:
        return "missing"
    return "cached" if row.cached else "made"


def _on(level: int, *, cached: bool) -> str:
    return ON_OTHER if level or cached else ON_LEAF


def _name(axes: Axes, x: float, y: float, name: str, colour: str) -> None:
    axes.text(x, y, name, ha="center", va="center", color=colour, fontsize=11)


def _box_name(node: _Node, row: JobRow | None, pixels: float) -> str:
    """As much of a name as fits."""
    job, again = node.job, f" x{row.attempts}" if row and row.attempts > 1 else ""
    long = f"aggregation {job}{again}" if node.level else f"leaf {job}{again}"
    for name in (long, f"{job}{again}", str(job)):
        if len(name) * _LETTER < pixels - 6:
            return name
    return ""


def _level_name(run: RunRecord, level: int) -> str:
    plan = run.plan
    if level == 0:
        same = "" if plan.leaf_jobs == len(plan.leaves) else f"\n{plan.leaf_jobs:,} distinct"
        return f"{_count(len(plan.leaves), 'leaf', 'leaves')}{same}"
    nodes = [node for node in plan.aggregations if node.level == level]
    sizes = sorted({len(node.children) for node in nodes})
    fan_in = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    return f"level {level}: {_count(len(nodes), 'aggregation', 'aggregations')}\nfan-in {fan_in}"


def _count(number: int, one: str, more: str) -> str:
    return f"{number:,} {one if number == 1 else more}"


@styled
def timeline(run: RunRecord) -> Markup:
    """Which worker had which job when, in seconds since the run was started."""
    first: dict[int, int] = {}
    for job in sorted(run.jobs, key=lambda job: job.started):
        first.setdefault(0 if job.cached else job.worker, len(first))
    order = sorted(first, key=lambda worker: (worker == 0, first[worker]))
    named = len(order) <= _ROWS
    height = 26 * len(order) if named else max(26 * _ROWS, 3 * len(order))
    made, (axes,) = figure(WIDTH, 62 + height)
    end = max([job.finished - run.started for job in run.jobs], default=1.0)
    for row, worker in enumerate(order):
        own = [j for j in run.jobs if (0 if j.cached else j.worker) == worker]
        for level, spans in _bars(own, run.started, end / _INNER).items():
            cached = worker == 0
            colour = CACHED if cached else LEVELS[min(level, len(LEVELS) - 1)]
            bars = [(start, length) for start, length, _ in spans]
            axes.broken_barh(bars, (row - 0.4, 0.8), facecolor=colour, linewidth=0)
            for start, length, name in spans:
                if named and name and len(name) * _LETTER < length / end * _INNER - 6:
                    _name(axes, start + length / 2, row, name, _on(level, cached=cached))
    names = ["cache" if worker == 0 else f"worker {worker}" for worker in order]
    axes.set_yticks(range(len(order)) if named else [], names if named else [])
    if not named:
        axes.set_ylabel(f"{len(order)} workers")
    axes.set_ylim(len(order) - 0.5, -0.5)
    axes.set_xlim(0, max(end, 1e-3))
    axes.set_xlabel("seconds since the run was started")
    axes.tick_params(axis="y", labelcolor=INK)
    plain(axes)
    return svg(made, f"Timeline of {len(run.jobs)} jobs on {len(order)} workers")


def _bars(
    jobs: list[JobRow], zero: float, pixel: float
) -> dict[int, list[tuple[float, float, str]]]:
    """Bars by level: start, length, name; bars of a pixel or two with no gap between are one."""
    found: dict[int, list[tuple[float, float, str]]] = {}
    jobs = sorted(jobs, key=lambda job: job.started)
    kinds = Counter(job.level for job in jobs)
    for job in jobs:
        bars = found.setdefault(job.level, [])
        # No job is lost, and a look-up, which takes no time to speak of, is seen.
        least = 2 * pixel if job.cached else pixel / 2
        start, length = job.started - zero, max(job.finished - job.started, least)
        if bars and kinds[job.level] > 200:
            left, whole, _ = bars[-1]
            if length < 2 * pixel and start - (left + whole) < pixel / 2:
                bars[-1] = (left, max(whole, start + length - left), "")
                continue
        bars.append((start, length, job.name if job.level == 0 else f"agg {job.id}"))
    return found
