"""The proof cache on disk as a dry run reads it.

Nothing changes: the order of use stays, nothing is quarantined or repaired, and no folder is made.
A run repairs the cache when it opens it, if the index is missing or damaged or if a writer was
killed. This view shows the cache as it would be after such a repair.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from functools import cached_property
from typing import TYPE_CHECKING, Self, TypeVar

from runner.cache.blobs import Blobs
from runner.cache.cache import ESTIMATE_FROM, CacheView, LookupResult
from runner.cache.index import Index, is_corruption
from runner.errors import CacheError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runner.cache.index import Row
    from runner.cache.origins import ProofVariant
    from runner.model import ReceiptKind

__all__ = ["DiskView"]

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

_BUILDS_FROM = 10_000
"""The number of a guest's newest entries whose image ids are looked at."""


class DiskView(CacheView):
    """A cache folder that is read but not changed. See :class:`CacheView`.

    Args:
        folder: The folder of the cache, which need not exist.

    Raises:
        CacheError: The folder exists but cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._blobs = Blobs(folder)
        self._lock = threading.Lock()
        self._index: Index | None = None
        path = folder / "index.sqlite"
        try:
            if path.exists():
                self._index = Index(path, read_only=True)
                # A run that died while it first opened the cache leaves an empty index.
                if self._index.is_new:
                    self.close()
        except (sqlite3.Error, OSError) as error:
            self._broken(error)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the index. A second call does nothing."""
        if self._index is not None:
            self._index.close()
        self._index = None

    def find(self, key: str) -> LookupResult:
        """See :class:`CacheView`."""
        fault = ""
        # Another process may replace the blob after the row was read, so it is tried twice.
        for _ in range(2):
            row = self._read(lambda index: index.row(key), None)
            placed = self._placed.get(key)
            rows = [found for found in (row, placed) if found is not None]
            # Without an index, a run would make one from the labels of all blobs.
            for known in [None] if self._index is None else rows:
                blob = self._blobs.read(key, known)
                fault = blob.fault
                if not fault:
                    made_from = blob.label.made_from if blob.label else None
                    return LookupResult(blob.data, made_from=made_from)
            if row is None:
                return LookupResult(None)
        gone = not os.path.lexists(self._blobs.path(key))
        return LookupResult(None, "its file is gone" if gone else fault)

    def quarantine_reason(self, key: str) -> str | None:
        """See :class:`CacheView`."""
        return self._reasons.get(key)

    def variants(self, guest: str, stdin: str) -> list[ProofVariant]:
        """See :class:`CacheView`."""
        return self._ask(lambda index: index.origins.variants(guest, stdin), [])

    def builds(self, guest: str) -> list[str]:
        """See :class:`CacheView`."""
        return self._ask(lambda index: index.origins.builds(guest, _BUILDS_FROM), [])

    def without_origin(self) -> int:
        """See :class:`CacheView`. These are entries from earlier versions, for the most part."""
        if not self._has_origins:
            return self._read(lambda index: index.totals()[0], 0)
        return self._read(lambda index: index.origins.missing(), 0)

    def prove_times(
        self, image_id: bytes, kind: ReceiptKind, children: int | None = None
    ) -> list[float]:
        """See :class:`CacheView`."""
        program = image_id.hex(), kind.value
        if children is None:
            return self._read(lambda index: index.prove_times(*program, ESTIMATE_FROM), [])
        return self._ask(
            lambda index: index.origins.prove_times(*program, children, ESTIMATE_FROM), []
        )

    def cycle_cost(self, kind: ReceiptKind) -> tuple[float, int] | None:
        """See :class:`CacheView`."""
        return self._read(lambda index: index.cycle_cost(kind.value, ESTIMATE_FROM), None)

    @cached_property
    def _placed(self) -> dict[str, Row]:
        """The entries, by key, whose blobs may be in place although their writers were killed."""
        none: list[tuple[str, Row]] = []
        return {row.key: row for _, row in self._read(lambda index: index.intents(), none)}

    @cached_property
    def _has_origins(self) -> bool:
        return self._read(lambda index: index.origins.exists(), otherwise=False)

    @cached_property
    def _reasons(self) -> dict[str, str]:
        try:
            return self._blobs.reasons()
        except OSError:
            return {}

    def _ask(self, question: Callable[[Index], _T], otherwise: _T) -> _T:
        """Ask the index about origins, which an index from an earlier version does not have."""
        return self._read(question, otherwise) if self._has_origins else otherwise

    def _read(self, work: Callable[[Index], _T], otherwise: _T) -> _T:
        with self._lock:
            if self._index is None:
                return otherwise
            try:
                return work(self._index)
            except sqlite3.Error as error:
                self._broken(error)
                return otherwise

    def _broken(self, error: Exception) -> None:
        if not isinstance(error, sqlite3.Error) or not is_corruption(error):
            raise CacheError(str(self._folder), str(error)) from error
        _log.warning("cache index is damaged: a run would rebuild it from the files")
        self.close()
