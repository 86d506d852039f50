"""The receipts of a run on disk.

The proof cache is shared and may evict an entry at any time. The run keeps its own receipts here,
so that no aggregation loses a child. Those that a worker elsewhere has given to the store stay
there, and the run keeps their digests.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from runner.errors import StoreError
from runner.files import atomic_write
from runner.model import Stored
from runner.records import Numbers

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from runner.store.artifacts import Artifacts

__all__ = ["Spool"]


class Spool:
    """The receipts of one run in a folder, by job id.

    Args:
        folder: the folder of the receipts. It is made when the first one is kept.
        artifacts: the store of receipts that workers elsewhere have made, or None.
    """

    def __init__(self, folder: Path, artifacts: Artifacts | None = None) -> None:
        self._folder = folder
        self._artifacts = artifacts
        self._stored = _Whereabouts()

    def path(self, job_id: int) -> Path:
        """The file of a job's receipt, whether or not it is there yet."""
        return self._folder / f"job-{job_id}.receipt"

    def put(self, job_id: int, receipt: bytes) -> None:
        """Keep a receipt. It is on disk when the method returns. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        atomic_write(self.path(job_id), receipt)

    def refer(self, job_id: int, stored: Stored) -> None:
        """Keep where in the store a receipt is."""
        self._stored.put(job_id, stored)

    def stored(self, job_id: int) -> Stored | None:
        """Where in the store a receipt is, or None if it is on this disk."""
        return self._stored.get(job_id)

    def get(self, job_id: int) -> bytes:
        """Return a receipt that was kept earlier. One from the store is on this disk afterwards.

        Raises:
            OSError: The disk failed.
            StoreError: The store does not give the receipt.
        """
        stored = self._stored.get(job_id)
        if stored is None:
            return self.path(job_id).read_bytes()
        if self._artifacts is None:
            raise StoreError("", f"there is no store to take {stored.sha256} from")
        receipt = self._artifacts.get(stored.sha256, stored.size)
        self.put(job_id, receipt)
        self._stored.drop(job_id)
        return receipt

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
        earlier, self._stored = self._stored, _Whereabouts()
        for new, old in enumerate(jobs):
            if (stored := earlier.get(old)) is not None:
                self._stored.put(new, stored)

    def clear(self) -> None:
        """Remove all receipts, once the root's receipt makes them superfluous."""
        shutil.rmtree(self._folder, ignore_errors=True)


class _Whereabouts:
    """Where in the store receipts are: for each a digest of 32 bytes, and two numbers."""

    def __init__(self) -> None:
        self._digests = bytearray()
        self._sizes, self._hosts = Numbers(), Numbers()
        self._numbers: dict[str, int] = {}
        self._names: list[str] = []

    def put(self, job_id: int, stored: Stored) -> None:
        start = 32 * job_id
        if start >= len(self._digests):
            self._digests.extend(bytes(start + 32 - len(self._digests)))
        self._digests[start : start + 32] = bytes.fromhex(stored.sha256)
        self._sizes[job_id] = stored.size
        number = self._numbers.setdefault(stored.host, len(self._names))
        if number == len(self._names):
            self._names.append(stored.host)
        self._hosts[job_id] = number

    def get(self, job_id: int) -> Stored | None:
        if job_id not in self._sizes:
            return None
        digest = self._digests[32 * job_id : 32 * job_id + 32].hex()
        return Stored(digest, self._sizes[job_id], self._names[self._hosts[job_id]])

    def drop(self, job_id: int) -> None:
        del self._sizes[job_id], self._hosts[job_id]
