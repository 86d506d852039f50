"""The proof cache on disk. It is content-addressed, bounded and shared by any number of processes.

::

    objects/ab/ab12...      one blob for each proof, named by its key, with what it was made from
    tmp/                    blobs that are being written
    quarantine/             blobs that were taken out of use, each with a note of the reason
    index.sqlite            the entries: their digests, their order of use, what they cost to prove
    lock                    held while the index is opened, rebuilt or moved aside

A blob appears, changes or disappears only inside a write transaction of the index. So whoever is in
such a transaction sees files and rows that agree. The one exception is a crash. A blob without a
row, which it may leave, is repaired when the cache is next opened, and a row without a blob when it
is next used. A reader takes no lock. It checks the digest of the blob and the key in it, and only
if one of them is wrong it reads again while writers are excluded.
"""

from __future__ import annotations

import logging
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from runner.cache.cache import ESTIMATE_FROM, Cache, CacheStats, Entry
from runner.cache.index import Index, Row
from runner.cache.labels import Label
from runner.cache.origins import MadeFrom
from runner.cache.store import Store
from runner.cache.view import DiskView
from runner.errors import InputError
from runner.model import Cycles, ReceiptKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runner.cache.blobs import Blob, Blobs
    from runner.cache.origins import Origin

__all__ = ["ProofCache"]

_log = logging.getLogger(__name__)


class ProofCache(Cache):
    """The cache on disk. When it is full, the least recently used proofs are evicted.

    Threads may share one object. Every process makes its own, even after a fork. Every method but
    ``close`` raises CacheError if the disk or the index fails for good, and ValueError for a key
    that is not 64 lower-case hexadecimal characters. An index that is damaged or missing is rebuilt
    with a warning, from what the blobs say they were made from. The order of use is then lost.

    Args:
        folder: A folder on a local disk. It is made when the cache is opened.
        max_entries: The largest number of proofs to keep, at least 1.
        max_bytes: The largest size of all proofs together, at least 1. What a blob says about its
            proof, about half a kilobyte, is not counted. Both bounds hold after every ``put``, so
            that after a bound was lowered the next ``put`` evicts what exceeds it.

    Attributes:
        folder: The folder of the cache.
        max_entries: The largest number of proofs to keep.
        max_bytes: The largest size of all proofs together.

    Raises:
        InputError: The name of the folder is empty, or a bound is below 1.
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
        self.folder = Path(folder)
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
        """Return the view for a dry run. See :class:`DiskView`."""
        return DiskView(self.folder)

    def get(self, key: str) -> Entry | None:
        """Look up a proof and mark it as used.

        Only the bytes that were put in under this key are returned. A blob that has changed, or is
        another key's, is moved to quarantine, and an entry whose blob is gone is dropped. The
        look-up then misses. The caller verifies every time whether the bytes are a valid proof.
        """
        self._store.blobs.path(key)

        def work(index: Index, blobs: Blobs) -> Entry | None:
            row = index.row(key)
            if row is None:
                return None
            blob = blobs.read(key, row)
            if not blob.fault:
                with index.transaction():
                    index.touch(key)
                return _entry(row, blob)
            # Another process may have replaced or evicted the blob since the row was read, or may
            # have died while doing so.
            with index.transaction(durable=True):
                self._store.finish(index)
                row = index.row(key)
                if row is None:
                    return None
                blob = blobs.read(key, row)
                if blob.fault:
                    self._store.set_aside(index, key, blob.fault)
                    return None
                index.touch(key)
                return _entry(row, blob)

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
            data: The encoded receipt. If it is larger than ``max_bytes`` it is not kept, and a
                warning is logged.
            image_id: The image id of the guest that ran, for later estimates.
            kind: The kind of receipt, never ``EXECUTE``.
            cycles: The cycles of the run.
            prove_s: The wall seconds that the proof took.
            origin: What else the proof was made from. It is compared when the proof is used, and
                explains later misses.

        Returns:
            The number of other proofs that were evicted to stay within the bounds.
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
        label = Label(key, MadeFrom(image_id.hex(), kind.value, origin), cycles, prove_s)
        content, sha256 = label.before(data)
        row = Row.of(label, len(data), sha256)

        def work(index: Index, blobs: Blobs) -> int:
            temp = blobs.prepare(content)
            try:
                with index.transaction(durable=True):
                    index.intend(temp.name, row)
                # From here on Store.finish can complete the work if this process crashes.
                with index.transaction(durable=True):
                    blobs.place(temp, key)
                    index.insert(row, origin)
                    evicted = self._store.evict(index)
                    index.settle(temp.name)
            except BaseException:
                temp.unlink(missing_ok=True)
                raise
            return evicted

        return self._store.run(work)

    def quarantine(self, key: str, reason: str) -> None:
        """Take a proof out of use, for example because it did not verify.

        So that people can examine it, it is moved to ``quarantine/<key>-<n>``, with ``reason`` in
        ``<key>-<n>.reason`` beside it. The newest 100 are kept. If there is no entry with this key,
        the only effect is a warning.
        """
        self._store.blobs.path(key)

        def work(index: Index, _: Blobs) -> None:
            with index.transaction(durable=True):
                self._store.set_aside(index, key, reason)

        self._store.run(work)

    def release(self, keys: Iterable[str]) -> None:
        """Let proofs be evicted before all others. A look-up makes one as good as the others."""
        released = list(keys)
        for key in released:
            self._store.blobs.path(key)

        def work(index: Index, _: Blobs) -> None:
            with index.transaction():
                index.release(released)

        self._store.run(work)

    def stats(self) -> CacheStats:
        """What the cache holds now, including what other processes have put in."""
        return CacheStats(*self._store.run(lambda index, _: index.totals()))

    def mean_prove_s(self, image_id: bytes, kind: ReceiptKind) -> float | None:
        """The mean wall seconds of a guest's newest 20 cached proofs, or None if there are none."""
        times = self._store.run(
            lambda index, _: index.prove_times(image_id.hex(), kind.value, ESTIMATE_FROM)
        )
        return statistics.fmean(times) if times else None


def _entry(row: Row, blob: Blob) -> Entry:
    cycles = Cycles(user=row.user, paging=row.paging, total=row.total, segments=row.segments)
    made_from = blob.label.made_from if blob.label else None
    return Entry(blob.data, cycles, row.prove_s or 0.0, made_from)
