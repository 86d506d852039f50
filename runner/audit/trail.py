"""The events of one run on their way into the audit log. What they say is in ``audit_events``.

Events are collected in memory and appended by a thread, at most once a second: a run that is killed
loses the events of its last second, a finished one none. While the log cannot be written the events
wait. A run that cannot write them at its end has failed: what nobody can look up was not done.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol, Self

from runner.audit.log import AuditLog, Head, utc
from runner.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["AuditTrail", "NoTrail", "Trail"]

log = logging.getLogger(__name__)

EVERY_S = 1.0


class Trail(Protocol):
    """Where a run's events go. ``AuditTrail`` documents the methods."""

    def add(self, event: str, **fields: Any) -> None: ...  # noqa: ANN401, D102  # JSON values
    def finish(self, status: str, reason: str | None) -> Head | None: ...  # noqa: D102


class NoTrail:
    """``audit=off``."""

    def add(self, event: str, **fields: object) -> None:
        """Keep nothing."""

    def finish(self, status: str, reason: str | None) -> Head | None:  # noqa: ARG002
        """Nothing was kept."""
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None


class AuditTrail:
    """The events of one run, on their way to the log. Methods may be called from any thread.

    Args:
        path: of the log.
        run_id: stands in every event.
        every_s: seconds between two appends, at least.
        clock: Unix time in seconds.
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
        self._thread = threading.Thread(target=self._keep, name="audit", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._added.set()
        self._thread.join()

    def add(self, event: str, **fields: Any) -> None:  # noqa: ANN401  # JSON values
        """An event happened now; it is on disk a second later, or when the run finishes."""
        line = {"event": event, "time": utc(self._clock()), "run": self._run_id, **fields}
        self._events.append(line)
        self._added.set()

    def finish(self, status: str, reason: str | None) -> Head:
        """The run ended; with all its events it is on disk when this returns.

        Args:
            status: ``ok``, ``failed`` or ``interrupted``.
            reason: None for ``ok``.

        Returns:
            The line of this event, which seals all before it.

        Raises:
            AuditError: the log could not be written.
        """
        self.add("run_finished", status=status, **({"reason": reason} if reason else {}))
        head = self._flush()
        # Whoever keeps this line elsewhere (the journal does) notices a log that was made anew.
        log.info(
            "audit log %s: line %d is %s",
            self._log.path,
            head.lines,
            head.hash,
            extra={"event": "audit_log_sealed", "line": head.lines, "hash": head.hash},
        )
        return head

    def _keep(self) -> None:
        """The thread."""
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
                self._head = None  # unless this one is known to be on disk
                # Meanwhile events may be added at the end; taken out are those at the start.
                self._head = self._log.append(self._events)
            return self._head
