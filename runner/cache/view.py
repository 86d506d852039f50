"""The proof cache, only looked at: what a run would find, and what it would not and why.

Nothing is changed: no order of use, no quarantine, no repair, no folder made. What a run would
repair at its opening (an index that is missing or damaged, a put whose writer was killed) is seen
as it would be after that.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self, TypeVar

from runner.cache.blobs import Blobs
from runner.cache.index import Index, is_corruption
from runner.cache.proof_cache import ESTIMATE_FROM
from runner.errors import CacheError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runner.cache.index import Row
    from runner.cache.origins import Made
    from runner.model import ReceiptKind

__all__ = ["CacheView", "Sight"]

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

_BUILDS_FROM = 10_000
"""Image ids of so many of a program's newest entries are known."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What is there under a key.

    Attributes:
        data: as it was put in; None without a usable entry.
        fault: what is wrong with the entry; empty when nothing is, or there is none.
    """

    data: bytes | None
    fault: str = ""


class CacheView:
    """A cache folder, read and not changed; methods may be called from any thread.

    Args:
        folder: of the cache; it need not be there.

    Raises:
        CacheError: it is there and cannot be read; so may every method.
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
                # A run that died at the very first opening leaves an empty index.
                if self._index.is_new:
                    self.close()
        except (sqlite3.Error, OSError) as error:
            self._broken(error)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the index; again is harmless."""
        if self._index is not None:
            self._index.close()
        self._index = None

    def find(self, key: str) -> Sight:
        """What a look-up would find. Whether it is a valid proof is for the caller to verify."""
        fault = ""
        for _ in range(2):  # another process may have replaced the blob since the row was read
            row = self._read(lambda index: index.row(key), None)
            begun = self._begun.get(key)
            digests = [found.sha256 for found in (row, begun) if found is not None]
            if self._index is None:
                digests = [None]  # a run would take every blob there is for an entry
            for digest in digests:
                data, _, fault = self._blobs.read(key, digest)
                if not fault:
                    return Sight(data)
            if row is None:
                return Sight(None)
        gone = not self._blobs.path(key).exists()
        return Sight(None, "its file is gone" if gone else fault)

    def set_aside(self, key: str) -> str | None:
        """Why an entry of this key was taken out of use, the last time; None if none was."""
        return self._reasons.get(key)

    def made(self, guest: str, stdin: str) -> list[Made]:
        """What the entries were made with that have a program's name and an input's digest."""
        return self._ask(lambda index: index.origins.of_input(guest, stdin), [])

    def builds(self, guest: str) -> list[str]:
        """Image ids, hex, that a program of this name had."""
        return self._ask(lambda index: index.origins.builds(guest, _BUILDS_FROM), [])

    def unexplained(self) -> int:
        """Entries that do not say what they were made from: earlier versions did not record it."""
        if not self._has_origins:
            return self._read(lambda index: index.totals()[0], 0)
        return self._read(lambda index: index.origins.missing(), 0)

    def prove_times(
        self, image_id: bytes, kind: ReceiptKind, children: int | None = None
    ) -> list[float]:
        """Wall seconds of a program's newest measured proofs, of all or with so many children."""
        program = image_id.hex(), kind.value
        if children is None:
            return self._read(lambda index: index.prove_times(*program, ESTIMATE_FROM), [])
        return self._ask(
            lambda index: index.origins.prove_times(*program, children, ESTIMATE_FROM), []
        )

    @cached_property
    def _begun(self) -> dict[str, Row]:
        """What killed writers have put in place and not entered."""
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
        """Something about origins."""
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
