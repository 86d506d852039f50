"""The proof cache with damaged blobs, damaged indexes and unusable folders."""

from __future__ import annotations

import os
import shutil
import sqlite3
from typing import TYPE_CHECKING

import pytest

import runner.cache.blobs
from runner.cache.cache import CacheStats, Entry
from runner.cache.index import Index, Row
from runner.cache.labels import split
from runner.cache.proof_cache import ProofCache
from runner.cache.view import DiskView
from runner.errors import CacheError
from runner.model import ReceiptKind
from tests.cache.entries import (
    CYCLES,
    IMAGE,
    MADE_FROM,
    blob,
    held,
    key,
    on_disk,
    open_and_close,
    proof_in,
    put,
    rewrite,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize("damage", [b"dXta", b"dat", b"", b"data and more"])
def test_changed_blob_is_quarantined_and_missed(
    cache: ProofCache, folder: Path, damage: bytes
) -> None:
    put(cache, "a", b"data")
    put(cache, "b", b"fine")
    whole = blob(folder, "a").read_bytes()
    damage = whole.replace(b"\ndata", b"\n" + damage) if damage else b""
    blob(folder, "a").write_bytes(damage)
    assert cache.get(key("a")) is None
    assert (folder / "quarantine" / f"{key('a')}-1").read_bytes() == damage
    reason = (folder / "quarantine" / f"{key('a')}-1.reason").read_text()
    recorded = split(whole)
    assert recorded is not None
    assert f"recorded was {recorded.sha256}" in reason
    assert cache.stats() == CacheStats(1, 4) == on_disk(folder)
    put(cache, "a", b"again")
    found = cache.get(key("a"))
    assert found is not None
    assert found.data == b"again"


def test_missing_blob_is_a_miss_and_its_row_goes(cache: ProofCache, folder: Path) -> None:
    put(cache, "a")
    blob(folder, "a").unlink()
    assert cache.get(key("a")) is None
    assert cache.stats() == CacheStats(0, 0)
    assert list((folder / "quarantine").iterdir()) == []


def test_unreadable_blob_is_a_miss(cache: ProofCache, folder: Path) -> None:
    put(cache, "a")
    blob(folder, "a").unlink()
    blob(folder, "a").mkdir()  # a folder stands for a bad sector: root may read any file
    assert cache.get(key("a")) is None
    assert cache.stats() == CacheStats(0, 0)


def test_quarantine_numbers_its_files_and_keeps_the_newest(
    cache: ProofCache, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner.cache.blobs, "_KEEP_QUARANTINED", 3)
    cache.quarantine(key("a"), "not there")
    for i in range(5):
        put(cache, "a", b"%d" % i)
        cache.quarantine(key("a"), f"refused {i}")
        for path in (folder / "quarantine").glob("*.reason"):
            before = path.stat()  # the times of files may be coarser than this loop
            os.utime(path, (before.st_atime, before.st_mtime - 1))
    assert cache.get(key("a")) is None
    kept = sorted(path for path in (folder / "quarantine").iterdir() if path.suffix == "")
    assert sorted(proof_in(path) for path in kept) == [b"2", b"3", b"4"]
    for path in kept:
        reason = path.with_name(path.name + ".reason").read_text()
        assert reason == f"refused {proof_in(path).decode()}\n"
    assert len(list((folder / "quarantine").iterdir())) == 6


def spoil_header(index: Path) -> None:
    index.write_bytes(b"this is not a database, " * 500)


def spoil_pages(index: Path) -> None:
    content = bytearray(index.read_bytes())
    content[1000:] = b"\xff" * (len(content) - 1000)
    index.write_bytes(content)


def remove(index: Path) -> None:
    index.unlink()


@pytest.mark.parametrize("spoil", [spoil_header, spoil_pages, remove])
def test_damaged_index_is_set_aside_and_rebuilt(
    folder: Path, caplog: pytest.LogCaptureFixture, spoil: Callable[[Path], None]
) -> None:
    with ProofCache(folder, 3, 100) as cache:
        for age, name in enumerate("cab"):
            put(cache, name, name.encode())
            os.utime(blob(folder, name), (0, 1000 + age))
    (folder / "objects" / "stray").write_text("not a blob")
    spoil(folder / "index.sqlite")
    with ProofCache(folder, 3, 100) as cache:
        assert cache.stats() == CacheStats(3, 3)
        assert put(cache, "d") == 1
        assert held(cache, "abcd") == "abd"  # c is the oldest file
        assert cache.get(key("a")) == Entry(b"a", CYCLES, 17.5, MADE_FROM)
        assert cache.mean_prove_s(IMAGE, ReceiptKind.COMPOSITE) == 17.5
        rewrite(blob(folder, "a"), lambda _: b"?")
        assert cache.get(key("a")) is None  # the digest is recorded again
    assert "rebuilt from 3 blobs; 0 were set aside" in caplog.text
    aside = folder / "index.sqlite.corrupt-1"
    assert aside.exists() == (spoil is not remove)
    with ProofCache(folder, 3, 100) as cache:
        assert held(cache, "abcd") == "bd"


def damage(monkeypatch: pytest.MonkeyPatch, cache: ProofCache) -> None:
    """Let the index that ``cache`` has open look damaged from its next look-up on."""
    broken, real = cache._store._index, Index.row

    def row(self: Index, key: str) -> Row | None:
        if self is broken:
            error = sqlite3.DatabaseError("database disk image is malformed")
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise error
        return real(self, key)

    monkeypatch.setattr(Index, "row", row)


def test_index_found_damaged_in_use_is_rebuilt_for_all_processes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ProofCache(folder, 9, 100) as one, ProofCache(folder, 9, 100) as two:
        put(one, "a")
        damage(monkeypatch, one)
        found = one.get(key("a"))
        assert found is not None
        assert found.data == b"data"
        put(two, "b")  # `two` still had the file open that was set aside
        assert one.get(key("b")) is not None
        damage(monkeypatch, two)
        assert two.get(key("b")) is not None
        assert one.stats() == two.stats() == on_disk(folder) == CacheStats(2, 8)


def test_folder_removed_in_use_is_made_again(cache: ProofCache, folder: Path) -> None:
    put(cache, "a")
    shutil.rmtree(folder)
    assert cache.get(key("a")) is None
    put(cache, "b")
    assert cache.stats() == CacheStats(1, 4) == on_disk(folder)


def test_unusable_folders_are_cache_errors(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(CacheError, match="cache=off") as caught,
        ProofCache(tmp_path / "file", 1, 1),
    ):
        pass
    assert caught.value.folder == str(tmp_path / "file")
    (tmp_path / "cache" / "index.sqlite").mkdir(parents=True)
    with (
        pytest.raises(CacheError, match="not a regular file"),
        ProofCache(tmp_path / "cache", 1, 1),
    ):
        pass


def test_index_of_a_later_version_is_left_alone(folder: Path) -> None:
    open_and_close(folder)
    db = sqlite3.connect(folder / "index.sqlite")
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(CacheError, match="version 99"):
        open_and_close(folder)
    assert not list(folder.glob("*.corrupt-*"))


def test_full_disk_is_a_cache_error_and_leaves_things_as_they_were(
    cache: ProofCache, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(cache, "a")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(CacheError, match="No space left"):
            put(cache, "b")
    assert list((folder / "tmp").iterdir()) == []
    assert held(cache, "ab") == "a"
    assert cache.stats() == on_disk(folder)


# -- a folder from elsewhere -------------------------------------------------------------------


def to_zero(path: Path) -> None:
    path.symlink_to("/dev/zero")


def huge(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 40)


@pytest.mark.parametrize("index", ["there", "removed"])
@pytest.mark.parametrize("fault", [to_zero, os.mkfifo, huge], ids=lambda f: f.__name__)
def test_a_blob_that_is_not_what_it_seems_is_set_aside(
    fault: Callable[[Path], None], index: str, cache: ProofCache, folder: Path
) -> None:
    put(cache, "a")
    put(cache, "b")
    cache.close()
    blob(folder, "a").unlink()
    fault(blob(folder, "a"))
    if index == "removed":
        (folder / "index.sqlite").unlink()
    with DiskView(folder) as view:
        assert view.find(key("a")).data is None
        assert view.find(key("b")).data == b"data"
    with cache:
        assert cache.get(key("a")) is None
        assert cache.get(key("b")) is not None
        put(cache, "a")
        assert cache.get(key("a")) is not None
    assert os.path.lexists(folder / "quarantine" / f"{key('a')}-1")


def test_no_way_to_a_blob_leads_over_a_link(cache: ProofCache, folder: Path) -> None:
    put(cache, "a")
    away = folder.parent / "away"
    blob(folder, "a").parent.rename(away)
    blob(folder, "a").parent.symlink_to(away)
    with DiskView(folder) as view:
        assert "Not a directory" in view.find(key("a")).fault
    assert cache.get(key("a")) is None
    assert [path.name for path in away.iterdir()] == [key("a")]  # what is there is left alone


@pytest.mark.parametrize("name", ["index.sqlite", "index.sqlite-wal", "index.sqlite-shm", "lock"])
@pytest.mark.parametrize("fault", [to_zero, os.mkfifo], ids=lambda f: f.__name__)
def test_files_of_the_cache_that_are_no_files_are_one_clear_error(
    fault: Callable[[Path], None], name: str, folder: Path
) -> None:
    open_and_close(folder)
    (folder / name).unlink(missing_ok=True)
    fault(folder / name)
    with pytest.raises(CacheError, match=r"a symbolic link|not a regular file") as caught:
        open_and_close(folder)
    assert "\n" not in str(caught.value)
    if name != "lock":  # which a dry run does not take
        with pytest.raises(CacheError, match=r"a symbolic link|not a regular file"):
            DiskView(folder)


@pytest.mark.parametrize("name", ["objects", "tmp", "quarantine"])
def test_a_folder_of_the_cache_that_is_a_link_is_one_clear_error(name: str, folder: Path) -> None:
    open_and_close(folder)
    (folder / name).rename(folder.parent / "away")
    (folder / name).symlink_to(folder.parent / "away")
    with pytest.raises(CacheError, match="a symbolic link"):
        open_and_close(folder)


@pytest.mark.parametrize("fault", [to_zero, os.mkfifo, huge], ids=lambda f: f.__name__)
def test_a_reason_that_never_ends_is_left_out(
    fault: Callable[[Path], None], cache: ProofCache, folder: Path
) -> None:
    put(cache, "a")
    cache.quarantine(key("a"), "for a test")
    fault(folder / "quarantine" / f"{key('b')}-1.reason")
    with DiskView(folder) as view:
        assert view.quarantine_reason(key("a")) == "for a test"
        assert view.quarantine_reason(key("b")) is None
