"""Charts of runs side by side: against the number of leaves, and against the model's figures."""

from __future__ import annotations

from itertools import cycle
from statistics import fmean
from typing import TYPE_CHECKING, TypeAlias

from matplotlib.ticker import FuncFormatter, MaxNLocator

from runner.report.svg import BACK, INK, MUTED, SERIES, figure, plain, styled, svg

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from markupsafe import Markup
    from matplotlib.axes import Axes

    from runner.report.figures import Figures

    _ReferenceLine: TypeAlias = tuple[str, Sequence[Figures], Callable[[Figures], float]]
    """A grey line to compare with: its name, its runs, and a function from a run to its value."""

__all__ = ["MOST_RUNS", "over_leaves", "savings", "side_by_side", "theory"]

WIDTH = 1160
MOST_RUNS = 24
"""The most runs that can be told apart in a chart with one row per run."""

_NUMBER = FuncFormatter(lambda value, _: f"{value:,g}")
_MARKS = "os^Dv*"
_STYLES: tuple[str | tuple[int, tuple[int, ...]], ...] = ("--", "-.", ":", (0, (1, 3)), (0, (6, 3)))
"""The line styles of reference lines, taken in turn; each line's name stands beside it."""
_GAP = 16.0  # The least distance between two names, in pixels.


@styled
def over_leaves(rows: Sequence[Figures]) -> Markup:
    """A chart of wall time, and of receipt bytes where there are any, against leaves.

    Each strategy has a line.

    Args:
        rows: finished runs, all proved or all executed, with at least two numbers of leaves.
    """
    receipts = [row for row in rows if row.bytes_after is not None]
    made, axes = figure(WIDTH if receipts else 700, 340, 2 if receipts else 1)
    verb = "executed" if rows[0].run.executed else "proved"
    _lines(axes[0], rows, lambda row: row.wall_s)
    _titled(axes[0], "Wall time", f"leaves {verb}", "seconds")
    if receipts:
        most = max(max(row.bytes_before or 0, row.bytes_after or 0) for row in receipts)
        unit, name = (1e6, "MB (10⁶ bytes)") if most >= 1e6 else (1e3, "kB (10³ bytes)")
        _lines(
            axes[1],
            receipts,
            lambda row: (row.bytes_after or 0) / unit,
            _before(receipts, "leaf receipts", lambda row: (row.bytes_before or 0) / unit),
            timed=False,
        )
        _titled(axes[1], "Receipt bytes to ship", f"leaves {verb}", name)
    return svg(made, f"Wall time and receipt bytes against leaves {verb}")


@styled
def savings(rows: Sequence[Figures]) -> Markup:
    """A chart of what aggregation saves, measured and by the model, against leaves.

    The savings are those of whoever stores and verifies the receipts.

    Args:
        rows: finished runs with a root, with at least two numbers of leaves.
    """
    made, axes = figure(WIDTH, 340, 2)
    model = ("the model's, not measured", rows, lambda row: _modelled(row, "size_savings_percent"))
    _lines(axes[0], rows, lambda row: _saved(row) or 0.0, [model], timed=False)
    _titled(axes[0], "Size savings", "leaves proved", "% of the leaf receipts' bytes")
    axes[0].axhline(0, color=MUTED, linewidth=1, zorder=0)
    _lines(
        axes[1],
        rows,
        lambda row: _root(row) or 0.0,
        [
            *_before(rows, "all leaves", lambda row: row.leaf_verify_s * 1000),
            ("model, before", rows, lambda row: _modelled(row, "verification_ms_before")),
            ("model, after", rows, lambda row: _modelled(row, "verification_ms_after")),
        ],
        timed=False,
    )
    _titled(axes[1], "Verifying the root, after", "leaves proved", "milliseconds")
    return svg(made, "Size savings and verification time, measured and by the model")


@styled
def side_by_side(rows: Sequence[Figures]) -> Markup:
    """A chart of wall time, and of receipt bytes where there are any, with one bar per run.

    Args:
        rows: finished runs, all proved or all executed, at most ``MOST_RUNS``.
    """
    receipts = any(row.bytes_after is not None for row in rows)
    made, axes = figure(WIDTH, 70 + 26 * len(rows), 2 if receipts else 1)
    at = range(len(rows))
    wall = [row.wall_s for row in rows]
    axes[0].barh(at, wall, 0.6, color=SERIES[0])
    _values(axes[0], wall, [f"{value:,.3g}" for value in wall])
    _rows(axes, rows)
    axes[0].set_title("Wall time")
    axes[0].set_xlabel("seconds")
    if receipts:
        after = [(row.bytes_after or 0) / 1e6 for row in rows]
        before = [(row.bytes_before or 0) / 1e6 for row in rows]
        axes[1].barh(at, after, 0.6, color=SERIES[0])
        axes[1].plot(before, list(at), "|", color=INK, markersize=16, markeredgewidth=2)
        most = [max(pair) for pair in zip(after, before, strict=True)]
        _values(axes[1], most, [f"{value:,.3g}" for value in after])
        axes[1].set_title("Receipt bytes to ship; the line marks the leaf receipts, before")
        axes[1].set_xlabel("MB (10⁶ bytes)")
    for one in axes:
        one.set_xlim(left=0)
    return svg(made, "Wall time and receipt bytes, one bar a run")


@styled
def theory(rows: Sequence[Figures]) -> Markup:
    """A chart of measured figures beside the model's, with one row per run.

    Args:
        rows: finished runs with receipts, at most ``MOST_RUNS``.
    """
    made, axes = figure(WIDTH, 76 + 24 * len(rows), 3)
    panels: list[tuple[str, str, Callable[[Figures], float | None], str, bool]] = [
        ("Size savings", "%", _saved, "model_size_savings_percent", False),
        ("Leaf proofs per second", "1/s, log scale", lambda r: r.per_s, "model_tps", True),
        ("Root verification", "ms", _root, "model_verification_ms_after", False),
    ]
    for one, (title, unit, measured, model, log) in zip(axes, panels, strict=True):
        if log:
            one.set_xscale("log")
            one.minorticks_off()
        one.xaxis.set_major_formatter(_NUMBER)
        for at, row in enumerate(rows):
            ours, theirs = measured(row), float(getattr(row.run.summary, model))
            if log and theirs <= 0:
                continue
            if ours is not None and (ours > 0 or not log):
                one.plot([ours, theirs], [at, at], color=MUTED, linewidth=1, zorder=1)
                one.plot(ours, at, "o", color=SERIES[0], markersize=8)
            one.plot(theirs, at, "D", color=BACK, markeredgecolor=SERIES[1], markeredgewidth=1.5)
        one.set_title(title)
        one.set_xlabel(unit)
        one.margins(x=0.1)
    axes[0].axvline(0, color=MUTED, linewidth=1, zorder=0)
    axes[2].set_xlim(left=0)
    _rows(axes, rows)
    return svg(made, "Measured figures beside the model's")


def _prover(row: Figures) -> str:
    return f"{row.run.versions.get('zkvm', '')} {row.run.kind}".strip()


def _before(
    rows: Sequence[Figures], name: str, value: Callable[[Figures], float]
) -> list[_ReferenceLine]:
    """A reference line per prover, because receipts of different provers differ in size."""
    provers = dict.fromkeys(_prover(row) for row in rows)
    return [
        (
            f"{name}, before" if len(provers) == 1 else f"{name}, before: {prover}",
            [row for row in rows if _prover(row) == prover],
            value,
        )
        for prover in provers
    ]


def _modelled(row: Figures, name: str) -> float:
    return float(getattr(row.run.summary, f"model_{name}"))


def _saved(row: Figures) -> float | None:
    return row.run.summary.size_savings_percent if row.run.summary else None


def _root(row: Figures) -> float | None:
    return row.run.summary.root_verify_s * 1000 if row.run.summary else None


def _rows(axes: Sequence[Axes], rows: Sequence[Figures]) -> None:
    for number, one in enumerate(axes):
        one.set_yticks(range(len(rows)), [row.label if number == 0 else "" for row in rows])
        one.set_ylim(len(rows) - 0.5, -0.5)
        one.tick_params(axis="y", labelcolor=INK)
        plain(one, x=number == 0)


def _values(axes: Axes, ends: Sequence[float], texts: Sequence[str]) -> None:
    for at, (end, text) in enumerate(zip(ends, texts, strict=True)):
        axes.annotate(text, (end, at), (6, 0), textcoords="offset points", va="center")


def _titled(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.yaxis.set_major_formatter(_NUMBER)


def _lines(
    axes: Axes,
    rows: Sequence[Figures],
    value: Callable[[Figures], float],
    references: Sequence[_ReferenceLine] = (),
    *,
    timed: bool = True,
) -> None:
    """Draw a mark per run, and lines through the means.

    Runs that took receipts from the cache have hollow marks and are on no line. Each line has its
    name at its end. With more series than there are colours, the runs of a strategy share a mark
    and have no line, because a line would suggest that they are comparable.

    Args:
        axes: the axes to draw in.
        rows: the runs to show.
        value: a function from a run to the value that is shown.
        references: the reference lines to draw besides.
        timed: whether the value depends on how long proving took. Where it does not, receipts from
            the cache do not change it, so the lines count all runs.
    """
    names = {row.series: row.series_name for row in rows}
    lines = len(names) <= len(SERIES)
    if not lines:
        names = {row.series[:1]: row.run.plan.strategy for row in rows}
    ends: list[tuple[float, float, str]] = []
    for (name, points, reference), style in zip(references, cycle(_STYLES), strict=False):
        ends.append((*_line(axes, points, reference, MUTED, style), name))
    for number, (series, name) in enumerate(names.items()):
        own = [row for row in rows if series == (row.series if lines else row.series[:1])]
        colour = SERIES[number % len(SERIES)]
        fresh = [row for row in own if not (timed and row.cached)]
        if lines and fresh:
            _line(axes, fresh, value, colour, "-")
        for row in own:
            face = BACK if timed and row.cached else colour
            axes.plot(
                row.leaves,
                value(row),
                _MARKS[number % len(_MARKS)],
                color=face,
                markeredgecolor=colour,
                zorder=3,
            )
        last = max(own, key=lambda row: row.leaves)
        ends.append((last.leaves, value(last), name))
    _end_names(axes, ends)


def _line(
    axes: Axes,
    rows: Sequence[Figures],
    value: Callable[[Figures], float],
    colour: str,
    style: str | tuple[int, tuple[int, ...]],
) -> tuple[float, float]:
    """Draw a line through the mean at each number of leaves, and return the line's end."""
    points = [
        (leaves, fmean(value(row) for row in rows if row.leaves == leaves))
        for leaves in sorted({row.leaves for row in rows})
    ]
    xs, ys = zip(*points, strict=True)
    axes.plot(xs, ys, linestyle=style, color=colour, zorder=2)
    return points[-1]


def _end_names(axes: Axes, ends: list[tuple[float, float, str]]) -> None:
    """Put names to the right of the lines' ends, moved apart where they would overlap."""
    if not ends:
        return
    axes.set_ylim(bottom=0 if min(y for _, y, _ in ends) >= 0 else None)
    axes.get_figure(root=True).draw_without_rendering()  # type: ignore[union-attr]  # this lays the axes out
    height, (bottom, top) = axes.get_window_extent().height, axes.get_ylim()
    last: dict[float, float] = {}
    for x, y, name in sorted(ends, key=lambda end: end[1]):
        wanted = (y - bottom) / (top - bottom) * height
        at = last[x] = max(wanted, last.get(x, -_GAP) + _GAP)
        axes.annotate(
            name, (x, y), (10, at - wanted), textcoords="offset points", va="center", color=INK
        )
