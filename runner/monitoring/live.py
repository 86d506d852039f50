"""The live figures of a running batch: their file beside the metrics textfile, and its reader.

The file exists while the batch runs, and ``live_file.py`` writes it. It holds gauges and progress
but no totals, so that nothing read from it can make a counter fall when the run ends. Runs that
share a textfile also share this file, which then shows the run that wrote last.
"""

from __future__ import annotations

import math
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.files import followed
from runner.monitoring.hosts import MOST_HOSTS, HostShare
from runner.untrusted import open_regular, parse_json

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "BEAT_S",
    "FORMAT",
    "MOST_JOBS",
    "LiveFigures",
    "RunningJob",
    "live_path",
    "read_last",
    "read_live",
]

FORMAT = 2
BEAT_S = 2.0
"""The longest time between two writes of the file, in seconds, also when nothing happens."""

MOST_JOBS = 128
"""The largest number of running jobs that the file lists. Jobs beyond it are only counted."""

MOST_BYTES = 64 * 1024


def live_path(textfile: Path) -> Path:
    """Return the path of the live figures that belong to a textfile.

    The name does not end in ``.prom``, so that node_exporter does not read the file. It is beside
    the file that a link leads to, so that all names of a textfile have one file of live figures.
    """
    textfile = followed(textfile)
    return textfile.with_name(f"{textfile.name}.live.json")


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job that a worker is running.

    Attributes:
        worker: the worker's number, from 1.
        job: the job's name.
        attempt: the number of the attempt, from 1.
        since: the Unix time at which the attempt began.
    """

    worker: int
    job: str
    attempt: int
    since: float


@dataclass(frozen=True, slots=True)
class LiveFigures:
    """The state of a run when it last wrote its file.

    Attributes:
        run_id: the run's id.
        pid: the id of the run's process.
        started: the Unix time at which the run began.
        updated: the Unix time at which the file was written. A healthy run writes it at least every
            :data:`BEAT_S` seconds.
        guest: the name of the leaves' guest.
        kind: the kind of receipt that is made.
        strategy: the plan's strategy.
        leaves: the number of leaves in the batch.
        levels: the number of jobs done and of all jobs, for each level from the leaves up.
        jobs: the running jobs, ordered by worker, at most :data:`MOST_JOBS`.
        left_s: the seconds left as estimated at ``updated``, or None if nothing was measured yet.
        left_complete: whether ``left_s`` covers all that is left. Otherwise it is a lower bound.
        workers_active: the number of workers that are busy now.
        workers_limit: the largest number of workers that may be busy.
        queue_depth: the number of jobs that could start now but have no worker.
        proofs: the number of proofs made in this run, of leaves and of aggregations.
        executions: the number of guest runs in execute mode, which prove nothing.
        hits: the number of jobs whose receipt came from the cache.
        retries: the number of failed attempts that are followed by another attempt.
        errors: the number of failed attempts.
        last_error: the message of the last failed attempt, or empty if none has failed.
        hosts: what each machine has done, where workers may be elsewhere.
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
    hosts: tuple[HostShare, ...] = ()

    @property
    def unfinished(self) -> int:
        """The number of jobs that are not done."""
        return sum(total - done for done, total in self.levels)

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON values for the status server.

        They differ from the file's, which also has what only its reader needs.
        """
        levels = [{"done": done, "total": total} for done, total in self.levels]
        jobs, hosts = [asdict(job) for job in self.jobs], [asdict(host) for host in self.hosts]
        return {**asdict(self), "levels": levels, "jobs": jobs, "hosts": hosts}


def read_live(
    textfile: Path, started: Callable[[int], int | None] | None = None
) -> LiveFigures | None:
    """Read the figures of the run under way.

    Args:
        textfile: the metrics textfile, beside which the file stands.
        started: the same function as for :func:`read_last`.

    Returns:
        The figures, or None if there is no file, the file is damaged, or the process that wrote it
        is gone.
    """
    found, alive = read_last(textfile, started)
    return found if alive else None


def read_last(
    textfile: Path, started: Callable[[int], int | None] | None = None
) -> tuple[LiveFigures | None, bool]:
    """Read the figures that were written last, by a run that may have been killed since.

    A run removes its file when it ends, whether it succeeds or fails. If its process is gone and
    the file still there, the run was killed.

    Args:
        textfile: the metrics textfile, beside which the file stands.
        started: a function that takes a process id and returns when that process was started, in
            any unit. It returns 0 if that cannot be known, and None if there is no such process.

    Returns:
        The figures, or None if there is no file or the file is damaged; and whether the process
        that wrote them is still there.
    """
    lookup = started or process_started
    try:
        with open_regular(live_path(textfile), follow=True) as file:
            found = parse_json(file.read(MOST_BYTES))
        if found["format"] != FORMAT:
            return None, False
        then, now = int(found["process_started"]), lookup(int(found["pid"]))
        levels = tuple((int(done), int(total)) for done, total in found["levels"])
        jobs = tuple(
            RunningJob(int(worker), str(job), int(attempt), _finite(since))
            for worker, job, attempt, since in found["jobs"][:MOST_JOBS]
        )
        hosts = tuple(
            HostShare(str(host), *map(int, counts))
            for host, *counts in found.get("hosts", [])[: MOST_HOSTS + 1]
        )
        plain = {name: read(found[name]) for name, read in _FIELDS.items()}
        live = LiveFigures(levels=levels, jobs=jobs, hosts=hosts, **plain)
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None, False
    return live, not (now is None or (then and now and then != now))


def _finite(value: object) -> float:
    number = float(value)  # type: ignore[arg-type]  # the caller expects a TypeError
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
    """Return when a process was started, in clock ticks since the machine's start.

    The time tells whether a process id has been given to another process since.

    Returns:
        The time, 0 if there is such a process but its start is not known, or None if there is no
        such process.
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
