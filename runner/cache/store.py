"""The index and the blobs of the proof cache, opened, kept consistent and repaired together."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import sqlite3
import threading
from typing import TYPE_CHECKING, TypeVar

from runner.cache.blobs import Blobs
from runner.cache.index import FILE_SUFFIXES, Index, Row, is_corruption
from runner.errors import CacheError
from runner.untrusted import check_regular

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["Store"]

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class Store:
    """The index and the blobs of one cache folder.

    ``ProofCache`` describes the layout of the folder and the arguments. The store is opened by
    :meth:`open`, or otherwise when it is first used.

    Attributes:
        blobs: The blobs of the folder.
    """

    def __init__(self, folder: Path, max_entries: int, max_bytes: int) -> None:
        self.blobs = Blobs(folder)
        self._folder = folder
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._index: Index | None = None
        self._closed = False

    def open(self) -> None:
        """Open the cache now.

        Raises:
            CacheError: The folder cannot be used.
            RuntimeError: The cache was opened in another process.
        """
        with self._lock, self._errors():
            self._closed = False
            self._current()

    def run(self, work: Callable[[Index, Blobs], _T]) -> _T:
        """Call ``work``, and call it again with a rebuilt index if the index proves to be damaged.

        Raises:
            CacheError: The disk or the index failed for good.
            RuntimeError: The cache was closed, or it was opened in another process.
        """
        with self._lock, self._errors():
            index = self._current()
            try:
                return work(index, self.blobs)
            except sqlite3.DatabaseError as error:
                if not is_corruption(error):
                    raise
                index.close()
                self._index = self._open(damaged=index)
                return work(self._index, self.blobs)

    def close(self) -> None:
        """Close the index. A second call does nothing."""
        with self._lock:
            if self._index is not None:
                self._index.close()
            self._index = None
            self._closed = True

    # -- inside a transaction -------------------------------------------------------------------

    def evict(self, index: Index) -> int:
        """Remove the least recently used entries until the bounds hold.

        The newest entry is removed last, so it stays unless it is larger than the whole cache.

        Returns:
            The number of entries that were removed.
        """
        evicted = 0
        while self._is_over(*index.totals()):
            key = index.oldest()
            self.blobs.remove(key)
            index.delete(key)
            evicted += 1
        return evicted

    def _is_over(self, entries: int, size: int) -> bool:
        return entries > self._max_entries or size > self._max_bytes

    def set_aside(self, index: Index, key: str, reason: str) -> None:
        """Take an entry out of use, and keep its blob so that people can examine it."""
        index.delete(key)
        self.blobs.set_aside(key, reason)

    def finish(self, index: Index) -> None:
        """Complete what crashed writers had begun."""
        for temp, row in index.intents():
            if self.blobs.is_being_written(temp):
                continue  # the blob is not in place yet, and its writer may still be alive
            blob = self.blobs.read(row.key, row)
            if not blob.fault:
                # The blob is in place. Evicting again removes the entries that the writer removed.
                index.insert(row, blob.label.made_from.origin if blob.label else None)
                self.evict(index)
            elif index.row(row.key) is None and os.path.lexists(self.blobs.path(row.key)):
                self.blobs.set_aside(row.key, f"left by a crash; {blob.fault}")
            index.settle(temp)

    # -- the index's life -----------------------------------------------------------------------

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise CacheError(str(self._folder), str(error)) from error

    def _current(self) -> Index:
        if self._closed:
            raise RuntimeError("the cache is closed")
        if self._index is None:
            self._index = self._open()
        if self._index.pid != os.getpid():
            raise RuntimeError("a cache cannot be used across a fork; open it in the new process")
        # Another process may have moved a damaged index aside, or the folder may have been removed.
        if not self._index.in_place():
            self._index.close()
            self._index = self._open()
        return self._index

    def _open(self, damaged: Index | None = None) -> Index:
        self.blobs.make_folders()
        path = self._folder / "index.sqlite"
        with _exclusive(self._folder / "lock"):
            # Another process may already have moved the damaged file aside.
            if damaged is not None and damaged.in_place():
                _move_aside(path)
            try:
                return self._ready(path)
            except sqlite3.DatabaseError as error:
                if not is_corruption(error):
                    raise
                _move_aside(path)
            return self._ready(path)

    def _ready(self, path: Path) -> Index:
        index = Index(path)
        try:
            with index.transaction(durable=True):
                if index.is_new:
                    index.create()
                    self._adopt(index)
                else:
                    index.origins.create()  # an index from an earlier version has no such table
                    self.blobs.remove_stale_temps()
                    self.finish(index)
        except BaseException:
            index.close()
            raise
        return index

    def _adopt(self, index: Index) -> None:
        """Fill a new index from the labels of the blobs, as if these were used in order of age.

        A blob that does not say what it was made from is set aside. It could be under any key.
        """
        adopted, refused = 0, 0
        for key in self.blobs.all():
            # Reading a large cache takes minutes, so the digest is compared by each `get`.
            found, size, fault = self.blobs.labelled(key)
            if found is None or fault:
                self.blobs.set_aside(key, fault)
                refused += 1
                continue
            row = Row.of(found.label, size, found.sha256)
            index.insert(row, found.label.made_from.origin)
            adopted += 1
        if adopted or refused:
            text = "cache index in %s rebuilt from %d blobs; %d were set aside"
            _log.warning(text, self._folder, adopted, refused)


def _move_aside(index: Path) -> None:
    """Rename a damaged index and its journal, which must not be applied to the next index."""
    n = 1
    while (target := index.with_name(f"{index.name}.corrupt-{n}")).exists():
        n += 1
    _log.warning("cache index is damaged: kept as %s, rebuilding it from the blobs", target)
    for suffix in FILE_SUFFIXES:
        with contextlib.suppress(FileNotFoundError):
            index.with_name(index.name + suffix).replace(target.with_name(target.name + suffix))


@contextlib.contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """Hold a lock between processes. The operating system releases it if its holder dies."""
    check_regular(path)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            # Closing the file is not enough, because a process that was forked has it open too.
            fcntl.flock(file, fcntl.LOCK_UN)
