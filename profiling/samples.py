"""Reads the samples that perf took from the text that it prints."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["UNKNOWN", "Frame", "Sample", "complete", "parse"]

UNKNOWN = "[unknown]"
"""The name that perf gives to a function it has no name for."""

_HEAD = re.compile(r"^\S.*?\s+(?P<pid>\d+)/(?P<tid>\d+)\s+(?P<time>[\d.]+):\s+(?P<period>\d+)\s*$")
_FRAME = re.compile(r"^\s+[0-9a-f]+ (?P<symbol>.*) \((?P<library>[^()]*)\)$")


@dataclass(frozen=True, slots=True)
class Frame:
    """A function on a stack.

    Attributes:
        symbol: the name of the function.
        library: the library that holds it, or ``python``.
    """

    symbol: str
    library: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample of perf.

    Attributes:
        tid: the id that the operating system gives to the thread.
        time: the time of the sample, in seconds of CLOCK_MONOTONIC.
        weight: the nanoseconds of CPU that the sample stands for.
        frames: the stack, outermost function first.
    """

    tid: int
    time: float
    weight: int
    frames: tuple[Frame, ...]


def parse(lines: Iterable[str]) -> Iterator[Sample]:
    """Read the output of ``perf script -F comm,pid,tid,time,period,ip,sym,dso``."""
    head: re.Match[str] | None = None
    frames: list[Frame] = []
    for line in lines:
        if found := _FRAME.match(line):
            library = found["library"].rpartition("/")[2]
            frames.append(Frame(found["symbol"], library))
        elif found := _HEAD.match(line):
            head = found
        elif head is not None and not line.strip():
            yield _sample(head, frames)
            head, frames = None, []
    if head is not None:
        yield _sample(head, frames)


def _sample(head: re.Match[str], frames: list[Frame]) -> Sample:
    stack = tuple(reversed(frames))
    return Sample(int(head["tid"]), float(head["time"]), int(head["period"]), stack)


def complete(samples: Sequence[Sample]) -> list[Sample]:
    """Give stacks that were cut short their outer functions back.

    A stack that is larger than the piece perf keeps has no known beginning. It gets the beginning
    by which its outermost known function was reached most often in whole stacks. Where no whole
    stack has that function, the stack stays as it is.
    """
    cut = {outer for sample in samples if (outer := _cut_below(sample)) is not None}
    ways: dict[Frame, Counter[tuple[Frame, ...]]] = {frame: Counter() for frame in cut}
    for sample in samples:
        if _cut_below(sample) is None:
            for frame in cut.intersection(sample.frames):
                ways[frame][sample.frames[: sample.frames.index(frame)]] += 1
    whole = []
    for sample in samples:
        outer = _cut_below(sample)
        if outer is not None and ways[outer]:
            [(above, _)] = ways[outer].most_common(1)
            inner = sample.frames[sample.frames.index(outer) :]
            whole.append(replace(sample, frames=above + inner))
        else:
            whole.append(sample)
    return whole


def _cut_below(sample: Sample) -> Frame | None:
    """Return the outermost known function of a stack that was cut short; None for a whole one."""
    if not sample.frames or sample.frames[0].symbol != UNKNOWN:
        return None
    return next((frame for frame in sample.frames if frame.symbol != UNKNOWN), None)
