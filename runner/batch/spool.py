"""The receipts of a run on disk.

The proof cache is shared and may evict an entry at any time. The run keeps its own receipts here,
so that no aggregation loses a child.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from runner.files import atomic_write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Spool"]


class Spool:
    """The receipts of one run in a folder, by job id.

    Args:
        folder: the folder of the receipts. It is made when the first one is kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, job_id: int) -> Path:
        """The file of a job's receipt, whether or not it is there yet."""
        return self._folder / f"job-{job_id}.receipt"

    def put(self, job_id: int, receipt: bytes) -> None:
        """Keep a receipt. It is on disk when the method returns. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        atomic_write(self.path(job_id), receipt)

    def get(self, job_id: int) -> bytes:
        """Return a receipt that was kept earlier. Raises OSError."""
        return self.path(job_id).read_bytes()

    def keep_only(self, jobs: Sequence[int]) -> None:
        """Keep the receipts of some jobs under new ids, and remove all others.

        Args:
            jobs: the earlier id of each job, by its new id, in ascending order.

        Raises:
            OSError: a receipt cannot be renamed.
        """
        kept = {self.path(job) for job in jobs}
        for path in self._folder.glob("job-*.receipt"):
            if path not in kept:
                path.unlink()
        for new, old in enumerate(jobs):  # no id grows, so that none takes the place of a later one
            if self.path(old).exists():
                self.path(old).replace(self.path(new))

    def clear(self) -> None:
        """Remove all receipts, once the root's receipt makes them superfluous."""
        shutil.rmtree(self._folder, ignore_errors=True)
