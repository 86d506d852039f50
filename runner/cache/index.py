"""The proof cache's index: what is in the cache, in which order it was used, what it cost to make.

SQLite, shared by any number of processes. Nothing here knows about the blobs themselves.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import sqlite3
from typing import TYPE_CHECKING

from runner.cache.origins import Origins

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Index", "Row", "is_corruption"]

_VERSION = 1
_WAIT_S = 60.0
"""How long to wait for another process's transaction; they take milliseconds."""

_SCHEMA = (
    """CREATE TABLE entries (
        key TEXT PRIMARY KEY, size INTEGER NOT NULL, sha256 TEXT,
        image_id TEXT, kind TEXT, prove_s REAL,
        user_cycles INTEGER NOT NULL, paging_cycles INTEGER NOT NULL,
        total_cycles INTEGER NOT NULL, segments INTEGER NOT NULL,
        created INTEGER NOT NULL, last_used INTEGER NOT NULL
    ) WITHOUT ROWID""",
    "CREATE INDEX by_use ON entries (last_used)",
    "CREATE INDEX by_program ON entries (image_id, kind, created) WHERE prove_s IS NOT NULL",
    # A put says here what it is about to do, so that an opening after a crash need not look at
    # every blob. ``entry`` is a Row as a JSON list.
    "CREATE TABLE intents (temp TEXT PRIMARY KEY, entry TEXT NOT NULL) WITHOUT ROWID",
    # Kept by triggers: counting a million rows at every put would take longer than the put.
    "CREATE TABLE totals (entries INTEGER NOT NULL, bytes INTEGER NOT NULL)",
    "INSERT INTO totals VALUES (0, 0)",
    """CREATE TRIGGER added AFTER INSERT ON entries BEGIN
        UPDATE totals SET entries = entries + 1, bytes = bytes + new.size; END""",
    """CREATE TRIGGER removed AFTER DELETE ON entries BEGIN
        UPDATE totals SET entries = entries - 1, bytes = bytes - old.size; END""",
    f"PRAGMA user_version = {_VERSION}",
)


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One entry of the index, in the order of its columns.

    Attributes:
        key: 64 hexadecimal characters.
        size: of the blob in bytes.
        sha256: of the blob, hex; None where the index was rebuilt and the blob not read since.
        image_id: hex; None where not known, like ``kind`` (a ``ReceiptKind``'s value).
        prove_s: wall seconds the proof took; None where not known.
        user: cycles, 0 where not known, like the rest.
    """

    key: str
    size: int
    sha256: str | None = None
    image_id: str | None = None
    kind: str | None = None
    prove_s: float | None = None
    user: int = 0
    paging: int = 0
    total: int = 0
    segments: int = 0


def is_corruption(error: sqlite3.Error) -> bool:
    """Whether the file itself is damaged, rather than busy, full or not accessible."""
    code = getattr(error, "sqlite_errorcode", None)
    # The low byte is the primary code; the rest tells variants apart.
    return code is not None and code & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class Index:
    """One connection to the index file. Methods that write belong inside ``transaction``.

    Any method may raise ``sqlite3.Error``.

    Args:
        path: the file, made when it is missing.
        read_only: make and change nothing, no file either.

    Attributes:
        origins: what the entries were made from.

    Raises:
        sqlite3.DatabaseError: the file cannot be opened or is of another version.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self.pid = os.getpid()
        # Autocommit, so that BEGIN below is the only one. The owner serialises its threads.
        self._db = sqlite3.connect(
            _read_only(path) if read_only else path,
            timeout=_WAIT_S,
            isolation_level=None,
            check_same_thread=False,
            uri=read_only,
        )
        self.origins = Origins(self._db)
        try:
            # Readers then do not wait for writers. Some file systems cannot do it (no shared
            # memory); SQLite stays with a rollback journal there, which is slower and as safe.
            if not read_only:
                self._db.execute("PRAGMA journal_mode = WAL").fetchone()
            self.is_new = self._version() == 0
            if self._version() not in {0, _VERSION}:
                raise sqlite3.DatabaseError(
                    f"{path.name} has version {self._version()}, this program reads {_VERSION}"
                )
            self._file = self._identity()
        except BaseException:
            self._db.close()
            raise

    def _version(self) -> int:
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    def _identity(self) -> tuple[int, int] | None:
        with contextlib.suppress(FileNotFoundError):
            stat = self.path.stat()
            return stat.st_dev, stat.st_ino
        return None

    def in_place(self) -> bool:
        """Whether the path still names the file of this connection (also after ``close``)."""
        return self._file is not None and self._identity() == self._file

    def close(self) -> None:
        """Close the connection; again is harmless."""
        self._db.close()

    @contextlib.contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[None]:
        """Hold off all other writers, then commit, or roll back on an exception.

        Args:
            durable: wait at the commit until it is on disk. Without, a power cut may undo the
                last transactions (never a part of one): enough for the order of use.
        """
        self._db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # the first error is the one to report
                self._db.execute("ROLLBACK")
            raise

    def create(self) -> None:
        """Make the tables."""
        for statement in _SCHEMA:
            self._db.execute(statement)
        self.origins.create()
        self.is_new = False

    def row(self, key: str) -> Row | None:
        """The entry of ``key``."""
        found = self._db.execute(
            "SELECT key, size, sha256, image_id, kind, prove_s, user_cycles, paging_cycles,"
            " total_cycles, segments FROM entries WHERE key = ?",
            (key,),
        ).fetchone()
        return None if found is None else Row(*found)

    def insert(self, row: Row) -> None:
        """Put ``row`` in as the newest and last used, in place of one with its key."""
        self.delete(row.key)
        # A sequence number, not a clock: clocks jump. It may restart below a number that was
        # removed, never below one that is still there.
        self._db.execute(
            "INSERT INTO entries SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, next, next FROM"
            " (SELECT coalesce(max(last_used), 0) + 1 AS next FROM entries)",
            dataclasses.astuple(row),
        )

    def touch(self, key: str, sha256: str) -> None:
        """Make ``key`` the last used; record its digest if it had none."""
        self._db.execute(
            "UPDATE entries SET sha256 = coalesce(sha256, ?),"
            " last_used = (SELECT max(last_used) + 1 FROM entries) WHERE key = ?",
            (sha256, key),
        )

    def delete(self, key: str) -> None:
        """Drop the entry of ``key``, if there is one."""
        self._db.execute("DELETE FROM entries WHERE key = ?", (key,))

    def oldest(self) -> str:
        """The least recently used key; there must be one."""
        query = "SELECT key FROM entries ORDER BY last_used LIMIT 1"
        return str(self._db.execute(query).fetchone()[0])

    def totals(self) -> tuple[int, int]:
        """Number of entries, and of bytes in their blobs."""
        entries, size = self._db.execute("SELECT entries, bytes FROM totals").fetchone()
        return int(entries), int(size)

    def prove_times(self, image_id: str, kind: str, newest: int) -> list[float]:
        """Wall seconds of the ``newest`` measured proofs of a program."""
        found = self._db.execute(
            "SELECT prove_s FROM entries WHERE image_id = ? AND kind = ?"
            " AND prove_s IS NOT NULL ORDER BY created DESC LIMIT ?",
            (image_id, kind, newest),
        )
        return [float(row[0]) for row in found]

    def intend(self, temp: str, row: Row) -> None:
        """Announce that the temporary file ``temp`` is about to become the blob of ``row``."""
        self._db.execute(
            "INSERT INTO intents VALUES (?, ?)", (temp, json.dumps(dataclasses.astuple(row)))
        )

    def intents(self) -> list[tuple[str, Row]]:
        """Announcements not settled: of writers at work, and of those that died."""
        found = self._db.execute("SELECT temp, entry FROM intents").fetchall()
        return [(temp, Row(*json.loads(entry))) for temp, entry in found]

    def settle(self, temp: str) -> None:
        """Take an announcement back."""
        self._db.execute("DELETE FROM intents WHERE temp = ?", (temp,))


def _read_only(path: Path) -> str:
    """How SQLite is told to leave no trace.

    A reader makes the files that it shares with writers, and cannot remove them again. Where they
    are missing nobody writes, and the file can be read as one that does not change.
    """
    beside = path.with_name(f"{path.name}-wal")
    return f"{path.absolute().as_uri()}?{'mode=ro' if beside.exists() else 'immutable=1'}"
