"""Runs side by side, as tables for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runner.report.figures import Figures, Runs

__all__ = ["table"]

MOST_ROWS = 60
_SETTINGS = 4


def table(runs: Runs) -> Iterator[Table | Text]:
    """Tables of proved and of executed runs, kept apart, and then what went wrong in any run."""
    for rows in (runs.proved, runs.executed):
        if rows:
            yield _results(rows)
            yield _phases(rows)
        if len(rows) > MOST_ROWS:
            yield Text(f"{len(rows) - MOST_ROWS} more runs are on the page")
    for row in runs.all:
        if row.run.error:
            yield Text(f"run {row.name} {row.run.status}: {row.run.error}", style="red")
    for lost in runs.lost:
        words = f": {lost.last_words}" if lost.last_words else ""
        said = f"run {lost.name} left no result ({' '.join(lost.overrides)}){words}"
        yield Text(said, style="red")


def _results(rows: tuple[Figures, ...]) -> Table:
    executed = rows[0].run.executed
    title = "Executed only: NOTHING PROVED (prover=execute)" if executed else "Proved"
    grid = _grid(title)
    grid.add_column("run", overflow="fold")
    shown = list(rows[0].settings)[:_SETTINGS]
    for name in shown:
        group, _, last = name.rpartition(".")
        grid.add_column(Text(group if last == "name" else last), overflow="fold")
    grid.add_column("result")
    numbers = ["leaves", "wall s", "leaves/s" if executed else "proofs/s", "cached"]
    if not executed:
        numbers += ["bytes before", "bytes after", "saved %", "by model %"]
    for name in numbers:
        grid.add_column(name, justify="right")
    for row in rows[:MOST_ROWS]:
        numbers = [f"{row.leaves:,}", _figure(row.wall_s), _figure(row.per_s), f"{row.cached:,}"]
        if not executed:
            summary = row.run.summary
            numbers += [
                _count(row.bytes_before),
                _count(row.bytes_after),
                _percent(summary.size_savings_percent if summary else None),
                _percent(summary.model_size_savings_percent if summary else None),
            ]
        _add(grid, [row.name, *(row.settings[name] for name in shown), row.run.status, *numbers])
    return grid


def _phases(rows: tuple[Figures, ...]) -> Table:
    levels = max(row.run.plan.levels for row in rows)
    grid = _grid("Seconds by phase, summed over workers, and cycles")
    grid.add_column("run", overflow="fold")
    names = ["leaves", *(f"level {level}" for level in range(1, levels + 1))]
    for name in (*names, "look-up", "verification", "cycles"):
        grid.add_column(name, justify="right")
    for row in rows[:MOST_ROWS]:
        by_level = [*row.level_s, *([None] * (levels + 1 - len(row.level_s)))]
        seconds = [_figure(value) for value in (*by_level, row.lookup_s, row.verify_s)]
        _add(grid, [row.name, *seconds, _count(row.total_cycles)])
    return grid


def _grid(title: str) -> Table:
    return Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)


def _add(grid: Table, cells: list[str]) -> None:
    # Text() keeps rich from reading a file's text as markup.
    grid.add_row(*(Text(cell) for cell in cells))


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _count(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
