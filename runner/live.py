"""What a batch is doing right now, in a small file beside the metrics textfile.

The file is there while the batch runs and gone afterwards. It carries gauges and progress, no
totals, so nothing read from it can make a counter fall when the run ends. Runs that share a
textfile share this file as well: it shows the one that wrote last.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from runner.model import ReceiptKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from runner.errors import JobFailedError
    from runner.executor import Observer
    from runner.model import Outcome, ProofJob
    from runner.plan import Plan

__all__ = ["FORMAT", "Live", "LiveFile", "LiveObserver", "live_path", "read_live"]

log = logging.getLogger(__name__)

FORMAT = 1
EVERY_S = 1.0
_MOST_BYTES = 64 * 1024


def live_path(textfile: Path) -> Path:
    """Where the live figures of a textfile are; not ``*.prom``, so node_exporter passes it by."""
    return textfile.with_name(f"{textfile.name}.live.json")


@dataclass(frozen=True, slots=True)
class Live:
    """A run that is under way.

    Attributes:
        run_id: of the run.
        pid: of its process.
        started: Unix time.
        updated: Unix time at which something last changed.
        kind: of receipt.
        strategy: of the plan.
        leaves: in the batch.
        levels: jobs done and all jobs, by level; the first is the leaves'.
        workers_active: busy now.
        workers_limit: at most.
        queue_depth: jobs that could start now but have no worker.
        proofs: made in this run, leaves and aggregations.
        executions: guest runs in execute mode, which prove nothing.
        hits: jobs taken from the cache.
        retries: failed attempts that are made again.
        errors: failed attempts, tried again or not.
    """

    run_id: str
    pid: int
    started: float
    updated: float
    kind: str
    strategy: str
    leaves: int
    levels: tuple[tuple[int, int], ...]
    workers_active: int
    workers_limit: int
    queue_depth: int
    proofs: int
    executions: int
    hits: int
    retries: int
    errors: int

    def to_json(self) -> dict[str, Any]:
        """As in the file, but for what only its reader needs."""
        values = {name: getattr(self, name) for name in self.__slots__ if name != "levels"}
        levels = [{"done": done, "total": total} for done, total in self.levels]
        return {**values, "levels": levels}


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
            "process_started": _process_started(os.getpid()) or 0,
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


def read_live(
    textfile: Path, process_started: Callable[[int], int | None] | None = None
) -> Live | None:
    """The run under way, or None: no file, one that is damaged, or one left by a dead process.

    Args:
        textfile: beside which the file is.
        process_started: when a process was started, in any unit; 0 if that cannot be known, None
            for no such process.
    """
    lookup = process_started or _process_started
    try:
        with live_path(textfile).open("rb") as file:
            found = json.loads(file.read(_MOST_BYTES))
        if found["format"] != FORMAT:
            return None
        then, now = int(found["process_started"]), lookup(int(found["pid"]))
        if now is None or (then and now and then != now):
            return None
        levels = tuple((int(done), int(total)) for done, total in found["levels"])
        plain = {name: read(found[name]) for name, read in _FIELDS.items()}
        return Live(levels=levels, **plain)
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


_FIELDS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("run_id", "kind", "strategy"), str),
    **dict.fromkeys(("started", "updated"), float),
    **dict.fromkeys(("pid", "leaves", "workers_active", "workers_limit", "queue_depth"), int),
    **dict.fromkeys(("proofs", "executions", "hits", "retries", "errors"), int),
}


def _process_started(pid: int) -> int | None:
    """When a process was started, in clock ticks since boot: tells a reused pid from the first.

    0 where there is such a process but not when it began.
    """
    if pid <= 0:
        return None
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return None if stat[0] in {b"Z", b"X"} else int(stat[19])
    except (OSError, ValueError, IndexError):
        pass
    try:
        os.kill(pid, 0)
    except PermissionError:
        return 0
    except (OSError, OverflowError):
        return None
    return 0


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
