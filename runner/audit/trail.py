"""The events of one run on their way into the audit log; ``events.py`` says what they contain.

Events are collected in memory, and a thread appends them to the log at most once a second. A run
that is killed loses the events of its last second; a run that ends loses none. While the log cannot
be written, the events wait. If they cannot be written when the run ends, the run has failed,
because a result without its audit log must not count.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol, Self

from runner import threads
from runner.audit.events import AuditEvent, RunFinished
from runner.audit.log import AuditLog, Head, utc
from runner.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["AuditTrail", "NoTrail", "Trail", "append"]

log = logging.getLogger(__name__)

EVERY_S = 1.0
_MOST_WAITING = 1000
"""The number of events that wait in memory for a log that takes them."""


class Trail(Protocol):
    """What takes the events of a run; :class:`AuditTrail` documents the methods."""

    def add(self, event: AuditEvent) -> None: ...  # noqa: D102
    def finish(self, status: str, reason: str | None) -> Head | None: ...  # noqa: D102


def append(
    path: Path, run_id: str, event: AuditEvent, clock: Callable[[], float] = time.time
) -> None:
    """Append one event of a run to a log, also after the run has ended. It is on disk then.

    Raises:
        AuditError: the log could not be written.
    """
    head = {"event": event.event, "time": utc(clock()), "run": run_id}
    AuditLog(path).append([head | event.fields()])


class NoTrail:
    """The trail of a run without an audit log (``audit=off``)."""

    def add(self, event: AuditEvent) -> None:
        """Drop the event."""

    def finish(self, status: str, reason: str | None) -> Head | None:  # noqa: ARG002
        """Return None, because there is no log."""
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None


class AuditTrail:
    """The events of one run on their way to the log. Its methods may be called from any thread.

    Args:
        path: the path of the log.
        run_id: the run's id, which every event has.
        every_s: the least number of seconds between two appends.
        clock: a function that returns the Unix time in seconds.
    """

    def __init__(
        self,
        path: Path,
        run_id: str,
        every_s: float = EVERY_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._log = AuditLog(path, clock)
        self._run_id = run_id
        self._every_s = every_s
        self._clock = clock
        self._events: list[dict[str, Any]] = []
        self._head: Head | None = None
        self._writing = threading.Lock()
        self._added = threading.Event()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threads.start("audit", self._keep)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._added.set()
        if self._thread is not None:
            self._thread.join()

    def add(self, event: AuditEvent) -> None:
        """Add an event that happens now, which is on disk in a second or when the run ends."""
        head = {"event": event.event, "time": utc(self._clock()), "run": self._run_id}
        self._events.append(head | event.fields())
        self._added.set()
        # Short jobs may end faster than the thread writes, and events must not pile up in memory.
        if len(self._events) % _MOST_WAITING == 0:
            with contextlib.suppress(AuditError):  # the thread says so, and tries again
                self._flush()

    def finish(self, status: str, reason: str | None) -> Head:
        """Add the end of the run, and return when all its events are on disk.

        Args:
            status: how the run ended: ``ok``, ``failed`` or ``interrupted``.
            reason: why the status is not ``ok``; None if it is.

        Returns:
            The line of this event, whose hash fixes all lines before it.

        Raises:
            AuditError: the log could not be written.
        """
        self.add(RunFinished(status=status, reason=reason or None))
        head = self._flush()
        # The systemd journal, for one, keeps this message elsewhere, and a kept hash shows whether
        # the log was replaced later.
        log.info(
            "audit log %s: line %d is %s",
            self._log.path,
            head.lines,
            head.hash,
            extra={"event": "audit_log_sealed", "line": head.lines, "hash": head.hash},
        )
        return head

    def _keep(self) -> None:
        """Append events until the run has ended; this is what the thread runs."""
        warned = False
        while True:
            self._added.wait()
            if self._ended.is_set():
                return
            self._added.clear()
            try:
                self._flush()
            except AuditError as error:
                log.log(logging.DEBUG if warned else logging.WARNING, "%s; trying again", error)
                warned = True
                self._added.set()
            self._ended.wait(self._every_s)

    def _flush(self) -> Head:
        with self._writing:
            if self._events or self._head is None:
                # Until the append succeeds, it is not known that the last line is on disk.
                self._head = None
                # Other threads may add events at the end meanwhile; append() removes those before.
                self._head = self._log.append(self._events)
            return self._head
