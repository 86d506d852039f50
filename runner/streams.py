"""Standard output and error that never fail a command, whatever has become of them.

The disk behind a stream may be full, its reader or its terminal may be gone, and it may have been
closed before the command began. The exit code says what became of the work; that the work could
not be spoken of is a warning in the log, once for each stream.

Only the lowest layer of a stream is replaced, so this holds for whatever writes to it: a command
itself, ``logging``, Rich, Hydra or argparse.
"""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import os
import select
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["check_stdout", "guard", "run"]

log = logging.getLogger(__name__)

_NAMES = {"stdout": "standard output", "stderr": "standard error"}


def run(main: Callable[[], int]) -> None:
    """Run a command as this process, and exit with the exit code that it returns.

    Args:
        main: the command, which reads its arguments from ``sys.argv``.
    """
    guard()
    try:
        code = main()
    finally:
        # What still waits in a buffer is written while a warning can still be logged.
        _flush()
    sys.exit(code)


def guard() -> None:
    """Let no write to standard output or error fail in this process from now on.

    A stream that something else has put in the place of the process's own is left as it is. One
    that is guarded already warns again, so that each job of a sweep has the warning in its log.
    """
    closed = _occupy()
    for number, name in enumerate(_NAMES, 1):
        before = getattr(sys, name)
        if before is getattr(sys, f"__{name}__"):
            setattr(sys, name, _guarded(number, _NAMES[name], before, closed=number in closed))
        elif (raw := _raw(before)) is not None:
            raw.problem = None


def check_stdout() -> None:
    """Raise an error if standard output has not taken all that was written to it.

    This is for output that is itself what the command was to make. A reader that has ended, such
    as ``head``, has had as much of it as it wanted, and is no error.

    Raises:
        OSError: standard output is full or closed.
    """
    sys.stdout.flush()
    stream = _raw(sys.stdout)
    if stream is not None and stream.problem is not None and stream.problem.errno != errno.EPIPE:
        raise stream.problem


class _Stream(io.FileIO):
    """The file behind a stream. What it cannot write it drops, with one warning.

    Args:
        number: the file's descriptor.
        name: what people call the stream.
        closed: whether the stream was closed before the command began.

    Attributes:
        problem: why something could not be written; None as long as everything was.
    """

    def __init__(self, number: int, name: str, *, closed: bool) -> None:
        super().__init__(number, "wb", closefd=False)
        self._called = name
        self._closed = closed
        self.problem: OSError | None = None

    def write(self, data: Any) -> int:  # noqa: ANN401  # any buffer
        """Write all of the data, or drop what is left of it. Returns its size in any case."""
        left = memoryview(data).cast("B")
        size = len(left)
        try:
            if self._closed:
                raise OSError(errno.EBADF, "it is closed")
            while left:
                written = super().write(left)
                if written is None:  # another process has made the terminal or pipe non-blocking
                    select.select([], [self], [])
                else:
                    left = left[written:]
        except OSError as error:
            self._warn(error)
        return size

    def _warn(self, error: OSError) -> None:
        if self.problem is None:
            self.problem = error  # first, because the warning may be written to this stream
            log.warning(
                "%s cannot be written (%s), so what was said there is lost",
                self._called,
                error.strerror,
            )


def _occupy() -> set[int]:
    """Open the null device in the place of each standard stream that is closed.

    The next file that is opened would get the stream's number otherwise, and whatever is written to
    the stream, also by a process that is started.

    Returns:
        The numbers of the streams that were closed.
    """
    closed = set()
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            closed.add(number)
            # The system gives the lowest number that is free, which is this one.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    return closed


def _guarded(
    number: int, name: str, before: io.TextIOWrapper | None, *, closed: bool
) -> io.TextIOWrapper:
    raw = _Stream(number, name, closed=closed)
    # Standard error has no buffer of bytes: the warning may be written to the very stream that has
    # just failed, and such a buffer takes nothing while it is being emptied.
    unbuffered = number == 2 or (before is not None and before.write_through)
    buffer = raw if unbuffered else io.BufferedWriter(raw)
    if before is None:
        return io.TextIOWrapper(buffer, "utf-8", "backslashreplace", line_buffering=True)
    with contextlib.suppress(OSError):
        before.flush()
    return io.TextIOWrapper(
        buffer,
        before.encoding,
        # What the terminal's encoding has no characters for is shown escaped, as on standard error.
        "backslashreplace",
        line_buffering=before.line_buffering,
        write_through=before.write_through,
    )


def _raw(stream: Any) -> _Stream | None:  # noqa: ANN401  # whatever stands in sys.stdout
    """The guarded file behind a stream; None where the stream is another's."""
    buffer = getattr(stream, "buffer", None)
    raw = getattr(buffer, "raw", buffer)
    return raw if isinstance(raw, _Stream) else None


def _flush() -> None:
    for name in _NAMES:
        stream = getattr(sys, name)
        if _raw(stream) is not None:
            stream.flush()
