"""The samples that perf took, read from its text."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["UNKNOWN", "Frame", "Sample", "complete", "parse"]

UNKNOWN = "[unknown]"
"""What perf calls a function that it has no name for."""

_HEAD = re.compile(r"^\S.*?\s+(?P<pid>\d+)/(?P<tid>\d+)\s+(?P<time>[\d.]+):\s+(?P<period>\d+)\s*$")
_FRAME = re.compile(r"^\s+[0-9a-f]+ (?P<symbol>.*) \((?P<library>[^()]*)\)$")


@dataclass(frozen=True, slots=True)
class Frame:
    """A function: its name, and the library it is in, or ``python``."""

    symbol: str
    library: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One of perf's samples.

    Attributes:
        tid: the kernel's thread id.
        time: seconds of CLOCK_MONOTONIC.
        weight: nanoseconds of CPU it stands for.
        frames: outermost first.
    """

    tid: int
    time: float
    weight: int
    frames: tuple[Frame, ...]


def parse(lines: Iterable[str]) -> Iterator[Sample]:
    """Samples in the output of ``perf script -F comm,pid,tid,time,period,ip,sym,dso``."""
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
    """Samples whose stack was larger than the piece perf keeps, with their outer functions again.

    Such a stack has no known beginning. It is given the one by which its outermost known function
    was reached most often in whole stacks; where none is known, it stays as it is.
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
    """The outermost known function of a stack without a beginning; None for a whole one."""
    if not sample.frames or sample.frames[0].symbol != UNKNOWN:
        return None
    return next((frame for frame in sample.frames if frame.symbol != UNKNOWN), None)
