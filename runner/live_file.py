"""Keeps the live figures of a batch in their file; see :mod:`runner.live` for what it holds."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Self

from runner.live import FORMAT, live_path, process_started
from runner.model import ReceiptKind

if TYPE_CHECKING:
    from pathlib import Path

    from runner.errors import JobFailedError
    from runner.executor import Observer
    from runner.model import Outcome, ProofJob
    from runner.plan import Plan

__all__ = ["LiveFile", "LiveObserver"]

log = logging.getLogger(__name__)

EVERY_S = 1.0


class LiveFile:
    """Keeps the file up to date from a thread of its own, at most once a second.

    The batch only sets numbers: however slow or full the disk is, it neither waits nor fails.

    Args:
        textfile: of the run; None for no live figures.
        plan: of the batch.
        leaves: in the batch.
        kind: of receipt.
        workers: at most.
        run_id: of the run.
        started: Unix time.
        every_s: seconds between two writes, at least.
    """

    def __init__(  # noqa: PLR0913  # one run's figures, all by keyword
        self,
        textfile: Path | None,
        *,
        plan: Plan,
        leaves: int,
        kind: ReceiptKind,
        workers: int,
        run_id: str,
        started: float,
        every_s: float = EVERY_S,
    ) -> None:
        self._path = None if textfile is None else live_path(textfile)
        self._every_s = every_s
        self._run_id = run_id
        self._levels = {a.id: a.level for a in plan.aggregations}
        self._totals = Counter({0: plan.leaf_jobs})
        self._totals.update(self._levels.values())
        self._done: Counter[int] = Counter()
        self._fixed = {
            "format": FORMAT,
            "run_id": run_id,
            "pid": os.getpid(),
            "process_started": process_started(os.getpid()) or 0,
            "started": started,
            "kind": kind.value,
            "strategy": plan.strategy,
            "leaves": leaves,
            "workers_limit": workers,
        }
        self._counts = dict.fromkeys(("proofs", "executions", "hits", "retries", "errors"), 0)
        self._load = (0, 0)
        self._workers = workers
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        if self._path is not None:
            self._changed.set()
            self._thread = threading.Thread(
                target=self._keep, args=(self._path,), name="live", daemon=True
            )
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread is None:
            return
        self._ended.set()
        self._changed.set()
        # A write that hangs (a dead network mount) must not hold up a finished batch; the file it
        # leaves is known to be stale by its process.
        self._thread.join(timeout=2.0)

    def observing(self, observer: Observer) -> Observer:
        """An observer that tells this file as well."""
        return observer if self._path is None else LiveObserver(self, observer)

    def count(self, *names: str) -> None:
        """Something happened: ``retries`` or ``errors``."""
        with self._lock:
            for name in names:
                self._counts[name] += 1
        self._changed.set()

    def finished(self, job_id: int, outcome: Outcome) -> None:
        """A job is done, by proof, by execution or from the cache."""
        if outcome.cached:
            what = "hits"
        else:
            what = "executions" if outcome.kind is ReceiptKind.EXECUTE else "proofs"
        with self._lock:
            self._done[self._levels.get(job_id, 0)] += 1
            self._counts[what] += 1
        self._changed.set()

    def load(self, active: int, queued: int) -> None:
        """Jobs in the engine and jobs waiting."""
        if self._load != (active, queued):
            self._load = (active, queued)
            self._changed.set()

    def _keep(self, path: Path) -> None:
        """The thread: writes what has changed, and removes the file at the end."""
        warned = False
        self._ended.wait(min(0.1, self._every_s))  # the first jobs are handed over by then
        while True:
            self._changed.wait()
            if self._ended.is_set():
                break
            self._changed.clear()
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
        with self._lock:
            done, counts = dict(self._done), dict(self._counts)
        active, queued = self._load
        # Jobs of milliseconds are handed over a few at a time; a worker still does one.
        busy = min(active, self._workers)
        return {
            **self._fixed,
            "updated": time.time(),
            "levels": [[done.get(level, 0), self._totals[level]] for level in sorted(self._totals)],
            "workers_active": busy,
            "queue_depth": queued + active - busy,
            **counts,
        }


class LiveObserver:
    """Tells a live file, and passes everything on; see :class:`runner.executor.Observer`.

    Args:
        file: to tell.
        observer: is told next.
    """

    def __init__(self, file: LiveFile, observer: Observer) -> None:
        self._file = file
        self._observer = observer
        self.started = observer.started

    def finished(self, job: ProofJob, outcome: Outcome) -> None:  # noqa: D102
        self._file.finished(job.id, outcome)
        self._observer.finished(job, outcome)

    def retrying(self, job: ProofJob, error: BaseException, wait_s: float) -> None:  # noqa: D102
        self._file.count("retries", "errors")
        self._observer.retrying(job, error, wait_s)

    def failed(self, job: ProofJob, error: JobFailedError) -> None:  # noqa: D102
        self._file.count("errors")
        self._observer.failed(job, error)

    def load(self, active: int, queued: int) -> None:  # noqa: D102
        self._file.load(active, queued)
        self._observer.load(active, queued)


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
