"""Every engine under test, and how long a test waits for one."""

from __future__ import annotations

import contextlib
import functools
import socket
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import pytest

from runner.engines.dask_engine import DaskEngine
from runner.engines.engine import Engine, Host
from runner.engines.inline import InlineEngine
from runner.engines.pool import PoolEngine
from runner.engines.processes import ProcessEngine

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


PATIENCE_S = 60.0
"""The longest that a test waits. Nothing here takes long unless something is wrong."""

MIB = 1 << 20

P = ParamSpec("P")
T = TypeVar("T")


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def gone(pid: int) -> bool:
    """Whether there is no such process, or only one that waits to be collected."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


class ThreadEngine(Engine):
    """An engine that somebody else might write, over a pool of the standard library."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(2)

    def hosts(self) -> Sequence[Host]:
        return [Host("here", 2, 2)]

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        return self._pool.submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._pool.shutdown(wait, cancel_futures=cancel_futures)


def dask_cluster() -> Engine:
    pytest.importorskip("distributed", reason="the Dask engine needs the dask extra")
    # Another cluster on this machine may have Dask's usual port.
    with socket.socket() as other, contextlib.suppress(OSError):
        other.bind(("127.0.0.1", 8787))
        other.listen()
        return DaskEngine(2)
    return DaskEngine(2)  # there is another one


ENGINES: dict[str, Callable[[], Engine]] = {
    "inline": InlineEngine,
    "processes": functools.partial(ProcessEngine, 2, timeout_s=PATIENCE_S),
    "threads": ThreadEngine,
    "pool": functools.partial(PoolEngine, 2, pool=ThreadPoolExecutor),
    "dask": dask_cluster,
}
