"""What a batch is doing right now: the small file beside the metrics textfile, and its reader.

The file exists while the batch runs, and ``live_file.py`` writes it. It carries gauges and progress
but no totals, so nothing read from it can make a counter fall when the run ends. Runs that share a
textfile also share this file: it shows the run that wrote last.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BEAT_S", "FORMAT", "MOST_JOBS", "Live", "RunningJob", "live_path", "look", "read_live"]

FORMAT = 2
BEAT_S = 2.0
"""The file is written so often, also when nothing happens."""

MOST_JOBS = 128
"""So many running jobs are listed; all are counted."""

_MOST_BYTES = 64 * 1024


def live_path(textfile: Path) -> Path:
    """Where the live figures of a textfile are; not ``*.prom``, so node_exporter passes it by."""
    return textfile.with_name(f"{textfile.name}.live.json")


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A worker's job.

    Attributes:
        worker: from 1.
        job: its name.
        attempt: from 1.
        since: Unix time.
    """

    worker: int
    job: str
    attempt: int
    since: float


@dataclass(frozen=True, slots=True)
class Live:
    """A run, as it last said.

    Attributes:
        run_id: of the run.
        pid: of its process.
        started: Unix time.
        updated: Unix time at which the file was written; a run that is well writes every
            :data:`BEAT_S` seconds.
        guest: at the leaves.
        kind: of receipt.
        strategy: of the plan.
        leaves: in the batch.
        levels: jobs done and all jobs, by level; the first is the leaves'.
        jobs: the running ones, by worker, at most :data:`MOST_JOBS`.
        left_s: seconds left, estimated at ``updated``; None when nothing was measured yet.
        left_complete: whether that is all of it, or a lower bound.
        workers_active: busy now.
        workers_limit: at most.
        queue_depth: jobs that could start now but have no worker.
        proofs: made in this run, leaves and aggregations.
        executions: guest runs in execute mode, which prove nothing.
        hits: jobs taken from the cache.
        retries: failed attempts that are made again.
        errors: failed attempts, tried again or not.
        last_error: the last of them in words; empty if there was none.
    """

    run_id: str
    pid: int
    started: float
    updated: float
    guest: str
    kind: str
    strategy: str
    leaves: int
    levels: tuple[tuple[int, int], ...]
    jobs: tuple[RunningJob, ...]
    left_s: float | None
    left_complete: bool
    workers_active: int
    workers_limit: int
    queue_depth: int
    proofs: int
    executions: int
    hits: int
    retries: int
    errors: int
    last_error: str

    @property
    def unfinished(self) -> int:
        """Jobs that are not done."""
        return sum(total - done for done, total in self.levels)

    def to_json(self) -> dict[str, Any]:
        """As in the file, but for what only its reader needs."""
        levels = [{"done": done, "total": total} for done, total in self.levels]
        return {**asdict(self), "levels": levels, "jobs": [asdict(job) for job in self.jobs]}


def read_live(textfile: Path, started: Callable[[int], int | None] | None = None) -> Live | None:
    """The run under way, or None: no file, one that is damaged, or one left by a dead process.

    Args:
        textfile: beside which the file is.
        started: see :func:`look`.
    """
    found, alive = look(textfile, started)
    return found if alive else None


def look(
    textfile: Path, started: Callable[[int], int | None] | None = None
) -> tuple[Live | None, bool]:
    """What the file says, and whether the run that said it is still there.

    A run removes its file when it ends, however it ends. One whose process is gone was killed.

    Args:
        textfile: beside which the file is.
        started: when a process was started, in any unit; 0 if that cannot be known, None
            for no such process.
    """
    lookup = started or process_started
    try:
        with live_path(textfile).open("rb") as file:
            found = json.loads(file.read(_MOST_BYTES))
        if found["format"] != FORMAT:
            return None, False
        then, now = int(found["process_started"]), lookup(int(found["pid"]))
        levels = tuple((int(done), int(total)) for done, total in found["levels"])
        jobs = tuple(
            RunningJob(int(worker), str(job), int(attempt), _finite(since))
            for worker, job, attempt, since in found["jobs"][:MOST_JOBS]
        )
        plain = {name: read(found[name]) for name, read in _FIELDS.items()}
        live = Live(levels=levels, jobs=jobs, **plain)
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None, False
    return live, not (now is None or (then and now and then != now))


def _finite(value: object) -> float:
    number = float(value)  # type: ignore[arg-type]  # TypeError is one of the answers
    if not math.isfinite(number):
        raise ValueError(number)
    return number


_FIELDS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("run_id", "guest", "kind", "strategy", "last_error"), str),
    **dict.fromkeys(("started", "updated"), _finite),
    **dict.fromkeys(("pid", "leaves", "workers_active", "workers_limit", "queue_depth"), int),
    **dict.fromkeys(("proofs", "executions", "hits", "retries", "errors"), int),
    "left_s": lambda value: None if value is None else _finite(value),
    "left_complete": bool,
}


def process_started(pid: int) -> int | None:
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
