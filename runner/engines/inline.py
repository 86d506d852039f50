"""The engine for debugging, which runs jobs in the calling thread."""

from __future__ import annotations

import platform
from concurrent.futures import Future
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from runner.engines.engine import Engine, Host
from runner.errors import InputError
from runner.limits import cores

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["InlineEngine"]

P = ParamSpec("P")
T = TypeVar("T")


class InlineEngine(Engine):
    """Runs each job at once in the calling thread, for debugging, profiling and tests.

    Args:
        workers: The number of workers. It must be 1 or None, because there is one calling thread.
        timeout_s: Always None, because a job in the calling thread cannot be ended.

    Raises:
        InputError: ``workers`` is not 1 or None.
    """

    def __init__(self, workers: int | None = None, timeout_s: float | None = None) -> None:
        del timeout_s  # an engine without `ends_jobs` is never given one
        if workers not in (None, 1):
            raise InputError(
                "executor.workers",
                workers,
                "the inline engine runs one job at a time",
                "use executor=processes for more",
            )

    def hosts(self) -> Sequence[Host]:
        """This machine, with one worker."""
        return [Host(platform.node(), cores(), 1)]

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run ``fn`` and return a future that is done."""
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001  # the future carries whatever it was
            future.set_exception(error)
        return future
