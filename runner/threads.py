"""Threads that an interrupt never leaves half started, and calls that may take for ever."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from runner import stopping

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["start", "within"]

_T = TypeVar("_T")


def start(name: str, work: Callable[..., object], *args: Any) -> threading.Thread:  # noqa: ANN401
    """Start a daemon thread that makes a call, and return it when it runs.

    A signal that comes meanwhile interrupts afterwards: Python's own ``start`` waits for the
    thread, and an interrupt there leaves one that runs and that nobody can join.
    """
    thread = threading.Thread(target=work, args=args, name=name, daemon=True)
    with stopping.held():
        thread.start()
    return thread


def within(seconds: float, name: str, work: Callable[[], _T]) -> _T:
    """Make a call that may never return, in a thread of its own, and wait so many seconds for it.

    A thread that is given up ends when its call does, or with the process.

    Returns:
        What the call returns.

    Raises:
        TimeoutError: The call has not returned in time.
        BaseException: Whatever the call raises.
    """
    done: Future[_T] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001  # the future carries whatever it was
            done.set_exception(error)

    start(name, run)
    try:
        return done.result(seconds)
    except TimeoutError:
        if done.done():  # the call's own
            raise
        raise TimeoutError(f"no answer within {seconds:g} s") from None
