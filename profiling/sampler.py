"""Takes the Python stacks of a running process, each with its time."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType

__all__ = ["Sampler", "names"]


RUN = "runner.cli.command._job"
"""The function in which a run begins, once Hydra has composed its configuration."""


def names(frame: FrameType | None) -> tuple[str, ...]:
    """Name the functions of a stack, outermost first.

    Within a run the stack begins with :data:`RUN`.
    """
    found: list[str] = []
    while frame is not None and (not found or found[-1] != RUN):
        found.append(f"{frame.f_globals.get('__name__', '?')}.{frame.f_code.co_qualname}")
        frame = frame.f_back
    return tuple(reversed(found))


class Sampler:
    """Takes the stacks of all threads at a fixed rate, from a thread of its own.

    It needs the interpreter's lock for that, and a proof does not hold the lock. Only changes are
    kept.

    Args:
        hertz: the number of samples a second.
        clock: the clock, in seconds; it must be the one that perf is told to use.
    """

    def __init__(self, hertz: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = 1 / hertz
        self._clock = clock
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._changes: dict[int, list[tuple[float, tuple[str, ...]]]] = {}
        self._last: dict[int, tuple[FrameType, int, tuple[str, ...]]] = {}

    def start(self) -> None:
        """Begin to take samples."""
        self._thread.start()

    def stop(self) -> None:
        """End after the sample that is under way."""
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(self._interval):
            own = threading.get_ident()
            threads = {t.ident: t.native_id for t in threading.enumerate()}
            # There is no other way to the stacks of other threads; debuggers use it too.
            frames = sys._current_frames()  # noqa: SLF001
            stacks = {threads.get(i): self._names(i, f) for i, f in frames.items() if i != own}
            stacks[threading.get_native_id()] = ("profiling.sampler",)
            self.look({tid: stack for tid, stack in stacks.items() if tid is not None})

    def _names(self, ident: int, frame: FrameType) -> tuple[str, ...]:
        """Name the functions of a thread's stack.

        The stack of a thread that waits for a proof has not changed and is not walked again.
        """
        last = self._last.get(ident)
        if last is not None and last[0] is frame and last[1] == frame.f_lasti:
            return last[2]
        stack = names(frame)
        self._last[ident] = (frame, frame.f_lasti, stack)
        return stack

    def look(self, stacks: Mapping[int, tuple[str, ...]]) -> None:
        """Keep what has changed since the last sample; an ended thread has an empty stack."""
        now = self._clock()
        for tid in {*stacks, *self._changes}:
            stack = stacks.get(tid, ())
            changes = self._changes.setdefault(tid, [])
            if not changes or changes[-1][1] != stack:
                changes.append((now, stack))

    def record(self) -> dict[str, Any]:
        """Return all changes by thread id, for :func:`profiling.host.timeline`."""
        return {str(tid): changes for tid, changes in self._changes.items()}
