"""A dry run's view changes nothing in the cache, and says what the entries were made from."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from typing import TYPE_CHECKING

import pytest

from runner.cache.cache import LookupResult
from runner.cache.index import Index
from runner.cache.origins import MadeFrom, Origin, ProofVariant
from runner.cache.proof_cache import ProofCache
from runner.cache.view import DiskView
from runner.errors import CacheError
from runner.model import Cycles, ReceiptKind
from tests.cache import entries
from tests.cache.entries import IMAGE, blob, key, tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ORIGIN = Origin("sha256", "ab" * 32, "risc0", "3.0.6", 0)

# The index as the first version wrote it.
VERSION_1 = """
CREATE TABLE entries (
    key TEXT PRIMARY KEY, size INTEGER NOT NULL, sha256 TEXT,
    image_id TEXT, kind TEXT, prove_s REAL,
    user_cycles INTEGER NOT NULL, paging_cycles INTEGER NOT NULL,
    total_cycles INTEGER NOT NULL, segments INTEGER NOT NULL,
    created INTEGER NOT NULL, last_used INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX by_use ON entries (last_used);
CREATE INDEX by_program ON entries (image_id, kind, created) WHERE prove_s IS NOT NULL;
CREATE TABLE intents (temp TEXT PRIMARY KEY, entry TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE totals (entries INTEGER NOT NULL, bytes INTEGER NOT NULL);
INSERT INTO totals VALUES (0, 0);
CREATE TRIGGER added AFTER INSERT ON entries BEGIN
    UPDATE totals SET entries = entries + 1, bytes = bytes + new.size; END;
CREATE TRIGGER removed AFTER DELETE ON entries BEGIN
    UPDATE totals SET entries = entries - 1, bytes = bytes - old.size; END;
PRAGMA user_version = 1;
"""
INSERT = """INSERT INTO entries SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, next, next FROM
    (SELECT coalesce(max(last_used), 0) + 1 AS next FROM entries)"""


@pytest.fixture
def cache(folder: Path) -> Iterator[ProofCache]:
    with ProofCache(folder, 100, 10_000) as opened:
        yield opened


def put(
    cache: ProofCache,
    name: str,
    data: bytes = b"data",
    origin: Origin | None = ORIGIN,
    prove_s: float = 17.5,
) -> None:
    entries.put(cache, name, data, origin=origin, prove_s=prove_s)


def found(data: bytes) -> LookupResult:
    """What is found under a key that ``data`` was put under."""
    return LookupResult(data, made_from=MadeFrom(IMAGE.hex(), "composite", ORIGIN))


def row(name: str, data: bytes, image_id: bytes = IMAGE) -> tuple[object, ...]:
    digest = hashlib.sha256(data).hexdigest()
    return (key(name), len(data), digest, image_id.hex(), "composite", 3.0, 1, 2, 4, 1)


def old_index(folder: Path) -> None:
    """Make a cache with the entry ``old`` as the first version left it."""
    blob(folder, "old").parent.mkdir(parents=True)
    blob(folder, "old").write_bytes(b"of old")
    with sqlite3.connect(folder / "index.sqlite") as db:
        db.executescript(VERSION_1)
        db.execute(INSERT, row("old", b"of old"))
    db.close()


# -- origins ----------------------------------------------------------------------------------


def test_an_entry_says_what_it_was_made_from_for_as_long_as_it_is_there(
    cache: ProofCache, folder: Path
) -> None:
    put(cache, "a")
    put(cache, "b", origin=None)
    with DiskView(folder) as view:
        made = [ProofVariant(IMAGE.hex(), "composite", "risc0", "3.0.6")]
        assert view.variants("sha256", "ab" * 32) == made
        assert view.variants("fibonacci", "ab" * 32) == view.variants("sha256", "cd" * 32) == []
        assert view.builds("sha256") == [IMAGE.hex()]
        assert view.without_origin() == 1
        put(cache, "a", b"another", origin=None)
        assert (view.variants("sha256", "ab" * 32), view.without_origin()) == ([], 2)
        put(cache, "a")
        assert view.variants("sha256", "ab" * 32) == made
        cache.quarantine(key("a"), "for a test")
        assert view.variants("sha256", "ab" * 32) == []


def test_an_evicted_entry_is_forgotten(folder: Path) -> None:
    with ProofCache(folder, 1, 10_000) as cache, DiskView(folder) as view:
        put(cache, "a")
        put(cache, "b", origin=Origin("sha256", "cd" * 32, "risc0", "3.0.6", 0))
        assert view.variants("sha256", "ab" * 32) == []
        assert len(view.variants("sha256", "cd" * 32)) == 1


def test_an_index_of_the_first_version_goes_on(folder: Path) -> None:
    old_index(folder)
    before = tree(folder)
    with DiskView(folder) as view:  # the view must not migrate the index
        assert view.find(key("old")) == LookupResult(b"of old")
        assert (view.variants("sha256", "ab" * 32), view.without_origin()) == ([], 1)
        assert view.prove_times(IMAGE, ReceiptKind.COMPOSITE) == [3.0]
        assert view.prove_times(IMAGE, ReceiptKind.COMPOSITE, 0) == []
    assert tree(folder) == before
    with ProofCache(folder, 100, 10_000) as cache:
        entry = cache.get(key("old"))
        assert entry is not None
        assert (entry.data, entry.cycles, entry.made_from) == (b"of old", Cycles(1, 2, 4, 1), None)
        put(cache, "a")
        assert cache.stats().entries == 2
    with DiskView(folder) as view:
        assert (len(view.variants("sha256", "ab" * 32)), view.without_origin()) == (1, 1)


def test_the_first_version_goes_on_with_an_index_of_this_one(
    cache: ProofCache, folder: Path
) -> None:
    put(cache, "a")
    with sqlite3.connect(folder / "index.sqlite") as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        db.execute(INSERT, row("new", b"data"))
        db.execute("DELETE FROM entries WHERE key = ?", (key("a"),))
        assert db.execute("SELECT count(*) FROM origins").fetchone() == (0,)
    db.close()
    assert cache.stats().entries == 1


def test_times_are_kept_apart_by_the_number_of_children(cache: ProofCache, folder: Path) -> None:
    for number, (children, prove_s) in enumerate([(4, 10.0), (4, 12.0), (8, 30.0)]):
        origin = Origin("aggregator", "ab" * 32, "risc0", "3.0.6", children)
        put(cache, str(number), origin=origin, prove_s=prove_s)
    with DiskView(folder) as view:
        assert view.prove_times(IMAGE, ReceiptKind.COMPOSITE, 4) == [12.0, 10.0]
        assert view.prove_times(IMAGE, ReceiptKind.COMPOSITE, 5) == []
        assert view.prove_times(IMAGE, ReceiptKind.COMPOSITE) == [30.0, 12.0, 10.0]
        assert view.prove_times(IMAGE, ReceiptKind.SUCCINCT) == []


# -- the view ---------------------------------------------------------------------------------


def test_looking_changes_nothing(folder: Path) -> None:
    with ProofCache(folder, 100, 10_000) as cache:
        for name in "abc":
            put(cache, name, name.encode())
        blob(folder, "b").write_bytes(b"changed")
        blob(folder, "c").unlink()
    (folder / "tmp" / ".left.tmp").touch()
    before = tree(folder)
    time.sleep(0.01)
    with DiskView(folder) as view:
        assert view.find(key("a")) == found(b"a")
        assert view.find(key("b")).data is None
        assert "SHA-256 is" in view.find(key("b")).fault
        assert view.find(key("c")) == LookupResult(None, "its file is gone")
        assert view.find(key("d")) == LookupResult(None)
    assert tree(folder) == before  # SQLite has left no files, and the order of use is the same


def test_a_folder_that_is_not_there_is_not_made(folder: Path) -> None:
    with DiskView(folder) as view:
        assert view.find(key("a")) == LookupResult(None)
        assert view.variants("sha256", "ab" * 32) == []
        assert view.builds("sha256") == []
        assert view.without_origin() == 0
    assert not folder.exists()


def test_what_others_do_meanwhile_is_seen(cache: ProofCache, folder: Path) -> None:
    put(cache, "a")
    with DiskView(folder) as view:
        assert view.find(key("a")) == found(b"data")
        put(cache, "a", b"another")
        put(cache, "b", b"new")
        assert view.find(key("a")) == found(b"another")
        assert view.find(key("b")) == found(b"new")


def test_a_blob_that_is_replaced_while_it_is_read(
    cache: ProofCache, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(cache, "a")
    real, calls = Index.row, []

    def then_replaced(self: Index, wanted: str) -> object:
        before = real(self, wanted)
        calls.append(wanted)
        if len(calls) == 1:
            monkeypatch.setattr(Index, "row", real)
            put(cache, "a", b"another")
        return before

    with DiskView(folder) as view:
        monkeypatch.setattr(Index, "row", then_replaced)
        assert view.find(key("a")) == found(b"another")


@pytest.mark.parametrize("index", ["missing", "damaged", "empty"])
def test_without_an_index_every_blob_is_an_entry_as_after_a_rebuild(
    index: str, folder: Path
) -> None:
    with ProofCache(folder, 100, 10_000) as cache:
        put(cache, "a")
    path = folder / "index.sqlite"
    if index == "damaged":
        path.write_bytes(b"x" * 5000)
    else:
        path.unlink()
        if index == "empty":
            path.touch()
    before = tree(folder)
    with DiskView(folder) as view:
        assert view.find(key("a")) == found(b"data")
        assert view.find(key("b")) == LookupResult(None)
    assert tree(folder) == before
    with ProofCache(folder, 100, 10_000) as cache:
        assert cache.get(key("a")) is not None


@pytest.mark.parametrize("placed", [True, False])
def test_a_put_that_was_killed_is_seen_as_a_run_would_find_it(placed: bool, folder: Path) -> None:
    with ProofCache(folder, 100, 10_000) as cache:
        put(cache, "a")
    with sqlite3.connect(folder / "index.sqlite") as db:  # only the announcement is left
        entry = db.execute("SELECT size, sha256 FROM entries").fetchone()
        db.execute("DELETE FROM entries")
        words = f'["{key("a")}", {entry[0]}, "{entry[1]}", null, null, null, 0, 0, 0, 0]'
        db.execute("INSERT INTO intents VALUES ('.x.tmp', ?)", (words,))
    db.close()
    if not placed:
        blob(folder, "a").replace(folder / "tmp" / ".x.tmp")
    with DiskView(folder) as view:
        assert view.find(key("a")) == (found(b"data") if placed else LookupResult(None))
    with ProofCache(folder, 100, 10_000) as cache:
        assert (cache.get(key("a")) is not None) == placed


def test_why_an_entry_was_set_aside_the_last_time(cache: ProofCache, folder: Path) -> None:
    for reason in ("the first", "the second"):
        put(cache, "a")
        cache.quarantine(key("a"), reason)
    with DiskView(folder) as view:
        assert view.quarantine_reason(key("a")) == "the second"
        assert view.quarantine_reason(key("b")) is None


def test_an_index_of_a_later_version_is_one_clear_error(folder: Path) -> None:
    with ProofCache(folder, 100, 10_000):
        pass
    with sqlite3.connect(folder / "index.sqlite") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(CacheError, match="has version 99, this program reads 1"):
        DiskView(folder)
