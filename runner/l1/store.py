"""Submissions and their transactions on disk: what is signed is here before anybody else has it.

There is one store for each chain and account. SQLite makes each change whole or absent, also when
the power fails; a file lock makes sure that one process at a time uses the account.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
from typing import TYPE_CHECKING, Any

from runner.errors import L1Error
from runner.evm.faults import Fault
from runner.files import make_folder
from runner.l1.gas import Before
from runner.l1.submission import Attempt, Mode, State, Submission, Tracked
from runner.locks import locked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Store", "locked_store"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS submissions (
    id TEXT PRIMARY KEY, key TEXT NOT NULL, mode TEXT NOT NULL, recipient TEXT, data BLOB NOT NULL,
    folder TEXT NOT NULL, state TEXT NOT NULL, since REAL NOT NULL, reason TEXT NOT NULL,
    first_sent REAL, included_at REAL, confirmed_at REAL, mined TEXT, block INTEGER,
    block_hash TEXT, gas_used INTEGER, price TEXT, contract TEXT, others INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS attempts (
    hash TEXT PRIMARY KEY, submission TEXT NOT NULL, nonce INTEGER NOT NULL, raw BLOB NOT NULL,
    max_fee TEXT NOT NULL, tip TEXT NOT NULL, made REAL NOT NULL, sent REAL,
    closed INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS estimates (
    submission TEXT PRIMARY KEY, gas TEXT NOT NULL, leaves INTEGER NOT NULL,
    asked INTEGER NOT NULL, source TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS counted (event TEXT PRIMARY KEY);
"""
# Prices are texts, because SQLite's integers have 63 bits and a price in wei may have more.

_VERSION = 1
_RESULT = tuple(field.name for field in dataclasses.fields(Tracked) if field.name != "submission")


class Store:
    """The submissions of one account on one chain.

    Args:
        path: the file, in an existing folder.
    """

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.row_factory = sqlite3.Row
        # With FULL, a transaction is on disk when the statement returns.
        self._database.execute("PRAGMA synchronous = FULL")
        version = self._database.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, _VERSION):
            self._database.close()
            raise L1Error(
                Fault.BUSY.value, f"{path} is of format {version}, known is {_VERSION}; update"
            )
        self._database.executescript(f"{_SCHEMA} PRAGMA user_version = {_VERSION};")

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def add(self, submission: Submission, now: float) -> Tracked:
        """Note a submission, or find what has become of it if it is there."""
        known = self.find(submission)
        if known is not None:
            return known
        tracked = Tracked(submission, State.PREPARED, now)
        names = ("id", "key", "mode", "recipient", "data", "folder", *_RESULT)
        said: tuple[Any, ...] = (submission.id, submission.key, submission.mode.value)
        said += (submission.to, submission.data, submission.folder)
        self._insert("submissions", names, (*said, *_values(tracked)))
        return tracked

    def find(self, submission: Submission) -> Tracked | None:
        """What has become of a submission, or None if it is not here."""
        row = self._database.execute(
            "SELECT * FROM submissions WHERE id = ?", (submission.id,)
        ).fetchone()
        return None if row is None else _tracked(row)

    def all(self) -> list[Tracked]:
        """All submissions, oldest first."""
        return [
            _tracked(row)
            for row in self._database.execute("SELECT * FROM submissions ORDER BY rowid")
        ]

    def update(self, tracked: Tracked) -> None:
        """Note what has become of a submission."""
        sets = ", ".join(f"{name} = ?" for name in _RESULT)
        self._database.execute(
            f"UPDATE submissions SET {sets} WHERE id = ?",  # noqa: S608  # our names
            (*_values(tracked), tracked.submission.id),
        )

    def attempts(self, submission: Submission) -> list[Attempt]:
        """The transactions of a submission, oldest first."""
        rows = self._database.execute(
            "SELECT * FROM attempts WHERE submission = ? ORDER BY rowid", (submission.id,)
        )
        return [
            Attempt(
                hash=row["hash"],
                nonce=row["nonce"],
                raw=row["raw"],
                max_fee=int(row["max_fee"]),
                tip=int(row["tip"]),
                made=row["made"],
                sent=row["sent"],
                closed=bool(row["closed"]),
            )
            for row in rows
        ]

    def add_attempt(self, submission: Submission, attempt: Attempt) -> None:
        """Note a signed transaction. It is on disk when this returns."""
        names = ("hash", "submission", "nonce", "raw", "max_fee", "tip", "made", "sent", "closed")
        self._insert(
            "attempts",
            names,
            (
                *(attempt.hash, submission.id, attempt.nonce, attempt.raw),
                *(str(attempt.max_fee), str(attempt.tip), attempt.made, attempt.sent),
                attempt.closed,
            ),
        )

    def note_sent(self, attempt: Attempt, now: float) -> None:
        """Note when a node first took a transaction."""
        self._database.execute(
            "UPDATE attempts SET sent = ? WHERE hash = ? AND sent IS NULL", (now, attempt.hash)
        )

    def close_nonce(self, nonce: int) -> None:
        """Note that a nonce was used by a transaction that is not ours."""
        self._database.execute("UPDATE attempts SET closed = 1 WHERE nonce = ?", (nonce,))

    def note_before(self, submission: Submission, before: Before) -> None:
        """Note what the leaves of a batch would have cost one by one."""
        if self.before(submission) is None:
            names = ("submission", "gas", "leaves", "asked", "source")
            values = (submission.id, str(before.gas), before.leaves, before.asked, before.source)
            self._insert("estimates", names, values)

    def before(self, submission: Submission) -> Before | None:
        """What the leaves of a batch would have cost one by one, where it was asked."""
        row = self._database.execute(
            "SELECT * FROM estimates WHERE submission = ?", (submission.id,)
        ).fetchone()
        if row is None:
            return None
        return Before(int(row["gas"]), row["leaves"], row["asked"], row["source"])

    def uncounted(self, events: list[str]) -> list[str]:
        """Those of some events that no figure has counted yet."""
        known = {row["event"] for row in self._database.execute("SELECT event FROM counted")}
        return [event for event in events if event not in known]

    def note_counted(self, event: str) -> None:
        """Note that an event is in the figures."""
        self._database.execute("INSERT OR IGNORE INTO counted VALUES (?)", (event,))

    def _insert(self, table: str, names: tuple[str, ...], values: tuple[Any, ...]) -> None:
        marks = ", ".join("?" * len(names))
        self._database.execute(
            f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})",  # noqa: S608  # our names
            values,
        )


@contextlib.contextmanager
def locked_store(folder: Path, wait_s: float) -> Iterator[Store]:
    """The store in a folder, which no other process uses until it is left.

    Args:
        folder: the folder of one account on one chain. It is made if it is missing.
        wait_s: the seconds to wait for another process.

    Raises:
        L1Error: another process uses it.
        OSError: the folder cannot be used.
    """
    make_folder(folder)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(folder / "lock", wait_s))
        except TimeoutError:
            raise L1Error(
                Fault.BUSY.value, f"another process uses this account ({folder}); try again later"
            ) from None
        store = Store(folder / "transactions.sqlite")
        stack.callback(store.close)
        yield store


def _values(tracked: Tracked) -> tuple[Any, ...]:
    def plain(value: object) -> object:
        return value.value if isinstance(value, State) else value

    return tuple(
        str(tracked.price)
        if name == "price" and tracked.price is not None
        else plain(getattr(tracked, name))
        for name in _RESULT
    )


def _tracked(row: sqlite3.Row) -> Tracked:
    submission = Submission(
        key=row["key"],
        mode=Mode(row["mode"]),
        to=row["recipient"],
        data=row["data"],
        folder=row["folder"],
    )
    values = {name: row[name] for name in _RESULT}
    values["state"] = State(values["state"])
    values["price"] = None if values["price"] is None else int(values["price"])
    values["others"] = bool(values["others"])
    return Tracked(submission, **values)
