"""Where a job's bytes are."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner.model import ProofJob

__all__ = ["near"]


def near(job: ProofJob) -> str | None:
    """The machine that made most bytes of what a job needs, and keeps them on its disk.

    Returns:
        The name of the machine, or None if the job needs nothing that a worker has stored.
    """
    sizes: Counter[str] = Counter()
    children = [child.stored for child in job.children]
    for stored in [*children, *(job.part.stored if job.part is not None else ())]:
        if stored is not None and stored.host:
            sizes[stored.host] += stored.size
    # Of two with as many bytes, the one with the lower name, so that a run can be repeated.
    return min(sizes, key=lambda host: (-sizes[host], host), default=None)
