"""Where a job's bytes are, or will be needed."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner.model import Outcome, ProofJob

__all__ = ["Room", "near"]


def near(job: ProofJob) -> str | None:
    """The machine that made most bytes of what a job needs, and keeps them on its disk.

    Returns:
        The name of the machine. For a job that needs nothing that a worker has stored, it is the
        one that the job itself names, or None.
    """
    sizes: Counter[str] = Counter()
    children = [child.stored for child in job.children]
    for stored in [*children, *(job.part.stored if job.part is not None else ())]:
        if stored is not None and stored.host:
            sizes[stored.host] += stored.size
    # Of two with as many bytes, the one with the lower name, so that a run can be repeated.
    return min(sizes, key=lambda host: (-sizes[host], host), default=job.host or None)


class Room:
    """The machines that have room for one more job, because one has just ended there.

    Which machine runs a job is for the engine to say, so that this is a good guess. Only machines
    that keep receipts are here, because on all others it is the same which job they run.

    Args:
        most: the number of jobs that run side by side on all machines.
    """

    def __init__(self, most: int) -> None:
        self._hosts: deque[str] = deque(maxlen=most)

    @property
    def first(self) -> str:
        """The machine that has had room for longest; empty if none is known."""
        return self._hosts[0] if self._hosts else ""

    def ended(self, outcome: Outcome) -> None:
        """Note that a job has ended."""
        if outcome.stored is not None and outcome.stored.host:
            self._hosts.append(outcome.stored.host)

    def started(self, job: ProofJob) -> None:
        """Note that a job with all its data was given to the engine."""
        if not self._hosts:
            return
        host = near(job)
        if host is not None and host in self._hosts:
            self._hosts.remove(host)
        else:
            self._hosts.popleft()
