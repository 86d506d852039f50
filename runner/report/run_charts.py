"""Charts of one run: its plan as a tree, and its jobs on their workers over time."""

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
"""The width of a chart in CSS pixels; its axes have ``_INNER`` of them, beside the row names."""

_INNER = 940
_LETTER = 7.0  # The average width of a letter in pixels.
_NARROW = 3.0  # Boxes of the same state that are narrower than this, in pixels, are drawn as one.
_LINKS = 80  # With more children than this across the chart, lines to them become a wedge.
_HALF = 0.3  # Half the height of a box, where 1 is the distance between two levels.
_ROWS = 48  # The most workers that are named.


@styled
def tree(run: RunRecord) -> Markup:
    """A chart of the plan as a tree: the root is on top, each node as wide as the leaves it covers.

    Neighbours that are in the same state and would be narrower than three pixels are drawn as one
    block, so the chart stays small and readable whatever the size of the batch.
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
    """A node of the tree at its place.

    Attributes:
        start: the position of the first leaf that the node covers.
        width: how many leaves the node covers.
        job: the id of the node's job.
        level: the node's level, 0 for a leaf.
        group: the number of the node's parent, which siblings share.
    """

    start: int
    width: int
    job: int
    level: int
    group: int


def _nodes(run: RunRecord) -> Iterator[tuple[_Node, list[_Node]]]:
    """Every node together with its children; parents come before their children."""
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
    """Draw lines from a parent to its children, or one wedge where lines would run together."""
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
    """The longest form of a node's name that fits into its box."""
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
    """A chart of which worker had which job when, in seconds since the start of the run."""
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
    """The bars of one worker by level; bars of a pixel or two without a gap between are one.

    Args:
        jobs: the jobs of the worker.
        zero: the Unix time at which the chart starts.
        pixel: the seconds that one pixel stands for.

    Returns:
        The start, the length and the name of each bar, in seconds since the chart's start.
    """
    found: dict[int, list[tuple[float, float, str]]] = {}
    jobs = sorted(jobs, key=lambda job: job.started)
    kinds = Counter(job.level for job in jobs)
    for job in jobs:
        bars = found.setdefault(job.level, [])
        # The least length keeps every job visible, also a look-up, which takes almost no time.
        least = 2 * pixel if job.cached else pixel / 2
        start, length = job.started - zero, max(job.finished - job.started, least)
        if bars and kinds[job.level] > 200:
            left, whole, _ = bars[-1]
            if length < 2 * pixel and start - (left + whole) < pixel / 2:
                bars[-1] = (left, max(whole, start + length - left), "")
                continue
        bars.append((start, length, job.name if job.level == 0 else f"agg {job.id}"))
    return found
