"""Where a command puts what it was asked for: a file that is replaced, or a stream."""

from __future__ import annotations

import errno
import os
import stat
import sys
from pathlib import Path

from runner import streams
from runner.files import atomic_write, followed

__all__ = ["STDOUT", "is_stdout", "write_out"]

STDOUT = Path("-")
"""What stands for standard output on a command line."""


def is_stdout(path: Path) -> bool:
    """Whether a path that the user named is this process's standard output."""
    return path == STDOUT or _descriptor(path) == 1


def write_out(path: Path, data: bytes) -> None:
    """Write what a command was asked for to the file or the stream that the user named.

    A file is replaced as :func:`atomic_write` does it, with its links followed. A stream is written
    to: standard output (also as ``-``), another open file of this process (``/dev/fd/3``), a FIFO
    that is being read, or a character device such as a terminal. A reader of standard output that
    has ended, such as ``head``, has had as much as it wanted, and is no error.

    Args:
        path: the file or stream.
        data: the content.

    Raises:
        OSError: it could not be written whole, or it is a disk, a socket or a folder.
    """
    if is_stdout(path):
        sys.stdout.flush()  # what was written as text comes first
        sys.stdout.buffer.write(data)
        streams.check_stdout()
        return
    handle = _open_stream(path)
    if handle is None:
        atomic_write(path, data, follow=True)
        return
    with os.fdopen(handle, "wb", buffering=0) as stream:
        os.set_blocking(handle, True)
        left = memoryview(data)
        while left:
            left = left[stream.write(left) :]


def _open_stream(path: Path) -> int | None:
    """Open what is written to and not replaced; None if ``path`` is something else."""
    descriptor = _descriptor(path)
    if descriptor is not None:
        return os.dup(descriptor)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return None
    if not (stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)):
        return None
    try:
        return os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENXIO:  # to wait for a reader could be to wait for ever
            raise OSError(errno.ENXIO, "nobody reads from it", str(path)) from None
        raise


def _descriptor(path: Path) -> int | None:
    """The number of the open file of this process that a path stands for, as ``/dev/fd/3`` does."""
    name = followed(path)
    if not name.name.isdecimal() or not name.is_symlink():
        return None
    here = os.path.realpath(name.parent)
    return int(name.name) if here == f"/proc/{os.getpid()}/fd" else None
