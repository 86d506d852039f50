"""A run's own receipts on disk, so that no eviction from the shared cache can take a child away."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from runner.files import atomic_write

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Spool"]


class Spool:
    """Receipts by job id in one folder.

    Args:
        folder: made when the first receipt comes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, job_id: int) -> Path:
        """Where a job's receipt is, or will be."""
        return self._folder / f"job-{job_id}.receipt"

    def put(self, job_id: int, receipt: bytes) -> None:
        """Keep a receipt; on disk when this returns. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        atomic_write(self.path(job_id), receipt)

    def get(self, job_id: int) -> bytes:
        """A receipt kept earlier. Raises OSError."""
        return self.path(job_id).read_bytes()

    def clear(self) -> None:
        """Remove everything: the result carries, or is, what mattered."""
        shutil.rmtree(self._folder, ignore_errors=True)
