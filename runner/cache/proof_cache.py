"""The proof cache on disk: content-addressed, bounded, shared by any number of processes.

::

    objects/ab/ab12...      one blob for each proof, named by its key
    tmp/                    blobs that are being written
    quarantine/             blobs that are not what they should be, each with a reason
    index.sqlite            the entries: their digests, their order of use, what they cost to make
    lock                    held while the index is opened, rebuilt or set aside

A blob appears, changes or disappears only inside a write transaction of the index, so that whoever
holds one sees files and rows agree. A crash is the one exception. Its traces are repaired when the
cache is next opened (a blob without a row) or next used (a row without a blob). A reader takes no
lock: it checks the digest, and looks again with writers held off only where that fails.
"""

from __future__ import annotations

import hashlib
import logging
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from runner.cache.cache import ESTIMATE_FROM, Cache, CacheStats, Entry
from runner.cache.index import Index, Row
from runner.cache.store import Store
from runner.cache.view import DiskView
from runner.errors import InputError
from runner.model import Cycles, ReceiptKind

if TYPE_CHECKING:
    from runner.cache.blobs import Blobs
    from runner.cache.origins import Origin

__all__ = ["ProofCache"]

_log = logging.getLogger(__name__)

class ProofCache(Cache):
    """The cache on disk. When it is full, the least recently used proofs go first.

    Threads may share it; another process opens its own, also after a fork. Every method but
    ``close`` raises CacheError when disk or index fail for good, and ValueError for a key that is
    not 64 lower-case hexadecimal characters. An index that is damaged, missing or was replaced is
    rebuilt from the blobs with a warning; order of use and measured figures are then lost.

    Args:
        folder: A folder on a local disk. It is made when the cache is opened.
        max_entries: The most proofs that are kept, at least 1.
        max_bytes: The most bytes that all blobs may have, at least 1. Both bounds hold after every
            ``put``; what an earlier, wider bound let in goes at the next one.

    Attributes:
        folder: The folder; likewise the bounds.

    Raises:
        InputError: The folder has no name, or a bound is below 1.
    """

    keeps: ClassVar[bool] = True

    def __init__(self, folder: str | Path, max_entries: int, max_bytes: int) -> None:
        if not str(folder):
            raise InputError("cache.folder", "", "empty", "give a folder, or use cache=off")
        for name, value in (("max_entries", max_entries), ("max_bytes", max_bytes)):
            if type(value) is not int or value < 1:
                raise InputError(
                    f"cache.{name}", value, "out of range", "give 1 or more, or use cache=off"
                )
        self.folder = Path(folder).expanduser()
        self.max_entries, self.max_bytes = max_entries, max_bytes
        self._store = Store(self.folder, max_entries, max_bytes)
        self.place: str | None = str(self.folder)

    def __enter__(self) -> Self:
        self._store.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the index. A second call does nothing."""
        self._store.close()

    def view(self) -> DiskView:
        """The cache for a dry run. See :class:`DiskView`."""
        return DiskView(self.folder)

    def get(self, key: str) -> Entry | None:
        """Look a proof up and mark it as used.

        Only the bytes that were put in are returned. A blob that has changed goes to quarantine,
        and an entry whose blob is gone is dropped; both read as a miss. The caller verifies, every
        time, whether the bytes are a valid proof.
        """
        self._store.blobs.path(key)

        def work(index: Index, blobs: Blobs) -> Entry | None:
            row = index.row(key)
            if row is None:
                return None
            data, digest, fault = blobs.read(key, row.sha256)
            if not fault:
                with index.transaction():
                    index.touch(key, digest)
                return _entry(row, data)
            # Since the row was read, another process may have replaced or evicted the blob, or may
            # have died while it did.
            with index.transaction(durable=True):
                self._store.finish(index)
                row = index.row(key)
                if row is None:
                    return None
                data, digest, fault = blobs.read(key, row.sha256)
                if fault:
                    self._store.set_aside(index, key, fault)
                    return None
                index.touch(key, digest)
                return _entry(row, data)

        return self._store.run(work)

    def put(  # noqa: PLR0913  # one proof and what was measured while it was made
        self,
        key: str,
        data: bytes,
        *,
        image_id: bytes,
        kind: ReceiptKind,
        cycles: Cycles,
        prove_s: float,
        origin: Origin | None = None,
    ) -> int:
        """Keep a proof, in place of one with the same key.

        When this returns, the proof survives a crash of the process and of the machine.

        Args:
            key: The proof's key, from ``keys.proof_key``.
            data: The encoded receipt. One that is larger than ``max_bytes`` is not kept; the log
                then has a warning.
            image_id: The image id of the guest that ran, for later estimates.
            kind: The kind of receipt, never ``EXECUTE``.
            cycles: The cycles of the run.
            prove_s: The wall seconds that the proof took.
            origin: What the proof was made from, so that later misses can be explained.

        Returns:
            How many other proofs had to go to stay within the bounds.
        """
        self._store.blobs.path(key)
        if kind is ReceiptKind.EXECUTE:
            raise ValueError("execute leaves no receipt, so there is nothing to cache")
        if len(data) > self.max_bytes:
            _log.warning(
                "proof of %d bytes not cached: larger than the whole cache (%d bytes)",
                len(data),
                self.max_bytes,
            )
            return 0
        row = Row(
            key=key,
            size=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            image_id=image_id.hex(),
            kind=kind.value,
            prove_s=prove_s,
            user=cycles.user,
            paging=cycles.paging,
            total=cycles.total,
            segments=cycles.segments,
        )

        def work(index: Index, blobs: Blobs) -> int:
            temp = blobs.prepare(data)
            try:
                with index.transaction(durable=True):
                    index.intend(temp.name, row)
                # From here on a crash leaves enough behind to finish the work; see Store.finish.
                with index.transaction(durable=True):
                    blobs.place(temp, key)
                    index.insert(row)
                    if origin is not None:
                        index.origins.put(key, origin)
                    evicted = self._store.evict(index)
                    index.settle(temp.name)
            except BaseException:
                temp.unlink(missing_ok=True)
                raise
            return evicted

        return self._store.run(work)

    def quarantine(self, key: str, reason: str) -> None:
        """Take a proof out of use, for example because it did not verify, and keep it for a look.

        It moves to ``quarantine/<key>-<n>``, with ``reason`` beside it in ``<key>-<n>.reason``. The
        newest 100 are kept. Without such an entry, all that happens is a warning.
        """
        self._store.blobs.path(key)

        def work(index: Index, _: Blobs) -> None:
            with index.transaction(durable=True):
                self._store.set_aside(index, key, reason)

        self._store.run(work)

    def stats(self) -> CacheStats:
        """What the cache holds now, with what all other processes have put in."""
        return CacheStats(*self._store.run(lambda index, _: index.totals()))

    def mean_prove_s(self, image_id: bytes, kind: ReceiptKind) -> float | None:
        """The mean wall seconds of a guest's newest 20 cached proofs; None without any."""
        times = self._store.run(
            lambda index, _: index.prove_times(image_id.hex(), kind.value, ESTIMATE_FROM)
        )
        return statistics.fmean(times) if times else None


def _entry(row: Row, data: bytes) -> Entry:
    cycles = Cycles(user=row.user, paging=row.paging, total=row.total, segments=row.segments)
    return Entry(data, cycles, row.prove_s or 0.0)
