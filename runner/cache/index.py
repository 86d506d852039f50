"""The index of the proof cache: its entries, their order of use, and what they cost to prove.

The index is an SQLite file that any number of processes share. It knows nothing about the blob
files themselves.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import sqlite3
from typing import TYPE_CHECKING

from runner.cache.origins import SCHEMA as ORIGINS_SCHEMA
from runner.cache.origins import Origins
from runner.untrusted import check_regular, parse_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from runner.cache.labels import Label
    from runner.cache.origins import Origin

__all__ = ["FILE_SUFFIXES", "Index", "Row", "damaged", "is_corruption"]

_VERSION = 1
FILE_SUFFIXES = ("-wal", "-shm", "-journal", "")
"""What SQLite appends to the index's name for its own files. The last one is the index itself."""

_WAIT_S = 60.0
"""The seconds to wait for another process's transaction. A transaction takes milliseconds."""

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
    # A put records here what it is about to do. When the cache is opened after a crash, only these
    # blobs have to be examined. ``entry`` is a Row as a JSON list.
    "CREATE TABLE intents (temp TEXT PRIMARY KEY, entry TEXT NOT NULL) WITHOUT ROWID",
    # Triggers keep the totals. Counting a million rows at every put would take longer than the put.
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
    """One entry of the index. The fields have the order of the table's columns.

    An earlier version knew only the key and the size of an entry after it had rebuilt the index.

    Attributes:
        key: The key of the proof, 64 hexadecimal characters.
        size: The size of the proof in bytes, without its label.
        sha256: The SHA-256 of the blob in hex, without its first line if it has a label. It is None
            where an earlier version rebuilt the index and has not read the blob since.
        image_id: The image id of the guest in hex, or None if it is not known.
        kind: The value of a ``ReceiptKind``, or None if it is not known.
        prove_s: The wall seconds that the proof took, or None if they are not known.
        user: The user cycles of the run, or 0 if they are not known.
        paging: The paging cycles, or 0 likewise.
        total: The cycles after padding, or 0 likewise.
        segments: The number of segments, or 0 likewise.
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

    @classmethod
    def of(cls, label: Label, size: int, sha256: str) -> Row:
        """The row of a blob with a label.

        Args:
            label: The label.
            size: The size of the proof in bytes.
            sha256: The digest that the blob's first line has, in hex.
        """
        made, counted = label.made_from, dataclasses.astuple(label.cycles)
        return cls(label.key, size, sha256, made.image_id, made.kind, label.prove_s, *counted)


def is_corruption(error: sqlite3.Error) -> bool:
    """Whether the error says that the file is damaged, rather than busy or not accessible."""
    code = getattr(error, "sqlite_errorcode", None)
    # The low byte is the primary error code. The other bytes distinguish variants of it.
    return code is not None and code & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def damaged(why: str) -> sqlite3.DatabaseError:
    """The error of an index whose content cannot be what this program wrote."""
    error = sqlite3.DatabaseError(why)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


class Index:
    """One connection to the index file. Any method may raise ``sqlite3.Error``.

    A method that writes must be called inside ``transaction``.

    Args:
        path: The index file. It is made if it is missing.
        read_only: Whether to open the file without making or changing anything.

    Attributes:
        path: The index file.
        pid: The process that opened the connection.
        origins: The table that says what the entries were made from.
        is_new: Whether the file has no tables yet.

    Raises:
        sqlite3.DatabaseError: The file cannot be opened, or another version wrote it.
        OSError: The file, or one that SQLite keeps beside it, is no regular file.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self.pid = os.getpid()
        for suffix in FILE_SUFFIXES:
            check_regular(path.with_name(path.name + suffix))
        # Autocommit mode leaves BEGIN to `transaction`. The owner lets in one thread at a time.
        self._db = sqlite3.connect(
            _read_only(path) if read_only else path,
            timeout=_WAIT_S,
            isolation_level=None,
            check_same_thread=False,
            uri=read_only,
        )
        self.origins = Origins(self._db)
        try:
            self._db.execute("PRAGMA trusted_schema = OFF")
            # In WAL mode readers do not wait for writers. A file system without shared memory
            # cannot do this. There SQLite keeps its rollback journal, which is slower but as safe.
            if not read_only:
                self._db.execute("PRAGMA journal_mode = WAL").fetchone()
            self.is_new = self._version() == 0
            if self._version() not in {0, _VERSION}:
                raise sqlite3.DatabaseError(
                    f"{path.name} has version {self._version()}, this program reads {_VERSION}"
                )
            if not self.is_new:
                self._check_schema()
            self._file = self._identity()
        except BaseException:
            self._db.close()
            raise

    def _check_schema(self) -> None:
        """Refuse tables that this program did not make: a view or a trigger can run for ever."""
        known = {_plain(statement) for statement in (*_SCHEMA, *ORIGINS_SCHEMA)}
        query = "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite^_%' ESCAPE '^'"
        found = self._db.execute(query).fetchall()
        strange = [name for name, sql in found if _plain(str(sql)) not in known]
        if strange or not {"entries", "intents", "totals"} <= {name for name, _ in found}:
            raise damaged(f"{self.path.name} has other tables than this program makes")

    def _version(self) -> int:
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    def _identity(self) -> tuple[int, int] | None:
        with contextlib.suppress(FileNotFoundError):
            stat = self.path.stat()
            return stat.st_dev, stat.st_ino
        return None

    def in_place(self) -> bool:
        """Whether the path still names the file of this connection. Works after ``close`` too."""
        return self._file is not None and self._identity() == self._file

    def close(self) -> None:
        """Close the connection. A second call does nothing."""
        self._db.close()

    @contextlib.contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[None]:
        """Exclude all other writers, then commit, or roll back if there is an exception.

        Args:
            durable: Whether the commit waits until the data is on disk. If it does not, a power cut
                may undo the last transactions, though never a part of one. That is good enough for
                the order of use.
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
        """The entry of ``key``, or None if there is none."""
        found = self._db.execute(
            "SELECT key, size, sha256, image_id, kind, prove_s, user_cycles, paging_cycles,"
            " total_cycles, segments FROM entries WHERE key = ?",
            (key,),
        ).fetchone()
        return None if found is None else _row(found)

    def insert(self, row: Row, origin: Origin | None = None) -> None:
        """Insert ``row`` as the newest and last used entry, in place of one with the same key.

        Args:
            row: The entry.
            origin: What the entry was made from, if that is known.
        """
        self.delete(row.key)
        # The order is a sequence number, because a clock may be set back. The next number may have
        # belonged to an entry that was removed, but it is above those of all other entries.
        self._db.execute(
            "INSERT INTO entries SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, next, next FROM"
            " (SELECT coalesce(max(last_used), 0) + 1 AS next FROM entries)",
            dataclasses.astuple(row),
        )
        if origin is not None:
            self.origins.put(row.key, origin)

    def touch(self, key: str) -> None:
        """Make ``key`` the last used entry."""
        self._db.execute(
            "UPDATE entries SET last_used = (SELECT max(last_used) + 1 FROM entries) WHERE key = ?",
            (key,),
        )

    def release(self, keys: Iterable[str]) -> None:
        """Make each of ``keys`` the least recently used entry, if there is one."""
        self._db.executemany(
            "UPDATE entries SET last_used = (SELECT min(last_used) - 1 FROM entries) WHERE key = ?",
            ((key,) for key in keys),
        )

    def delete(self, key: str) -> None:
        """Delete the entry of ``key``, if there is one."""
        self._db.execute("DELETE FROM entries WHERE key = ?", (key,))

    def oldest(self) -> str:
        """The key of the least recently used entry. The index must not be empty."""
        query = "SELECT key FROM entries ORDER BY last_used LIMIT 1"
        return str(self._db.execute(query).fetchone()[0])

    def totals(self) -> tuple[int, int]:
        """The number of entries, and the number of bytes in their blobs."""
        entries, size = self._db.execute("SELECT entries, bytes FROM totals").fetchone()
        return int(entries), int(size)

    def prove_times(self, image_id: str, kind: str, newest: int) -> list[float]:
        """The wall seconds of a guest's newest measured proofs.

        Args:
            image_id: The image id of the guest, in hex.
            kind: The value of the ``ReceiptKind``.
            newest: The largest number of proofs to look at.
        """
        found = self._db.execute(
            "SELECT prove_s FROM entries WHERE image_id = ? AND kind = ?"
            " AND prove_s IS NOT NULL AND typeof(prove_s) = 'real' ORDER BY created DESC LIMIT ?",
            (image_id, kind, newest),
        )
        return [float(row[0]) for row in found]

    def cycle_cost(self, kind: str, newest: int) -> tuple[float, int] | None:
        """See :meth:`runner.cache.cache.CacheView.cycle_cost`.

        Args:
            kind: The value of the ``ReceiptKind``.
            newest: The largest number of proofs to look at.
        """
        seconds, cycles, proofs = self._db.execute(
            "SELECT sum(prove_s), sum(total_cycles), count(*) FROM (SELECT prove_s, total_cycles"
            " FROM entries WHERE kind = ? AND typeof(prove_s) = 'real'"
            " AND typeof(total_cycles) = 'integer' AND total_cycles > 0"
            " ORDER BY created DESC LIMIT ?)",
            (kind, newest),
        ).fetchone()
        return (float(seconds) / int(cycles), int(proofs)) if proofs else None

    def intend(self, temp: str, row: Row) -> None:
        """Record that the temporary file ``temp`` is about to become the blob of ``row``."""
        self._db.execute(
            "INSERT INTO intents VALUES (?, ?)", (temp, json.dumps(dataclasses.astuple(row)))
        )

    def intents(self) -> list[tuple[str, Row]]:
        """The intents that are not settled, from writers at work and from writers that died."""
        found = self._db.execute("SELECT temp, entry FROM intents").fetchall()
        try:
            return [(_file_name(temp), _row(parse_json(entry))) for temp, entry in found]
        except (ValueError, TypeError) as error:
            raise damaged(f"an intent cannot be read: {error}") from None

    def settle(self, temp: str) -> None:
        """Delete an intent, because it was carried out or given up."""
        self._db.execute("DELETE FROM intents WHERE temp = ?", (temp,))


def _plain(statement: str) -> str:
    """A statement of the schema as SQLite records it, in one spelling."""
    return " ".join(statement.replace(" IF NOT EXISTS", "").split())


def _row(values: Sequence[object]) -> Row:
    """Make a row of values whose types SQLite does not check."""
    key, size, sha256, image_id, kind, prove_s, *counts = values
    texts = all(text is None or isinstance(text, str) for text in (sha256, image_id, kind))
    numbers = all(type(count) is int and count >= 0 for count in (size, *counts))
    seconds = prove_s is None or type(prove_s) in {int, float}
    if not (isinstance(key, str) and texts and numbers and seconds and len(counts) == 4):
        raise damaged("a row has values that this program does not write")
    return Row(*values)  # type: ignore[arg-type]  # as just checked


def _file_name(text: object) -> str:
    if not isinstance(text, str) or "/" in text or "\0" in text:
        raise ValueError("no name of a file")
    return text


def _read_only(path: Path) -> str:
    """The URI that makes SQLite open a file without leaving files of its own.

    A reader in WAL mode makes the files that it shares with writers, and it cannot remove them
    again. Where these files are missing nobody writes, so the index is opened as immutable.
    """
    wal = path.with_name(f"{path.name}-wal")
    return f"{path.absolute().as_uri()}?{'mode=ro' if wal.exists() else 'immutable=1'}"
