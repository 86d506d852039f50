"""Shows the hot functions as Markdown tables."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from profiling.samples import Frame

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["KINDS", "by_kind", "markdown", "self_time", "shares", "short", "whole_time"]

KINDS = ("leaf", "aggregation")
"""The two kinds of proof: the names of the functions that :mod:`profiling.engine` runs them in."""

_TRAIT = re.compile(r"^<(.+?) as .+>::")
_WIDEST = 90
_NUMBERED = re.compile(r"(?<=_)\d+$")


def by_kind(stacks: Mapping[tuple[Frame, ...], int]) -> dict[str, Counter[tuple[Frame, ...]]]:
    """Sort the stacks by kind of proof; all others are ``the rest of the run``."""
    found: dict[str, Counter[tuple[Frame, ...]]] = {name: Counter() for name in KINDS}
    rest = found.setdefault("the rest of the run", Counter())
    marks = {f"profiling.engine.{name}": found[name] for name in KINDS}
    for stack, weight in stacks.items():
        kind = next((marks[frame.symbol] for frame in stack if frame.symbol in marks), rest)
        kind[stack] += weight
    return found


def self_time(stacks: Mapping[tuple[Frame, ...], int]) -> Counter[Frame]:
    """Add up weights by innermost function.

    Functions whose names differ only by a number at the end count as one.
    """
    total: Counter[Frame] = Counter()
    for stack, weight in stacks.items():
        if stack:
            total[_joined(stack[-1])] += weight
    return total


def whole_time(stacks: Mapping[tuple[Frame, ...], int]) -> Counter[Frame]:
    """Add up weights by native function, with everything that the function calls."""
    total: Counter[Frame] = Counter()
    for stack, weight in stacks.items():
        for frame in {_joined(frame) for frame in stack if frame.library.endswith(".so")}:
            total[frame] += weight
    return total


def _joined(frame: Frame) -> Frame:
    return Frame(_NUMBERED.sub("N", frame.symbol), frame.library)


def shares(
    kinds: Mapping[str, Mapping[tuple[Frame, ...], int]],
    measure: Callable[[Mapping[tuple[Frame, ...], int]], Counter[Frame]] = self_time,
    count: int = 20,
) -> list[tuple[Frame, list[float]]]:
    """List the functions with the largest shares, with their share of each kind in percent."""
    times = [measure(stacks) for stacks in kinds.values()]
    sums = [max(1, sum(stacks.values())) for stacks in kinds.values()]
    functions = {frame for total in times for frame in total}
    rows = [
        (frame, [100 * time[frame] / all_ for time, all_ in zip(times, sums, strict=True)])
        for frame in functions
    ]
    rows.sort(key=lambda row: (-max(row[1]), row[0].symbol, row[0].library))
    return rows[:count]


def short(symbol: str) -> str:
    """Shorten a name so that it fits into a table, and leave out the trait of a method."""
    name = _TRAIT.sub(r"\1::", symbol)
    return name if len(name) <= _WIDEST else f"{name[: _WIDEST - 3]}..."


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table whose first column is text and whose other columns are figures."""
    lines = [f"| {' | '.join(head)} |", f"| --- |{' ---: |' * (len(head) - 1)}"]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"
