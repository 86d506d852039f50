"""What the entries of the cache were made from, so that a miss can be explained.

Two keys that differ do not say what the difference is. This table says it: for each entry it has
the guest, the input and the zkVM. It is a separate table in the index. An index from an earlier
version gets the table when it is next opened, and earlier versions can still use such an index.
Their entries have no origin.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

__all__ = ["SCHEMA", "MadeFrom", "Origin", "Origins", "ProofVariant"]

SCHEMA = (
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
    """What an entry was made from, apart from its image id and kind.

    Attributes:
        guest: The name of the guest, whatever its build.
        stdin: The SHA-256 of the guest's input, in hex.
        zkvm: The name of the zkVM, e.g. ``risc0``.
        zkvm_version: The version of the prover library.
        children: The number of distinct receipts that were its assumptions; 0 for a leaf.
    """

    guest: str
    stdin: str
    zkvm: str
    zkvm_version: str
    children: int


@dataclasses.dataclass(frozen=True, slots=True)
class MadeFrom:
    """All that an entry was made from. It is compared whenever a run uses the entry.

    Attributes:
        image_id: The image id of the guest, in hex.
        kind: The value of a ``ReceiptKind``.
        origin: What else the entry was made from, or None if whoever put it in did not say.
    """

    image_id: str
    kind: str
    origin: Origin | None

    def differences(self, asked: MadeFrom) -> list[str]:
        """The names of the fields that are not what a run asks for.

        The name of the guest is not compared, because one program may have two names.
        """
        mine, other = (
            {"image_id": made.image_id, "kind": made.kind}
            | (dataclasses.asdict(made.origin) if made.origin else {})
            for made in (self, asked)
        )
        return [name for name in other if name != "guest" and mine.get(name, None) != other[name]]


@dataclasses.dataclass(frozen=True, slots=True)
class ProofVariant:
    """What distinguishes an entry from others of the same guest and input.

    Attributes:
        image_id: The image id of the guest, in hex.
        kind: The value of a ``ReceiptKind``.
        zkvm: The name of the zkVM, e.g. ``risc0``.
        zkvm_version: The version of the prover library.
    """

    image_id: str
    kind: str
    zkvm: str
    zkvm_version: str


class Origins:
    """The table of origins in the index. Any method may raise ``sqlite3.Error``.

    Args:
        db: The connection to the index. Its owner begins and ends the transactions.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def create(self) -> None:
        """Make the table if it is missing."""
        for statement in SCHEMA:
            self._db.execute(statement)

    def exists(self) -> bool:
        """Whether the index has the table, which earlier versions did not make."""
        query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'origins'"
        return self._db.execute(query).fetchone() is not None

    def put(self, key: str, origin: Origin) -> None:
        """Record what the entry of ``key`` was made from, until the entry is deleted."""
        values = (key, *dataclasses.astuple(origin))
        self._db.execute("INSERT OR REPLACE INTO origins VALUES (?, ?, ?, ?, ?, ?)", values)

    def variants(self, guest: str, stdin: str) -> list[ProofVariant]:
        """One value for each entry of a guest of this name and an input with this SHA-256."""
        found = self._db.execute(
            "SELECT image_id, kind, zkvm, zkvm_version FROM origins JOIN entries USING (key)"
            " WHERE guest = ? AND stdin = ? AND image_id IS NOT NULL AND kind IS NOT NULL"
            " ORDER BY created DESC",
            (guest, stdin),
        )
        return [ProofVariant(*map(str, row)) for row in found]

    def builds(self, guest: str, newest: int) -> list[str]:
        """The image ids in the ``newest`` entries of guests of this name."""
        found = self._db.execute(
            "SELECT DISTINCT image_id FROM (SELECT image_id FROM origins JOIN entries USING (key)"
            " WHERE guest = ? AND image_id IS NOT NULL ORDER BY created DESC LIMIT ?)",
            (guest, newest),
        )
        return [str(row[0]) for row in found]

    def prove_times(self, image_id: str, kind: str, children: int, newest: int) -> list[float]:
        """The wall seconds of a guest's ``newest`` measured proofs with this number of children."""
        found = self._db.execute(
            "SELECT prove_s FROM entries JOIN origins USING (key) WHERE image_id = ? AND kind = ?"
            " AND children = ? AND typeof(prove_s) = 'real' ORDER BY created DESC LIMIT ?",
            (image_id, kind, children, newest),
        )
        return [float(row[0]) for row in found]

    def missing(self) -> int:
        """The number of entries without an origin."""
        query = "SELECT count(*) FROM entries WHERE key NOT IN (SELECT key FROM origins)"
        return int(self._db.execute(query).fetchone()[0])
