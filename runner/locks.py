"""Locks that processes hold on files, and the one owner of a folder.

The locks are those of ``flock(2)``: the kernel lets go of them when their holder dies, so that none
is ever left behind. They need no more than to open the file to read, so that several users can take
turns at a lock that one of them has made.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import stat
import time
from typing import TYPE_CHECKING

from runner.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["RUN_LOCK", "SWEEP_LOCK", "check_lock", "lock_handle", "locked", "owned"]

log = logging.getLogger(__name__)

RUN_LOCK = ".run.lock"
"""The lock in an output folder that a run holds from before its first job to its end."""

SWEEP_LOCK = ".sweep.lock"
"""The lock that a sweep holds in its folder, in which its jobs have folders of their own."""

_POLL_S = 0.005
_NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK}
"""What a file system says that has no locks at all."""


@contextlib.contextmanager
def locked(path: Path, wait_s: float = 0.0) -> Iterator[None]:
    """Hold the lock of a file for as long as the context lasts.

    Args:
        path: the file, which is made if it is missing and stays when the lock is given back. A link
            is not followed.
        wait_s: the seconds to wait for another holder.

    Raises:
        TimeoutError: another process, or another part of this one, holds the lock.
        OSError: the file cannot be opened or made, is not a regular file, or cannot be locked.
    """
    handle = _opened(path)
    try:
        with lock_handle(handle, path, wait_s):
            yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def lock_handle(handle: int, path: Path, wait_s: float) -> Iterator[None]:
    """Hold the lock of an open file. The wait ends, because its holder may have been stopped.

    Args:
        handle: the file's descriptor.
        path: the file, for the error.
        wait_s: the seconds to wait for another holder.

    Raises:
        TimeoutError: another holder has not let go in this time.
        OSError: the file cannot be locked.
    """
    until = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError as error:
            if error.errno not in {errno.EAGAIN, errno.EACCES}:
                raise
        if time.monotonic() >= until:
            words = f"locked by another process for {wait_s:g} s"
            raise TimeoutError(errno.ETIMEDOUT, words, str(path))
        time.sleep(_POLL_S)
    try:
        yield
    finally:
        # Closing the file is not enough: a process forked meanwhile has it open too.
        fcntl.flock(handle, fcntl.LOCK_UN)


def check_lock(path: Path) -> None:
    """Make sure that :func:`locked` can open the file of a lock, without making one.

    Raises:
        OSError: it cannot be opened, or is not a regular file.
    """
    with contextlib.suppress(FileNotFoundError):
        os.close(_existing(path))


@contextlib.contextmanager
def owned(folder: Path, name: str, field: str) -> Iterator[None]:
    """Own a folder, so that two runs never mix their files in it.

    On a file system without locks the folder is used all the same, with a warning.

    Args:
        folder: the folder, which exists.
        name: the name of the lock, :data:`RUN_LOCK` or :data:`SWEEP_LOCK`.
        field: the setting that names the folder, for the error.

    Raises:
        InputError: it has another owner, or its lock cannot be opened.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(folder / name))
        except TimeoutError:
            raise InputError(
                field,
                str(folder),
                f"another {'sweep' if name == SWEEP_LOCK else 'run'} is at work in this folder",
                "wait until it has ended, or choose another",
            ) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                problem = f"its {name} cannot be opened ({error.strerror})"
                raise InputError(
                    field, str(folder), problem, "remove this file, or choose another folder"
                ) from None
            log.warning("%s: this file system has no locks; let no two runs use it at once", folder)
        yield


def _opened(path: Path) -> int:
    """Open the file of a lock, and make it if it is missing."""
    while True:
        try:
            return _existing(path)
        except FileNotFoundError:
            pass
        with contextlib.suppress(FileExistsError):  # another process has just made it
            # In a folder that all may write to, the system opens the file of another user only to
            # those who do not ask it to make one.
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            os.fchmod(handle, 0o644)  # whatever the umask is: other users take turns at it
            return handle


def _existing(path: Path) -> int:
    flags = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        # Some network file systems lock only what is open to write.
        handle = os.open(path, os.O_RDWR | flags)
    except PermissionError:
        handle = os.open(path, os.O_RDONLY | flags)
    except OSError as error:
        words = {errno.ELOOP: "a symbolic link", errno.ENXIO: "not a regular file"}
        if error.errno not in words:
            raise
        raise OSError(errno.EINVAL, words[error.errno], str(path)) from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return handle
