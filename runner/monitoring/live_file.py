"""Keeps the live figures of a batch in their file; ``live.py`` says what is in it."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Any, Self

from runner.monitoring.live import BEAT_S, FORMAT, MOST_JOBS, live_path, process_started

if TYPE_CHECKING:
    from pathlib import Path

    from runner.monitoring.tally import Tally

__all__ = ["LiveFile"]

log = logging.getLogger(__name__)

EVERY_S = 0.5
_MOST_NAME, _MOST_TEXT = 120, 500
"""Characters: the reader takes no more than 64 KiB."""


class LiveFile:
    """Writes what the tally says from a thread of its own, at most twice a second.

    The batch only counts: however slow or full the disk is, it neither waits nor fails.

    Args:
        textfile: of the run; None for no live figures.
        tally: of the batch.
        guest: at the leaves; likewise ``strategy``, ``kind`` of receipt and number of ``leaves``.
        run_id: of the run.
        started: Unix time.
        every_s: seconds between two writes, at least.
        beat_s: seconds between two writes, at most.
    """

    def __init__(  # noqa: PLR0913  # one run's figures, all by keyword
        self,
        textfile: Path | None,
        tally: Tally,
        *,
        guest: str,
        strategy: str,
        kind: str,
        leaves: int,
        run_id: str,
        started: float,
        every_s: float = EVERY_S,
        beat_s: float = BEAT_S,
    ) -> None:
        self._path = None if textfile is None else live_path(textfile)
        self._tally = tally
        self._every_s = every_s
        self._beat_s = beat_s
        self._run_id = run_id
        self._fixed = {
            "format": FORMAT,
            "run_id": run_id,
            "pid": os.getpid(),
            "process_started": process_started(os.getpid()) or 0,
            "started": started,
            "guest": guest,
            "kind": kind,
            "strategy": strategy,
            "leaves": leaves,
            "workers_limit": tally.workers,
        }
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        if self._path is not None:
            self._thread = threading.Thread(
                target=self._keep, args=(self._path,), name="live", daemon=True
            )
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread is None:
            return
        self._ended.set()
        # A write that hangs (a dead network mount) must not hold up a finished batch; the file it
        # leaves is known to be stale by its process.
        self._thread.join(timeout=2.0)

    def _keep(self, path: Path) -> None:
        """The thread: writes what has changed, and removes the file at the end."""
        warned = False
        written, at = -1, float("-inf")
        self._ended.wait(min(0.1, self._every_s))  # the first jobs are handed over by then
        while not self._ended.is_set():
            changes, now = self._tally.changes, time.monotonic()
            if changes != written or now - at >= self._beat_s:
                written, at = changes, now
                try:
                    _replace(path, json.dumps(self._content()).encode() + b"\n", self._run_id)
                except OSError as error:
                    level = logging.DEBUG if warned else logging.WARNING
                    log.log(level, "live figures %s not written: %s", path, error.strerror)
                    warned = True
            self._ended.wait(self._every_s)
        with contextlib.suppress(OSError, ValueError):
            # Another run may have put its own file there.
            if json.loads(path.read_bytes())["run_id"] == self._run_id:
                path.unlink()

    def _content(self) -> dict[str, Any]:
        standing, now = self._tally.standing(), time.time()
        offset = now - self._tally.clock()
        return {
            **self._fixed,
            "updated": now,
            "levels": standing.levels,
            "jobs": [
                (busy.worker, busy.job[:_MOST_NAME], busy.attempt, busy.since + offset)
                for busy in standing.busy[:MOST_JOBS]
            ],
            "left_s": standing.left.seconds,
            "left_complete": standing.left.complete,
            "workers_active": standing.active,
            "queue_depth": standing.queued,
            "proofs": standing.proofs,
            "executions": standing.executions,
            "hits": standing.hits,
            "retries": standing.retries,
            "errors": standing.errors,
            "last_error": standing.last_error[:_MOST_TEXT],
        }


def _replace(path: Path, data: bytes, run_id: str) -> None:
    """Whole or not at all, but not worth waiting for a disk: after a crash it is stale anyway."""
    part = path.with_name(f".live.{path.name}.{run_id}.tmp")
    try:
        with part.open("wb") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(data)
        part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise
