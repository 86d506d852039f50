"""Measures functions of the runner from outside: stop-watches are put around them.

A stop-watch costs time itself. Each kind here can say how much, so that a study can take it off.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def median(rounds: int, action: Callable[[], object], times: int = 1) -> float:
    """Seconds of one call: the median of ``rounds`` measurements of ``times`` calls each."""
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(times):
            action()
        taken.append((time.perf_counter() - began) / times)
    return statistics.median(taken)


class StopWatch:
    """Sums the time that the main thread spends in the functions that it is put around.

    Only the outermost function counts: where a function with a stop-watch calls another one with a
    stop-watch, the time is that of the caller.

    Args:
        clock: the clock, in seconds.
    """

    running = False

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.reset()

    def reset(self) -> None:
        self.seconds = 0.0
        self.calls = 0

    def around(self, owner: Any, name: str) -> None:  # noqa: ANN401  # a class or a module
        """Put the stop-watch around a function; it stays there as long as the process."""
        function = getattr(owner, name)

        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            if StopWatch.running or threading.current_thread() is not threading.main_thread():
                return function(*args, **kwargs)
            StopWatch.running, began = True, self.clock()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds += self.clock() - began
                self.calls += 1
                StopWatch.running = False

        setattr(owner, name, timed)


def cost_of_a_stop_watch() -> float:
    """Seconds that a stop-watch shows for a call of a function that does nothing."""
    watch = StopWatch(time.thread_time)
    holder = argparse.Namespace(nothing=lambda: None)
    watch.around(holder, "nothing")
    for _ in range(100_000):
        holder.nothing()
    return watch.seconds / watch.calls


class Parts:
    """Splits the processor time of the main thread into named parts.

    The time of a part is not also that of the part that called it.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.calls: dict[str, int] = {}
        self._stack = ["the rest"]
        self._since = time.thread_time()

    def around(self, part: str, owner: Any, *names: str) -> None:  # noqa: ANN401  # class or module
        """Count what runs in these functions for a part; they stay measured."""
        for name in names:
            setattr(owner, name, self._timed(part, getattr(owner, name)))

    def _timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            if threading.current_thread() is not threading.main_thread():
                return function(*args, **kwargs)
            self._charge()
            self._stack.append(part)
            self.calls[part] = self.calls.get(part, 0) + 1
            try:
                return function(*args, **kwargs)
            finally:
                self._charge()
                self._stack.pop()

        return timed

    def _charge(self) -> None:
        now = time.thread_time()
        part = self._stack[-1]
        self.seconds[part] = self.seconds.get(part, 0.0) + now - self._since
        self._since = now


def cost_of_a_part() -> float:
    """Seconds that :class:`Parts` shows for a call of a function that does nothing."""
    watch = Parts()
    holder = argparse.Namespace(nothing=lambda: None)
    watch.around("nothing", holder, "nothing")
    for _ in range(50_000):
        holder.nothing()
    return sum(watch.seconds.values()) / watch.calls["nothing"]
