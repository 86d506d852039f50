"""The hot functions as Markdown: shares of self time."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from profiling.samples import Frame

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["KINDS", "by_kind", "markdown", "self_time", "shares", "short", "whole_time"]

KINDS = ("leaf", "aggregation")
"""The two kinds of proof, by the Python functions that :mod:`profiling.engine` runs them in."""

_TRAIT = re.compile(r"^<(.+?) as .+>::")
_WIDEST = 90
_NUMBERED = re.compile(r"(?<=_)\d+$")


def by_kind(stacks: Mapping[tuple[Frame, ...], int]) -> dict[str, Counter[tuple[Frame, ...]]]:
    """The stacks of each kind of proof; what belongs to none is ``the rest of the run``."""
    found: dict[str, Counter[tuple[Frame, ...]]] = {name: Counter() for name in KINDS}
    rest = found.setdefault("the rest of the run", Counter())
    marks = {f"profiling.engine.{name}": found[name] for name in KINDS}
    for stack, weight in stacks.items():
        kind = next((marks[frame.symbol] for frame in stack if frame.symbol in marks), rest)
        kind[stack] += weight
    return found


def self_time(stacks: Mapping[tuple[Frame, ...], int]) -> Counter[Frame]:
    """Weight by innermost function; functions that differ by a number at the end are one."""
    total: Counter[Frame] = Counter()
    for stack, weight in stacks.items():
        if stack:
            total[_joined(stack[-1])] += weight
    return total


def whole_time(stacks: Mapping[tuple[Frame, ...], int]) -> Counter[Frame]:
    """Weight by function, with all that it calls; native functions only."""
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
    """The functions with the largest share of any kind, and their share of each, in percent."""
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
    """A name that fits into a table: without the trait a method is of, and cut."""
    name = _TRAIT.sub(r"\1::", symbol)
    return name if len(name) <= _WIDEST else f"{name[: _WIDEST - 3]}..."


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; the first column is text, code where it says so itself, the rest are figures."""
    lines = [f"| {' | '.join(head)} |", f"| --- |{' ---: |' * (len(head) - 1)}"]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"
