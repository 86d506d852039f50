"""The proof cache on disk as a dry run looks at it.

Nothing in it changes: no order of use, no quarantine, no repair, and no folder is made. Where a run
would repair the cache when it opens it (an index that is missing or damaged, a put whose writer was
killed), this view shows the cache as it would be afterwards.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from functools import cached_property
from typing import TYPE_CHECKING, Self, TypeVar

from runner.cache.blobs import Blobs
from runner.cache.cache import ESTIMATE_FROM, CacheView, Found
from runner.cache.index import Index, is_corruption
from runner.errors import CacheError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runner.cache.index import Row
    from runner.cache.origins import Made
    from runner.model import ReceiptKind

__all__ = ["DiskView"]

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

_BUILDS_FROM = 10_000
"""The image ids of so many of a guest's newest entries are looked at."""


class DiskView(CacheView):
    """A cache folder that is read and not changed.

    Args:
        folder: The folder of the cache, which need not exist.

    Raises:
        CacheError: The folder exists and cannot be read.
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
                # A run that died when it first opened the cache leaves an empty index.
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

    def find(self, key: str) -> Found:
        """See :class:`CacheView`; likewise the others."""
        fault = ""
        # Another process may replace the blob after the row was read, so there are two tries.
        for _ in range(2):
            row = self._read(lambda index: index.row(key), None)
            begun = self._begun.get(key)
            digests = [found.sha256 for found in (row, begun) if found is not None]
            if self._index is None:
                digests = [None]  # a run would rebuild the index from every blob there is
            for digest in digests:
                data, _, fault = self._blobs.read(key, digest)
                if not fault:
                    return Found(data)
            if row is None:
                return Found(None)
        gone = not self._blobs.path(key).exists()
        return Found(None, "its file is gone" if gone else fault)

    def set_aside(self, key: str) -> str | None:
        """See :class:`CacheView`."""
        return self._reasons.get(key)

    def made(self, guest: str, stdin: str) -> list[Made]:
        """See :class:`CacheView`."""
        return self._ask(lambda index: index.origins.of_input(guest, stdin), [])

    def builds(self, guest: str) -> list[str]:
        """See :class:`CacheView`."""
        return self._ask(lambda index: index.origins.builds(guest, _BUILDS_FROM), [])

    def unexplained(self) -> int:
        """See :class:`CacheView`. Earlier versions did not record what a proof was made from."""
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

    @cached_property
    def _begun(self) -> dict[str, Row]:
        """The blobs that killed writers have put in place and not entered into the index."""
        none: list[tuple[str, Row]] = []
        return {row.key: row for _, row in self._read(lambda index: index.intents(), none)}

    @cached_property
    def _has_origins(self) -> bool:
        return self._read(lambda index: index.origins.exists(), otherwise=False)

    @cached_property
    def _reasons(self) -> dict[str, str]:
        found = {}
        with contextlib.suppress(OSError):
            notes = sorted(
                (self._folder / "quarantine").glob("*.reason"),
                key=lambda note: note.stat().st_mtime_ns,
            )
            for note in notes:
                found[note.name.partition("-")[0]] = note.read_text("utf-8", "replace").strip()
        return found

    def _ask(self, question: Callable[[Index], _T], otherwise: _T) -> _T:
        """Ask the index about origins, which an index of an earlier version lacks."""
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
