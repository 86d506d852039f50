"""Functions to submit to an engine. A worker imports this module, so it must import little."""

from __future__ import annotations

import os
import signal
import threading
import time
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, TypeVar

from runner.errors import ProverError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")


def add(a: int, b: int = 0) -> int:
    return a + b


def echo(value: T) -> T:
    return value


def own_pid() -> int:
    return os.getpid()


def zeros(size: int) -> bytes:
    return bytes(size)


def raise_error(error: Exception) -> None:
    raise error


def end(how: str) -> None:
    """End the own process: ``kill`` by SIGKILL, ``exit`` with exit code 3."""
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "exit":
        os._exit(3)


def wait_for(started: Path, gate: Path, result: int) -> int:
    """Make the file ``started``, and return once the file ``gate`` is there."""
    started.touch()
    while not gate.exists():
        time.sleep(0.005)
    return result


def die_writing(size: int) -> bytes:
    """Die when half of the answer has been written."""

    def half(pipe: Connection, buffer: bytes) -> None:
        if len(buffer) >= size:
            os.write(pipe.fileno(), buffer[: len(buffer) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        os.write(pipe.fileno(), buffer)

    Connection._send = half  # type: ignore[attr-defined]
    return bytes(size)


def die_soon(delay_s: float, size: int) -> bytes:
    """Die at some moment around the writing of the answer."""
    threading.Timer(delay_s, os.kill, (os.getpid(), signal.SIGKILL)).start()
    return bytes(size)


def unpicklable() -> Callable[[], None]:
    return lambda: None


def raise_unpicklable(*, loads: bool) -> None:
    """Raise an error that cannot be pickled or, unless ``loads``, one that cannot be loaded."""
    raise (UnpicklableError if loads else UnloadableError)("one", "two")


class UnpicklableError(Exception):
    """An error with an attribute that cannot be pickled."""

    def __init__(self, *words: str) -> None:
        super().__init__(*words)
        self.lock = threading.Lock()


class UnloadableError(Exception):
    """An error that can be pickled, and raises TypeError when it is loaded."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


class BadCargo:
    """A value that can be pickled, and raises ProverError when it is loaded."""

    def __reduce__(self) -> tuple[Callable[[Exception], None], tuple[Exception]]:
        return raise_error, (ProverError("bad_argument", "will not load"),)
