"""The engine over a pool of the user's own: whatever is a ``concurrent.futures.Executor``."""

from __future__ import annotations

import platform
import threading
from concurrent.futures import BrokenExecutor, Executor
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from runner.engines.engine import Engine, Host
from runner.errors import InputError
from runner.limits import cores

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

__all__ = ["PoolEngine"]

P = ParamSpec("P")
T = TypeVar("T")


class PoolEngine(Engine):
    """Runs jobs in a pool that the configuration names, such as those of mpi4py, loky or Ray.

    Its workers must see the same files under the same paths as the runner. A pool cannot end a job
    that runs. One that breaks, as a pool of processes does when one of them dies, fails the jobs
    that it has with BrokenExecutor, and is replaced by a new pool.

    Args:
        workers: The number of jobs that run side by side, or None for one on each core.
        timeout_s: Always None, because a pool cannot end a job.
        pool: A function that makes the pool, and is called with ``max_workers``. In a YAML file it
            is the pool's class, with ``_partial_: true`` and its further settings.

    Raises:
        InputError: ``pool`` is no such function.
    """

    transient = (BrokenExecutor,)

    def __init__(
        self,
        workers: int | None = None,
        timeout_s: float | None = None,
        pool: Callable[..., Any] | None = None,
    ) -> None:
        del timeout_s  # an engine without `ends_jobs` is never given one
        if not callable(pool):
            raise InputError(
                "executor.engine.pool",
                pool,
                "does not say how a pool is made",
                "give its class as _target_, with _partial_: true (docs/extending/engine.md)",
            )
        self._make = pool
        self._left_to_us = workers is None
        self._workers = workers or cores()
        self._lock = threading.Lock()
        self._pool: Executor | None = None
        self._closed = False

    def suggest_workers(self, workers: int) -> None:
        """See :class:`Engine`."""
        if self._left_to_us:
            self._workers = workers

    def hosts(self) -> Sequence[Host]:
        """This machine. Of others nothing is known, so that jobs are given its cores to share."""
        return [Host(platform.node(), cores(), self._workers)]

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Give a call to the pool, or to a new one if the last has broken.

        Raises:
            InputError: The pool cannot be made.
            RuntimeError: The engine is shut down.
        """
        with self._lock:
            if self._closed:
                raise RuntimeError("the engine is shut down")
            pool = self._pool = self._pool or self._made()
            try:
                return pool.submit(fn, *args, **kwargs)
            except BrokenExecutor:
                pool.shutdown(wait=False)
                pool = self._pool = self._made()
                return pool.submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Shut the pool down. A job that runs goes on to its end."""
        with self._lock:
            self._closed = True
            pool = self._pool
        if pool is not None:
            pool.shutdown(wait, cancel_futures=cancel_futures)

    def _made(self) -> Executor:
        try:
            pool = self._make(max_workers=self._workers)
        except Exception as error:
            raise InputError(
                "executor.engine.pool",
                getattr(getattr(self._make, "func", self._make), "__name__", "?"),
                f"cannot be made ({error})",
                "check its settings; it is called with max_workers",
            ) from error
        if not isinstance(pool, Executor):
            raise InputError(
                "executor.engine.pool",
                type(pool).__name__,
                "is no concurrent.futures.Executor",
                "give the class of a pool (docs/extending/engine.md)",
            )
        return pool
