"""What the cache's entries were made from, so that a miss can be explained.

A key says that something differs and not what. This table says for each entry which guest had which
input, under which zkVM. It stands beside the entries: an index that an earlier version made gets it
at its next opening, and earlier versions go on with an index that has it. Entries of theirs are
without origin, and so are those whose writer was killed.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

__all__ = ["Made", "Origin", "Origins"]

_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS origins (
        key TEXT PRIMARY KEY, guest TEXT NOT NULL, stdin TEXT NOT NULL,
        zkvm TEXT NOT NULL, zkvm_version TEXT NOT NULL, children INTEGER NOT NULL
    ) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS by_input ON origins (guest, stdin)",
    """CREATE TRIGGER IF NOT EXISTS forgotten AFTER DELETE ON entries BEGIN
        DELETE FROM origins WHERE key = old.key; END""",
)


@dataclasses.dataclass(frozen=True, slots=True)
class Origin:
    """What an entry was made from, beside its image id and kind.

    Attributes:
        guest: name of the program, whatever its build.
        stdin: SHA-256 of its input, hex.
        zkvm: e.g. ``risc0``.
        zkvm_version: of the prover library.
        children: distinct receipts it took as assumptions; 0 for a leaf.
    """

    guest: str
    stdin: str
    zkvm: str
    zkvm_version: str
    children: int


@dataclasses.dataclass(frozen=True, slots=True)
class Made:
    """What an entry of some input was made with.

    Attributes:
        image_id: hex, like all ids of the index.
        kind: a ``ReceiptKind``'s value.
        zkvm: e.g. ``risc0``.
        zkvm_version: of the prover library.
    """

    image_id: str
    kind: str
    zkvm: str
    zkvm_version: str


class Origins:
    """The table, in the index's database. Any method may raise ``sqlite3.Error``.

    Args:
        db: of the index; its transactions are the owner's.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def create(self) -> None:
        """Make the table where it is missing."""
        for statement in _SCHEMA:
            self._db.execute(statement)

    def exists(self) -> bool:
        """Whether a version that knows the table has opened this index."""
        query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'origins'"
        return self._db.execute(query).fetchone() is not None

    def put(self, key: str, origin: Origin) -> None:
        """Say what the entry of ``key`` was made from; it goes with the entry."""
        values = (key, *dataclasses.astuple(origin))
        self._db.execute("INSERT OR REPLACE INTO origins VALUES (?, ?, ?, ?, ?, ?)", values)

    def of_input(self, guest: str, stdin: str) -> list[Made]:
        """What the entries were made with that have this program's name and input."""
        found = self._db.execute(
            "SELECT image_id, kind, zkvm, zkvm_version FROM origins JOIN entries USING (key)"
            " WHERE guest = ? AND stdin = ? AND image_id IS NOT NULL AND kind IS NOT NULL"
            " ORDER BY created DESC",
            (guest, stdin),
        )
        return [Made(*row) for row in found]

    def builds(self, guest: str, newest: int) -> list[str]:
        """Image ids that a program of this name had, of its ``newest`` entries."""
        found = self._db.execute(
            "SELECT DISTINCT image_id FROM (SELECT image_id FROM origins JOIN entries USING (key)"
            " WHERE guest = ? AND image_id IS NOT NULL ORDER BY created DESC LIMIT ?)",
            (guest, newest),
        )
        return [str(row[0]) for row in found]

    def prove_times(self, image_id: str, kind: str, children: int, newest: int) -> list[float]:
        """Wall seconds of the newest measured proofs of a program with so many children."""
        found = self._db.execute(
            "SELECT prove_s FROM entries JOIN origins USING (key) WHERE image_id = ? AND kind = ?"
            " AND children = ? AND prove_s IS NOT NULL ORDER BY created DESC LIMIT ?",
            (image_id, kind, children, newest),
        )
        return [float(row[0]) for row in found]

    def missing(self) -> int:
        """Entries without origin."""
        query = "SELECT count(*) FROM entries WHERE key NOT IN (SELECT key FROM origins)"
        return int(self._db.execute(query).fetchone()[0])
