"""Processes that end with the one that they work for, also where it is killed.

A process whose work is done by others, whoever starts them, holds a lock on a file that the
environment of all of them names. The system releases the lock when the process ends, however it
ends. The others wait for the lock, and whoever gets it ends.

One that is interrupted lets the others close first: :func:`at_work` and :func:`stop_others`.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import platform
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["at_work", "end_after", "follow", "follows", "hold", "stop_others"]

VARIABLE = "RUNNER_LIFELINE"
"""The environment variable with the host and the file, as ``HOST:PATH``."""

_PREFIX = ".lifeline-"

_held: dict[str, int] = {}
"""The descriptor of each file that this process holds, by what the variable says of it."""

_followed: set[str] = set()
"""What the variable said when this process began to wait for another to end."""


def hold(folder: Path) -> None:
    """Let every process that is started from now on, by this one or below it, end with this one.

    Files of processes that were killed are removed. On a file system without locks nothing is
    held, and the others do not end.

    Args:
        folder: an existing folder for the file. No other process that is alive may hold a file in
            it.

    Raises:
        OSError: the folder cannot be written.
    """
    import tempfile  # imported late: workers load this module and make no file

    for left in folder.glob(f"{_PREFIX}*"):
        left.unlink(missing_ok=True)
    handle, name = tempfile.mkstemp(prefix=_PREFIX, dir=folder.absolute())
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError:
        os.close(handle)
        Path(name).unlink(missing_ok=True)
        return
    said = f"{platform.node()}:{name}"
    _held[said] = handle
    os.environ[VARIABLE] = said
    atexit.register(_tidy, name, os.getpid())


def follow() -> None:
    """End this process together with the one that it was started for, if there is such a one.

    On another machine it does not end, because a lock there need not be known here. If the other
    process has ended already, this one ends at once.
    """
    said = os.environ.get(VARIABLE, "")
    host, _, name = said.partition(":")
    if host != platform.node() or said in _held or follows():
        return
    _followed.add(said)
    try:
        handle = os.open(name, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        os._exit(1)  # the other process has ended, and has removed its file
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        os._exit(1)
    end_after(lambda: fcntl.flock(handle, fcntl.LOCK_SH))


def follows() -> bool:
    """Whether this process ends with another one, which its environment names."""
    return os.environ.get(VARIABLE, "") in _followed


@contextlib.contextmanager
def at_work() -> Iterator[None]:
    """Have this process, which follows another, interrupted and waited for if that one is stopped.

    Raises:
        KeyboardInterrupt: the other has been stopped already, so that no work is to begin.
    """
    name = os.environ[VARIABLE].partition(":")[2]
    sign = Path(f"{name}.{os.getpid()}")
    handle = os.open(sign, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        # Whoever stops looks for signs after it has written, so that one of the two is seen.
        if Path(name).stat().st_size:
            raise KeyboardInterrupt
        yield
    finally:
        sign.unlink(missing_ok=True)
        os.close(handle)


def stop_others(patience_s: float) -> None:
    """Interrupt all processes that follow this one and are at work, and let no more work begin.

    It returns when they have closed.

    Args:
        patience_s: the most seconds to wait for them.
    """
    deadline = time.monotonic() + patience_s
    for said, handle in _held.items():
        os.pwrite(handle, b"stop", 0)
        name = Path(said.partition(":")[2])
        signs = list(name.parent.glob(f"{name.name}.*"))
        for sign in filter(_is_locked, signs):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(sign.suffix[1:]), signal.SIGTERM)
        while any(map(_is_locked, signs)) and time.monotonic() < deadline:
            time.sleep(0.01)


def end_after(wait: Callable[[], object]) -> None:
    """End this process as soon as a call returns, whatever it is doing then.

    Args:
        wait: the call, which is made in a thread of its own.
    """

    def watch() -> None:
        wait()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _is_locked(file: Path) -> bool:
    try:
        handle = os.open(file, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _tidy(name: str, holder: int) -> None:
    if os.getpid() == holder:
        Path(name).unlink(missing_ok=True)


def _forget() -> None:
    """Let go, in a process that was forked, of what only its parent holds and follows."""
    for handle in _held.values():
        os.close(handle)
    _held.clear()
    _followed.clear()


os.register_at_fork(after_in_child=_forget)
