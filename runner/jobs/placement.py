"""Where a job's bytes are."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner.model import ProofJob

__all__ = ["near"]


def near(job: ProofJob) -> str | None:
    """The machine that made most bytes of a job's children, and keeps them on its disk.

    Returns:
        The name of the machine, or None if the job has no children in the store.
    """
    sizes: Counter[str] = Counter()
    for child in job.children:
        if child.stored is not None:
            sizes[child.stored.host] += child.stored.size
    # Of two with as many bytes, the one with the lower name, so that a run can be repeated.
    return min(sizes, key=lambda host: (-sizes[host], host), default=None)
