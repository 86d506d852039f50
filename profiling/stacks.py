"""Joins the samples of two profilers: what Python asked for, and what native code did for it.

perf sees every thread of the process, but of Python 3.11 it sees only the interpreter's own
functions. The sampler inside the process (:mod:`profiling.sampler`) sees nothing but Python. Both
use the same clock, so each sample of perf can be put under the Python stack of its moment. A thread
that runs no Python, such as those of the zkVM's pools, is put under the stack of the main thread:
there is one proof at a time, and the main thread waits for it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from profiling.samples import UNKNOWN, Frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from profiling.samples import Sample

__all__ = ["KERNEL", "PAGING", "Timeline", "fold", "folded_text", "merge", "tidy"]

KERNEL = "[kernel.kallsyms]"
PAGING = "paging"
NATIVE_THREAD = "[native thread]"
OUTSIDE = "[interpreter start or end]"

_INTERPRETER = re.compile(r"(lib)?python3?[\d.]*(\.so[\d.]*)?$")
_PLUMBING = re.compile(
    r"^<?(rayon|rayon_core|task_thread_pool|pyo3::impl_|core::ops::function|std::sys|std::thread"
    r"|std::panic|std::panicking|std::__future_base|std::_Function_handler|std::for_each|__rust"
    r"|__libc_start|__pthread_once|start_thread|clone3?$|_start$)"
)
_LONGEST = 160


@dataclass
class Timeline:
    """The Python stacks of each thread over time.

    Attributes:
        main: the thread id of the main thread.
        threads: for each thread id the times in order, and the stack from each of these times on,
            outermost function first.
    """

    main: int
    threads: Mapping[int, tuple[Sequence[float], Sequence[tuple[str, ...]]]] = field(
        default_factory=dict
    )

    def at(self, tid: int, time: float) -> tuple[str, ...] | None:
        """Return the stack of a thread at a time; None for a thread that runs no Python."""
        known = self.threads.get(tid)
        if known is None:
            return None
        times, stacks = known
        position = bisect_right(times, time) - 1
        return stacks[position] if position >= 0 else ()


def merge(sample: Sample, timeline: Timeline) -> tuple[Frame, ...]:
    """Put the Python functions of a sample's moment above its native ones."""
    own = timeline.at(sample.tid, sample.time)
    native = sample.frames
    if own is None:
        around = timeline.at(timeline.main, sample.time) or ()
        prefix = (*_python(around), Frame(NATIVE_THREAD, ""))
    else:
        prefix = _python(own or (OUTSIDE,))
        native = _inside_interpreter(native)
    return prefix + tidy(native)


def _python(stack: Sequence[str]) -> tuple[Frame, ...]:
    return tuple(Frame(name, "python") for name in stack)


def _inside_interpreter(native: tuple[Frame, ...]) -> tuple[Frame, ...]:
    """Keep what the innermost Python function called, or the last function of the interpreter."""
    last = max(
        (i for i, frame in enumerate(native) if _INTERPRETER.fullmatch(frame.library)), default=-1
    )
    return native[last + 1 :] or native[-1:]


def tidy(native: Sequence[Frame]) -> tuple[Frame, ...]:
    """Leave out functions that only pass a call on; the innermost function always stays.

    Recursion becomes one frame, and so does everything that the operating system did.
    """
    result: list[Frame] = []
    for position, frame in enumerate(native):
        if frame.library == KERNEL:
            result.append(Frame(f"[kernel] {frame.symbol}", KERNEL))
            break
        innermost = position == len(native) - 1
        if not innermost and (frame.symbol == UNKNOWN or _PLUMBING.match(frame.symbol)):
            continue
        if not result or result[-1] != frame:
            result.append(frame)
    return tuple(result)


def fold(stacks: Iterable[tuple[tuple[Frame, ...], int]]) -> Counter[tuple[Frame, ...]]:
    """Join equal stacks and add up their weights."""
    total: Counter[tuple[Frame, ...]] = Counter()
    for stack, weight in stacks:
        total[stack] += weight
    return total


def folded_text(stacks: Mapping[tuple[Frame, ...], int], unit: int = 1) -> str:
    """Write stacks as flame graph tools read them: frames, a space, a whole number.

    The suffixes are those by which the ``java`` palette of these tools tells kinds of code apart.

    Args:
        stacks: the weights by stack, outermost frame first.
        unit: the number that weights are divided by.
    """
    lines = []
    for stack, weight in stacks.items():
        if count := round(weight / unit):
            lines.append(f"{';'.join(_label(frame) for frame in stack)} {count}")
    return "".join(f"{line}\n" for line in sorted(lines))


def _label(frame: Frame) -> str:
    name = " ".join(frame.symbol.replace(";", ":").split()) or "?"
    if len(name) > _LONGEST:
        name = f"{name[: _LONGEST - 3]}..."
    return name + {"python": "_[j]", KERNEL: "_[k]", PAGING: "_[k]"}.get(frame.library, "")
