"""Content-addressed proof cache on disk, shared by any number of processes.

::

    objects/ab/ab12...      one blob a proof, named by its key
    tmp/                    blobs being written
    quarantine/             blobs that turned out not to be what they should, each with a reason
    index.sqlite            what there is, its digest, its order of use, what it cost to make
    lock                    held while the index is opened, rebuilt or set aside

A blob only appears, changes or disappears inside a write transaction of the index, so whoever holds
one sees files and rows agree. The one exception is a crash: its traces are repaired at the next
opening (a blob without a row) or at the next use (a row without a blob). A reader takes no lock; it
checks the digest, and only where that fails looks again with writers held off.
"""

from __future__ import annotations

import hashlib
import logging
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

from runner.cache.index import Index, Row
from runner.cache.store import Store
from runner.model import Cycles, ReceiptKind

if TYPE_CHECKING:
    from pathlib import Path

    from runner.cache.blobs import Blobs
    from runner.cache.origins import Origin

__all__ = [
    "ESTIMATE_FROM",
    "Cache",
    "CacheSettings",
    "CacheStats",
    "Entry",
    "NoCache",
    "ProofCache",
]

_log = logging.getLogger(__name__)
ESTIMATE_FROM = 20
"""Times of so many of the newest proofs say how long the next one may take."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A proof out of the cache.

    Attributes:
        data: as it was put in.
        cycles: of the run that was proved; zeros where not known any more.
        prove_s: wall seconds the proof took; 0 where not known any more.
    """

    data: bytes
    cycles: Cycles
    prove_s: float


@dataclass(frozen=True, slots=True)
class CacheStats:
    """What the cache holds.

    Attributes:
        entries: number of proofs.
        bytes: their size on disk.
    """

    entries: int
    bytes: int


class Cache(Protocol):
    """Where finished proofs are kept. ``ProofCache`` documents the methods."""

    def get(self, key: str) -> Entry | None:
        """Look a proof up."""

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
        """Keep a proof; returns how many others had to go."""

    def quarantine(self, key: str, reason: str) -> None:
        """Take a proof out of use."""

    def stats(self) -> CacheStats:
        """What the cache holds now."""

    def mean_prove_s(self, image_id: bytes, kind: ReceiptKind) -> float | None:
        """Mean wall seconds of the newest proofs of a guest; None without any."""

    def close(self) -> None:
        """Release what is held; again is harmless."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class NoCache(Cache):
    """``cache=off``: every look-up misses, nothing is kept."""

    def get(self, key: str) -> Entry | None:  # noqa: ARG002
        """Miss."""
        return None

    def put(self, key: str, data: bytes, **_: object) -> int:  # noqa: ARG002
        """Keep nothing, so nothing has to go."""
        return 0

    def quarantine(self, key: str, reason: str) -> None:
        """Do nothing."""

    def stats(self) -> CacheStats:
        """Nothing."""
        return CacheStats(0, 0)

    def mean_prove_s(self, image_id: bytes, kind: ReceiptKind) -> float | None:  # noqa: ARG002
        """Not known."""
        return None

    def close(self) -> None:
        """Do nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class ProofCache(Cache):
    """The cache on disk, bounded, least recently used out first.

    May be shared by threads, not across a fork: another process opens its own. Every method but
    ``close`` raises ``CacheError`` when disk or index fail for good, and ``ValueError`` for a key
    that is not 64 lower-case hexadecimal characters. An index that is damaged, missing or was
    replaced is rebuilt from the blobs, with a warning; order of use and measured figures are lost.

    Args:
        folder: on a local disk; made when it is missing.
        max_entries: bound on the number of proofs, at least 1.
        max_bytes: bound on the bytes of all blobs, at least 1. Both hold after every ``put``; what
            an earlier, wider bound let in goes at the next one.

    Raises:
        CacheError: the folder cannot be used.
        ValueError: a bound is below 1.
    """

    def __init__(self, folder: Path, max_entries: int, max_bytes: int) -> None:
        if max_entries < 1 or max_bytes < 1:
            raise ValueError("a cache holds at least 1 entry of 1 byte; use NoCache to have none")
        self._max_bytes = max_bytes
        self._store = Store(folder, max_entries, max_bytes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the index; again is harmless."""
        self._store.close()

    def get(self, key: str) -> Entry | None:
        """Look a proof up and mark it as used.

        Only bytes that are the ones put in are returned. A blob that has changed goes to
        quarantine; an entry whose blob is gone is dropped. Both read as a miss. Whether the bytes
        are a valid proof is for the caller to verify, every time.
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
            # Another process may have replaced or evicted the blob since the row was read, or died
            # while it did.
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

        When this returns, it survives a crash of the process and of the machine.

        Args:
            key: from ``keys.proof_key``.
            data: the encoded receipt. One larger than ``max_bytes`` is not kept (log warning).
            image_id: of the guest that ran, for later estimates, like the rest.
            kind: of the receipt, never ``EXECUTE``.
            cycles: of the run.
            prove_s: wall seconds the proof took.
            origin: what it was made from, so that later misses can be explained.

        Returns:
            How many other proofs had to go to stay within the bounds.
        """
        self._store.blobs.path(key)
        if kind is ReceiptKind.EXECUTE:
            raise ValueError("execute leaves no receipt, so there is nothing to cache")
        if len(data) > self._max_bytes:
            _log.warning(
                "proof of %d bytes not cached: larger than the whole cache (%d bytes)",
                len(data),
                self._max_bytes,
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
                # From here on a crash leaves enough to finish the work: see Store.finish.
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
        """Take a proof out of use, e.g. because it did not verify, and keep it for a look.

        It moves to ``quarantine/<key>-<n>``, with ``reason`` beside it in ``<key>-<n>.reason``. The
        newest 100 are kept. Without such an entry nothing happens but a warning.
        """
        self._store.blobs.path(key)

        def work(index: Index, _: Blobs) -> None:
            with index.transaction(durable=True):
                self._store.set_aside(index, key, reason)

        self._store.run(work)

    def stats(self) -> CacheStats:
        """What the cache holds now, for all processes together."""
        return CacheStats(*self._store.run(lambda index, _: index.totals()))

    def mean_prove_s(self, image_id: bytes, kind: ReceiptKind) -> float | None:
        """Mean wall seconds of the newest 20 cached proofs of a guest; None without any."""
        times = self._store.run(
            lambda index, _: index.prove_times(image_id.hex(), kind.value, ESTIMATE_FROM)
        )
        return statistics.fmean(times) if times else None


def _entry(row: Row, data: bytes) -> Entry:
    cycles = Cycles(user=row.user, paging=row.paging, total=row.total, segments=row.segments)
    return Entry(data, cycles, row.prove_s or 0.0)


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """Folder and bounds of the proof cache."""

    folder: Path
    max_entries: int
    max_bytes: int
