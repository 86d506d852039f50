"""What a run has on a worker of a cluster: child processes that run its jobs and can be ended.

This module is imported on the worker, by its name. The worker itself loads no prover. It starts a
child process for each job that it runs side by side, of the kind that ``processes.py`` has, so that
a time limit, a kill and the system's limits mean the same as on the runner's own machine.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import pickle
import threading
from typing import TYPE_CHECKING

from runner.engines.processes import ProcessEngine
from runner.store.keep import Keep

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["end", "examine", "keep", "lacks", "run_in_child", "share", "workers_here"]

_IDLE_S = 900.0
"""The seconds after which children that have nothing to do are ended, e.g. those of a run whose
client was killed."""

_stations: dict[str, _Station] = {}
_lock = threading.Lock()
_workers_here = 0


class _Station:
    """The child processes of one run on this worker."""

    def __init__(self, slots: int, timeout_s: float | None) -> None:
        self.engine = ProcessEngine(slots, timeout_s)
        self.workers_here = slots
        self._idle: threading.Timer | None = None

    def waits(self, after: Callable[[], None]) -> None:
        """Start to count the idle time anew."""
        if self._idle is not None:
            self._idle.cancel()
        self._idle = threading.Timer(_IDLE_S, after)
        self._idle.daemon = True
        self._idle.start()

    def end(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self.engine.kill()


# -- called on the worker --------------------------------------------------------------------------


def run_in_child(run: str, timeout_s: float | None, call: bytes) -> bytes:
    """Run a pickled call, ``(fn, args, kwargs)``, in a child process of a run's station.

    Dask calls it in one of the worker's threads, each of which stands for a child.

    Args:
        run: The id of the run.
        timeout_s: The time limit of one job in seconds, or None.
        call: The call. The worker itself does not unpickle it.

    Returns:
        The pickled result.

    Raises:
        JobTimeoutError: The job took longer than the limit, and its child was ended.
        WorkerDiedError: The child died.
    """
    from distributed import get_worker

    return _run(run, get_worker().state.nthreads, timeout_s, call)


async def examine(run: str, slots: int, timeout_s: float | None, facts: bytes) -> dict[str, str]:
    """Call the pickled function ``facts`` in a child process, as a job would be, and return it."""
    found: dict[str, str] = pickle.loads(  # noqa: S301  # from our own child
        await asyncio.to_thread(_run, run, slots, timeout_s, facts)
    )
    return found


async def lacks(digests: tuple[str, ...]) -> tuple[str, ...]:
    """Which of these files this machine does not have."""
    return await asyncio.to_thread(Keep().lacks, digests)


async def keep(files: tuple[bytes, ...]) -> None:
    """Keep files on this machine's disk."""
    for data in files:
        await asyncio.to_thread(Keep().put, data)


async def share(run: str, workers: int) -> None:
    """Tell a run's station how many jobs run side by side on this machine, in all its workers."""
    with _lock:
        if run in _stations:
            _stations[run].workers_here = workers


async def end(run: str) -> None:
    """End the child processes of a run, whatever they do."""
    _end(run)


def _run(run: str, slots: int, timeout_s: float | None, call: bytes) -> bytes:
    station = _station(run, slots, timeout_s)
    try:
        return station.engine.submit(_call, call, station.workers_here).result()
    finally:
        station.waits(lambda: _end(run))


def _station(run: str, slots: int, timeout_s: float | None) -> _Station:
    with _lock:
        if run not in _stations:
            # A worker that a nanny has started is a daemon, and such a one may have no children.
            # Those of a station end with it all the same.
            if multiprocessing.parent_process() is not None:
                multiprocessing.current_process().daemon = False
            _stations[run] = _Station(slots, timeout_s)
        return _stations[run]


def _end(run: str) -> None:
    with _lock:
        station = _stations.pop(run, None)
    if station is not None:
        station.end()


# -- called in the child ---------------------------------------------------------------------------


def workers_here() -> int:
    """How many jobs run side by side on this machine, or 0 in a process that no station started."""
    return _workers_here


def _call(call: bytes, workers: int) -> bytes:
    global _workers_here  # noqa: PLW0603  # a child belongs to one station
    _workers_here = workers
    fn, args, kwargs = pickle.loads(call)  # noqa: S301  # from the runner, over Dask's own channel
    return pickle.dumps(fn(*args, **kwargs))
