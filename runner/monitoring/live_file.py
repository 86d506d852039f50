"""Writes the live figures of a batch into their file, whose format ``live.py`` describes."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Any, Self

from runner import threads
from runner.files import check_replaceable
from runner.monitoring.live import (
    BEAT_S,
    FORMAT,
    MOST_BYTES,
    MOST_JOBS,
    live_path,
    process_started,
)
from runner.untrusted import parse_json, read_regular

if TYPE_CHECKING:
    from pathlib import Path

    from runner.monitoring.tally import Tally

__all__ = ["LiveFile"]

log = logging.getLogger(__name__)

EVERY_S = 0.5
_MOST_NAME, _MOST_TEXT = 120, 500
"""The most characters of a job's name and of an error that are written, because the reader takes no
more than 64 KiB."""


class LiveFile:
    """Writes what the tally says, at most twice a second and from a thread of its own.

    The batch neither waits for the disk nor fails when the disk is full, because it only counts.

    Args:
        textfile: the metrics textfile of the run, or None to write no live figures.
        tally: the tally of the batch.
        guest: the name of the leaves' guest.
        strategy: the name of the batch's strategy.
        kind: the kind of the batch's receipts.
        leaves: the number of leaves in the batch.
        run_id: the id of the run.
        started: the Unix time at which the run started.
        every_s: the shortest time between two writes, in seconds.
        beat_s: the longest time between two writes, in seconds.
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
        }
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        if self._path is not None:
            self._thread = threads.start("live", self._keep, self._path)
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread is None:
            return
        self._ended.set()
        # A write that hangs, as on a dead network mount, must not hold up a finished batch. Readers
        # know the file that it leaves for stale, because its process has ended.
        self._thread.join(timeout=2.0)

    def _keep(self, path: Path) -> None:
        """Write what has changed, and remove the file at the end. This runs in the thread."""
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
            # Another run may have put its own file there meanwhile.
            found = parse_json(read_regular(path, MOST_BYTES, follow=True))
            if isinstance(found, dict) and found.get("run_id") == self._run_id:
                path.unlink()

    def _content(self) -> dict[str, Any]:
        state, now = self._tally.state(), time.time()
        offset = now - self._tally.clock()
        return {
            **self._fixed,
            "updated": now,
            "levels": state.levels,
            "jobs": [
                (busy.worker, busy.job[:_MOST_NAME], busy.attempt, busy.since + offset)
                for busy in state.busy[:MOST_JOBS]
            ],
            "left_s": state.left.seconds,
            "left_complete": state.left.complete,
            "workers_active": state.active,
            "workers_limit": self._tally.workers,
            "queue_depth": state.queued,
            "proofs": state.proofs,
            "executions": state.executions,
            "hits": state.hits,
            "retries": state.retries,
            "errors": state.errors,
            "last_error": state.last_error[:_MOST_TEXT],
            "hosts": [
                (share.host[:_MOST_NAME], share.jobs, share.fetched, share.kept, share.sent)
                for share in self._tally.hosts.shares()
            ],
        }


def _replace(path: Path, data: bytes, run_id: str) -> None:
    """Write the file whole or not at all, without waiting for the disk.

    After a crash of the machine the file is stale in any case.
    """
    check_replaceable(path)
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
