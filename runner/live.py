"""What a batch is doing right now: the small file beside the metrics textfile, and its reader.

The file is there while the batch runs and gone afterwards; :mod:`runner.live_file` writes it. It
carries gauges and progress, no totals, so nothing read from it can make a counter fall when the run
ends. Runs that share a textfile share this file as well: it shows the one that wrote last.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FORMAT", "Live", "live_path", "process_started", "read_live"]

FORMAT = 1
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


def read_live(textfile: Path, started: Callable[[int], int | None] | None = None) -> Live | None:
    """The run under way, or None: no file, one that is damaged, or one left by a dead process.

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
