"""The audit log on disk: any number of runs may append to it at once, and it is read for checks.

A writer holds a lock on the file itself, which the kernel releases when the writer dies. Under the
lock it reads the end of the file, chains the new lines to it, writes them with one call and waits
until they are on disk. Nothing is cut off or overwritten, so ``chattr +a`` may be set.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from runner.audit.chain import (
    FORMAT,
    GENESIS,
    MAX_FRAGMENT,
    MAX_LINE,
    VERSION,
    Chain,
    Line,
    is_whole,
    make_line,
    read_line,
    torn,
)
from runner.errors import AuditError
from runner.files import check_replaceable, followed, fsync_folder, make_folder
from runner.locks import lock_handle
from runner.untrusted import open_regular

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["AuditLog", "Head", "read_log", "utc"]

_WAIT_S = 30.0
"""How long to wait for another run that holds the lock; a run holds it for milliseconds."""

_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Head:
    """The last line of a log, or of one run in it; its hash fixes all lines before it.

    Attributes:
        lines: the line's number, from 1, which is the number of lines that its hash fixes.
        hash: the line's hash, as 64 hexadecimal characters.
    """

    lines: int
    hash: str


@dataclass(frozen=True, slots=True)
class _Tail:
    """The end of the file.

    Attributes:
        head: the last whole line.
        fragment: the bytes that a killed writer left after that line.
        ended: whether the file ends with a newline, or is empty.
    """

    head: Head
    fragment: bytes
    ended: bool


class AuditLog:
    """A log that lines are appended to.

    Args:
        path: the path of the file, which is made together with its folder if it is missing. A link
            is followed.
        clock: a function that returns the Unix time in seconds.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.path = followed(path)
        self._clock = clock

    def check(self) -> None:
        """Make sure that lines can be appended to the file, without making one.

        Raises:
            AuditError: lines cannot be appended.
        """
        with self._errors():
            if not check_replaceable(self.path, follow=True).exists():
                return
            handle = self._open()
            try:
                with lock_handle(handle, self.path, _WAIT_S):
                    self._tail(handle)
            finally:
                os.close(handle)

    def append(self, events: list[dict[str, Any]]) -> Head:
        """Append a line for each event, and return when the lines are on disk.

        Args:
            events: the events to write. Each is removed from the list once it is written, even
                if a later one is not.

        Returns:
            The last line.

        Raises:
            AuditError: not all lines were written, or it is not known that they are on disk.
        """
        with self._errors():
            make_folder(self.path.parent)
            handle = self._open(os.O_CREAT)
            try:
                with lock_handle(handle, self.path, _WAIT_S):
                    return self._append(handle, events)
            finally:
                os.close(handle)

    def _open(self, more: int = 0) -> int:
        """Open the log to append to it, once it is known to be a regular file or a link to one."""
        flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
        handle = os.open(self.path, flags | more, 0o644)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise OSError(errno.EINVAL, "not a regular file", str(self.path))
        return handle

    def _append(self, handle: int, events: list[dict[str, Any]]) -> Head:
        tail = self._tail(handle)
        now = utc(self._clock())
        lead: list[dict[str, Any]] = []
        if tail.head.lines == 0:
            opened = {"event": "log_opened", "time": now, "format": FORMAT, "version": VERSION}
            lead.append({**opened, "log": uuid.uuid4().hex, **torn(tail.fragment)})
        elif tail.fragment:
            lead.append({"event": "torn", "time": now, **torn(tail.fragment)})
        seq, digest = tail.head.lines, tail.head.hash
        lines = []
        for event in lead + events:
            seq += 1
            line, digest = make_line(seq, digest, event)
            lines.append(line)
        if not tail.ended:
            lines[0:0] = [b"\n"]
        written = 0
        data = b"".join(lines)
        try:
            while written < len(data):
                written += os.write(handle, data[written:])
        finally:
            # A full disk takes only a part. Whole lines must not be written a second time.
            whole = data.count(b"\n", 0, written) - len(lead) - (not tail.ended)
            del events[: max(0, whole)]
        os.fsync(handle)
        if tail.head.lines == 0:
            fsync_folder(self.path.parent)
        return Head(seq, digest)

    def _tail(self, handle: int) -> _Tail:
        """Find the last whole line of the file, and what a killed writer left after it."""
        size = os.fstat(handle).st_size
        data = b""
        while True:
            start = max(0, size - len(data) - max(_CHUNK, len(data)))
            data = os.pread(handle, size - len(data) - start, start) + data
            found = self._last_line(data, is_all=start == 0)
            if found is not None:
                return found
            if len(data) > MAX_LINE + MAX_FRAGMENT:
                raise AuditError(str(self.path), "its end is no line of an audit log")

    def _last_line(self, data: bytes, *, is_all: bool) -> _Tail | None:
        end = len(data)
        ended = not data or data.endswith(b"\n")
        if ended and data:
            end -= 1
        while end > 0 or is_all:
            start = data.rfind(b"\n", 0, end) + 1
            if start == 0 and not is_all:
                return None
            raw = data[start:end]
            try:
                line = read_line(raw)
            except ValueError as error:
                if is_whole(raw):
                    # A crash does not leave this. New lines must not cover up the change.
                    raise AuditError(str(self.path), f"in its last line: {error}") from None
                if start == 0:
                    return self._no_line(data, ended=ended)
                end = start - 1
                continue
            rest = data[end + 1 :].removesuffix(b"\n")
            if len(rest) >= MAX_FRAGMENT:
                raise AuditError(str(self.path), "its end is no line of an audit log")
            return _Tail(Head(line.seq, line.hash), rest, ended)
        return None

    def _no_line(self, data: bytes, *, ended: bool) -> _Tail:
        begun = b'{"seq":1,"prev":"' + GENESIS.encode()
        if not data.startswith(begun[: len(data)]):
            raise AuditError(str(self.path), "the file is something else than an audit log")
        return _Tail(Head(0, GENESIS), data.removesuffix(b"\n"), ended)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise AuditError(str(self.path), error.strerror or str(error)) from error


def read_log(path: Path) -> Iterator[Line]:
    """The lines of a log, each checked against the lines before it.

    Args:
        path: the path of the log.

    Raises:
        AuditBrokenError: a line is bad, or the file ends in the middle of one.
        OSError: the file cannot be read.
    """
    chain = Chain()
    with open_regular(path, follow=True) as file:
        while raw := file.readline(MAX_FRAGMENT):
            line = chain.take(raw)
            if line is not None:
                yield line
    chain.end()


def utc(seconds: float) -> str:
    """A Unix time as RFC 3339 text with microseconds."""
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
    return text.replace("+00:00", "Z")
