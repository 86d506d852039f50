"""The proof cache: bounds and order, damage, crashes, and other processes at the same time."""

from __future__ import annotations

import hashlib
import itertools
import logging
import multiprocessing
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import OrderedDict
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import runner.cache.blobs
from runner.cache.blobs import Blobs
from runner.cache.cache import Cache, CacheStats, Entry, NoCache
from runner.cache.index import Index, Row
from runner.cache.proof_cache import ProofCache
from runner.errors import CacheError, InputError
from runner.model import Cycles, ReceiptKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

IMAGE = bytes(range(32))
CYCLES = Cycles(user=3316, paging=15181, total=32768, segments=1)

# The folders are in memory where there is such a place. Hundreds of waits for a disk that others
# use too would take most of the time, and no test here cuts the power.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def key(name: object) -> str:
    return hashlib.sha256(str(name).encode()).hexdigest()


def put(
    cache: Cache,
    name: object,
    data: bytes = b"data",
    *,
    image_id: bytes = IMAGE,
    kind: ReceiptKind = ReceiptKind.COMPOSITE,
    prove_s: float = 17.5,
) -> int:
    return cache.put(key(name), data, image_id=image_id, kind=kind, cycles=CYCLES, prove_s=prove_s)


def blob(folder: Path, name: object) -> Path:
    return folder / "objects" / key(name)[:2] / key(name)


def on_disk(folder: Path) -> CacheStats:
    files = [path for path in (folder / "objects").glob("*/*") if path.is_file()]
    return CacheStats(len(files), sum(path.stat().st_size for path in files))


def held(cache: ProofCache, names: object) -> str:
    """The one-letter names that have an entry. Looking does not change the order of use."""
    rows = cache._store.run(lambda index, _: [n for n in str(names) if index.row(key(n))])
    return "".join(rows)


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=MEMORY) as made:
        yield Path(made)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "cache"


@pytest.fixture
def cache(folder: Path) -> Iterator[ProofCache]:
    with ProofCache(folder, max_entries=3, max_bytes=100) as opened:
        yield opened


# -- what goes in comes out ------------------------------------------------------------------------


def test_returns_what_was_put_also_after_reopening(folder: Path) -> None:
    with ProofCache(folder, 10, 1000) as cache:
        assert cache.get(key("a")) is None
        assert put(cache, "a", b"\0receipt\xff") == 0
        assert put(cache, "empty", b"") == 0
    expected = Entry(b"\0receipt\xff", CYCLES, 17.5)
    with ProofCache(folder, 10, 1000) as cache:
        assert cache.get(key("a")) == expected
        assert cache.get(key("empty")) == Entry(b"", CYCLES, 17.5)
        assert cache.stats() == CacheStats(2, 9) == on_disk(folder)
    assert blob(folder, "a").read_bytes() == b"\0receipt\xff"


def test_put_again_replaces(cache: ProofCache, folder: Path) -> None:
    put(cache, "a", b"old")
    assert put(cache, "a", b"newer", prove_s=2.0) == 0
    assert cache.get(key("a")) == Entry(b"newer", CYCLES, 2.0)
    assert cache.stats() == CacheStats(1, 5) == on_disk(folder)


@pytest.mark.parametrize(
    "bad", ["", "../../etc/passwd", "A" * 64, "a" * 63, "a" * 65, "a" * 64 + "\n", "g" * 64]
)
def test_what_is_no_key_is_refused(cache: ProofCache, bad: str) -> None:
    with pytest.raises(ValueError, match="not a cache key"):
        cache.get(bad)
    with pytest.raises(ValueError, match="not a cache key"):
        cache.quarantine(bad, "x")
    with pytest.raises(ValueError, match="not a cache key"):
        cache.put(bad, b"", image_id=IMAGE, kind=ReceiptKind.COMPOSITE, cycles=CYCLES, prove_s=1.0)


def test_execute_results_are_refused(cache: ProofCache) -> None:
    with pytest.raises(ValueError, match="no receipt"):
        put(cache, "a", kind=ReceiptKind.EXECUTE)


def open_and_close(folder: Path) -> None:
    with ProofCache(folder, 3, 100):
        pass


def test_nothing_is_made_before_the_cache_is_opened(folder: Path) -> None:
    cache = ProofCache(folder, 3, 100)
    with cache.view() as view:
        assert view.find(key("a")).data is None
    assert not folder.exists()
    with cache:
        assert folder.is_dir()


def test_a_cache_that_was_closed_can_be_opened_again(folder: Path) -> None:
    cache = ProofCache(folder, 3, 100)
    with cache:
        put(cache, "a")
    with cache:
        assert cache.stats().entries == 1


@pytest.mark.parametrize("bounds", [(0, 1), (1, 0)])
def test_bounds_below_one_are_refused(folder: Path, bounds: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="cache=off"):
        ProofCache(folder, *bounds)


def test_closed_cache_says_so(folder: Path) -> None:
    cache = ProofCache(folder, 1, 1)
    cache.close()
    cache.close()
    with pytest.raises(RuntimeError, match="closed"):
        cache.get(key("a"))


def test_no_cache_keeps_nothing() -> None:
    with NoCache() as cache:
        assert put(cache, "a") == 0
        assert cache.get(key("a")) is None
        cache.quarantine(key("a"), "x")
        assert cache.stats() == CacheStats(0, 0)
        assert cache.mean_prove_s(IMAGE, ReceiptKind.COMPOSITE) is None


# -- bounds and order ------------------------------------------------------------------------------


def test_least_recently_used_goes_first(cache: ProofCache, folder: Path) -> None:
    for name in "abc":
        assert put(cache, name) == 0
    cache.get(key("a"))
    assert put(cache, "d") == 1
    assert held(cache, "abcd") == "acd"
    assert not blob(folder, "b").exists()
    assert put(cache, "c") == 0  # replacing an entry uses it
    assert put(cache, "e") == 1
    assert held(cache, "acde") == "cde"


def test_bytes_are_bounded_too(cache: ProofCache, folder: Path) -> None:
    put(cache, "a", bytes(40))
    put(cache, "b", bytes(40))
    assert put(cache, "c", bytes(20)) == 0
    assert put(cache, "d", bytes(50)) == 2
    assert held(cache, "abcd") == "cd"
    assert put(cache, "e", bytes(100)) == 2
    assert cache.stats() == CacheStats(1, 100) == on_disk(folder)


def test_larger_than_the_cache_is_not_kept(
    cache: ProofCache, caplog: pytest.LogCaptureFixture
) -> None:
    put(cache, "a")
    assert put(cache, "b", bytes(101)) == 0
    assert held(cache, "ab") == "a"
    assert "larger than the whole cache" in caplog.text


def test_order_of_use_survives_reopening_and_clock_jumps(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ProofCache(folder, 3, 100) as cache:
        for name in "abc":
            put(cache, name)
        monkeypatch.setattr(time, "time", lambda: 0.0)
        cache.get(key("a"))
    with ProofCache(folder, 3, 100) as cache:
        put(cache, "d")
        assert held(cache, "abcd") == "acd"


def test_narrower_bounds_hold_after_the_next_put(folder: Path) -> None:
    with ProofCache(folder, 5, 100) as cache:
        for name in "abcde":
            put(cache, name)
    with ProofCache(folder, 2, 100) as cache:
        assert put(cache, "f") == 4
        assert held(cache, "abcdef") == "ef"


class LruMachine(RuleBasedStateMachine):
    """The cache compared with a dict that is kept in order of use."""

    ENTRIES, BYTES = 3, 10
    names = st.sampled_from("abcde")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY))
        self.cache = ProofCache(self.folder, self.ENTRIES, self.BYTES)
        self.model: OrderedDict[str, bytes] = OrderedDict()
        self.versions = itertools.count()

    def teardown(self) -> None:
        self.cache.close()
        shutil.rmtree(self.folder)

    @rule(name=names, size=st.integers(0, 11))
    def put(self, name: str, size: int) -> None:
        data = str(next(self.versions)).encode().rjust(size, b".")[:size]
        evicted = put(self.cache, name, data)
        expected = 0
        if size <= self.BYTES:
            self.model.pop(name, None)
            self.model[name] = data
            while len(self.model) > self.ENTRIES or sum(map(len, self.model.values())) > self.BYTES:
                self.model.popitem(last=False)
                expected += 1
        assert evicted == expected

    @rule(name=names)
    def get(self, name: str) -> None:
        entry = self.cache.get(key(name))
        assert (entry.data if entry else None) == self.model.get(name)
        if name in self.model:
            self.model.move_to_end(name)

    @rule(name=names)
    def quarantine(self, name: str) -> None:
        self.cache.quarantine(key(name), "test")
        self.model.pop(name, None)

    @rule(name=names)
    def tamper(self, name: str) -> None:
        if name in self.model:
            blob(self.folder, name).write_bytes(b"tampered")
            assert self.cache.get(key(name)) is None
            del self.model[name]

    @rule()
    def reopen(self) -> None:
        self.cache.close()
        self.cache = ProofCache(self.folder, self.ENTRIES, self.BYTES)

    @invariant()
    def agrees_with_the_disk(self) -> None:
        assert held(self.cache, "abcde") == "".join(sorted(self.model))
        sizes = [len(data) for data in self.model.values()]
        assert self.cache.stats() == CacheStats(len(sizes), sum(sizes)) == on_disk(self.folder)


TestLru = LruMachine.TestCase
TestLru.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)


# -- figures for estimates -------------------------------------------------------------------------


def test_mean_is_over_the_newest_of_that_program_and_kind(folder: Path) -> None:
    with ProofCache(folder, 100, 10_000) as cache:
        assert cache.mean_prove_s(IMAGE, ReceiptKind.COMPOSITE) is None
        put(cache, "other image", image_id=bytes(32), prove_s=1000.0)
        put(cache, "other kind", kind=ReceiptKind.SUCCINCT, prove_s=1000.0)
        for i in range(5):
            put(cache, f"old {i}", prove_s=1000.0)
        for i in range(20):
            put(cache, f"new {i}", prove_s=float(i))
        cache.get(key("old 1"))  # to use an entry is not to measure it again
        assert cache.mean_prove_s(IMAGE, ReceiptKind.COMPOSITE) == pytest.approx(9.5)
        assert cache.mean_prove_s(IMAGE, ReceiptKind.SUCCINCT) == 1000.0


# -- damage ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", [b"dXta", b"dat", b"", b"data and more"])
def test_changed_blob_is_quarantined_and_missed(
    cache: ProofCache, folder: Path, damage: bytes
) -> None:
    put(cache, "a", b"data")
    put(cache, "b", b"fine")
    blob(folder, "a").write_bytes(damage)
    assert cache.get(key("a")) is None
    assert (folder / "quarantine" / f"{key('a')}-1").read_bytes() == damage
    reason = (folder / "quarantine" / f"{key('a')}-1.reason").read_text()
    assert hashlib.sha256(b"data").hexdigest() in reason
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
    assert sorted(path.read_bytes() for path in kept) == [b"2", b"3", b"4"]
    for path in kept:
        reason = path.with_name(path.name + ".reason").read_text()
        assert reason == f"refused {path.read_text()}\n"
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
        assert cache.get(key("a")) == Entry(b"a", Cycles(), 0.0)
        assert cache.mean_prove_s(IMAGE, ReceiptKind.COMPOSITE) == 17.5  # the one of d
        blob(folder, "a").write_bytes(b"?")
        assert cache.get(key("a")) is None  # the first get recorded the digest
    assert "rebuilt from 3 blobs" in caplog.text
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
    with pytest.raises(CacheError, match="unable to open"), ProofCache(tmp_path / "cache", 1, 1):
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


# -- crashes ---------------------------------------------------------------------------------------


def in_child(work: Callable[[], None]) -> int:
    """Run ``work`` in a forked process. Returns its wait status."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:  # noqa: BLE001  # nothing may get out of the child
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1]


def die_after(steps: int) -> None:
    """Kill this process as soon as a put has done so many steps."""
    left = itertools.count(steps, -1)

    def dying(real: Callable[..., object]) -> Callable[..., object]:
        def step(*args: object, **kwargs: object) -> object:
            if next(left) == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)

        return step

    for owner, names in (
        (Blobs, ("prepare", "place", "remove")),
        (Index, ("intend", "insert", "delete", "totals", "settle", "close")),
        (os, ("replace", "fsync")),
    ):
        for name in names:
            setattr(owner, name, dying(getattr(owner, name)))


@pytest.mark.parametrize(("name", "survivors"), [("new", "c"), ("c", "b")])
def test_put_killed_at_any_step_leaves_a_sound_cache(
    tmp_path: Path, name: str, survivors: str
) -> None:
    """``new`` evicts two entries. ``c`` replaces an entry and evicts another one."""
    old = {n: n.encode() * 30 for n in "abc"}
    after = {survivors: old[survivors], name: b"N" * 65}
    outcomes = set()
    for steps in itertools.count():
        folder = tmp_path / str(steps)
        with ProofCache(folder, 3, 100) as cache:
            for n, data in old.items():
                put(cache, n, data)

        def crash(folder: Path = folder, steps: int = steps) -> None:
            cache = ProofCache(folder, 3, 100)
            die_after(steps)
            put(cache, name, b"N" * 65)
            cache.close()

        status = in_child(crash)
        assert status in {0, signal.SIGKILL}
        with ProofCache(folder, 3, 100) as cache:
            stats = cache.stats()
            assert stats == on_disk(folder)
            assert stats.bytes <= 100
            got = {n: entry.data for n in [*"abc", "new"] if (entry := cache.get(key(n)))}
            assert len(got) == stats.entries  # every entry is sound
            # Either nothing has happened, or everything including the measured figures.
            done = got != old
            assert got == (after if done else old)
            entry = cache.get(key(name))
            assert entry is None or (entry.prove_s, entry.cycles) == (17.5, CYCLES)
            assert not list((folder / "quarantine").iterdir())
        outcomes.add((status, done))
        if status == 0:
            break
    assert outcomes == {(9, False), (9, True), (0, True)}
    assert steps > 10


def test_another_process_copes_with_a_crash_before_anyone_reopens(tmp_path: Path) -> None:
    for steps in itertools.count():
        folder = tmp_path / str(steps)
        with ProofCache(folder, 3, 100) as cache:
            put(cache, "c", b"old")
            put(cache, "other")

            def crash(folder: Path = folder, steps: int = steps) -> None:
                mine = ProofCache(folder, 3, 100)
                die_after(steps)
                put(mine, "c", b"changed")

            status = in_child(crash)
            entry = cache.get(key("c"))
            assert entry is not None
            assert entry.data in {b"old", b"changed"}
            put(cache, "d")
            assert cache.stats() == on_disk(folder)
        if status == 0:
            break


WRITER = """
import itertools, sys
sys.path[:0] = {path!r}
from tests.cache.test_proof_cache import *
cache = ProofCache(Path({folder!r}), 8, 2000)
for i in itertools.count({start}):
    name = i % 12
    put(cache, name, b"%d " % name + b"%d" % i * 50)
    print(i, flush=True)
"""


def test_writer_killed_at_random_moments(folder: Path) -> None:
    rnd = random.Random(7)
    start = 0
    for _ in range(5):
        script = WRITER.format(path=sys.path, folder=str(folder), start=start)
        with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline()  # the writer is at work
            time.sleep(rnd.uniform(0.0, 0.05))
            writer.kill()
            start += 1 + len(writer.stdout.read().splitlines())
        with ProofCache(folder, 8, 2000) as cache:
            assert cache.stats() == on_disk(folder)
            assert cache.stats().entries <= 8
            assert cache.stats().bytes <= 2000
            entries = [(n, entry) for n in range(12) if (entry := cache.get(key(n)))]
            assert len(entries) == cache.stats().entries > 0
            assert all(entry.data.startswith(b"%d " % n) for n, entry in entries)
    assert not list((folder / "quarantine").iterdir())


def test_opening_leaves_a_writer_at_work_its_announcement(folder: Path) -> None:
    """Without the announcement, nobody would know of the blob if the writer died a moment later."""
    with ProofCache(folder, 3, 100) as cache:
        temp = cache._store.blobs.prepare(b"data")

        def announce(index: Index, _: Blobs) -> None:
            with index.transaction():
                index.intend(temp.name, Row(key("a"), 4, hashlib.sha256(b"data").hexdigest()))

        cache._store.run(announce)
        with ProofCache(folder, 3, 100) as other:
            assert other.get(key("a")) is None
        cache._store.blobs.place(temp, key("a"))
    with ProofCache(folder, 3, 100) as cache:
        found = cache.get(key("a"))
        assert found is not None
        assert found.data == b"data"
        assert cache.stats() == on_disk(folder) == CacheStats(1, 4)


def test_stale_temporary_files_go_and_fresh_ones_stay(folder: Path) -> None:
    open_and_close(folder)
    for name, age in (("stale", 7200), ("fresh", 60)):
        (folder / "tmp" / name).write_text("x")
        os.utime(folder / "tmp" / name, (0, time.time() - age))
    open_and_close(folder)
    assert [path.name for path in (folder / "tmp").iterdir()] == ["fresh"]


def test_opening_does_not_look_at_every_blob(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ProofCache(folder, 3, 100) as cache:
        put(cache, "a")

    def listed(_: Blobs) -> None:
        raise AssertionError("listed all blobs")

    monkeypatch.setattr(Blobs, "all", listed)
    with ProofCache(folder, 3, 100) as cache:
        assert cache.stats().entries == 1


# -- company ---------------------------------------------------------------------------------------


def hammer(folder: Path, seed: int, rounds: int) -> None:
    rnd = random.Random(seed)
    with ProofCache(folder, 6, 400) as cache:
        for _ in range(rounds):
            name = rnd.randrange(12)
            if rnd.random() < 0.5:
                put(cache, name, b"%d " % name + bytes(rnd.randrange(150)))
            else:
                entry = cache.get(key(name))
                assert entry is None or entry.data.startswith(b"%d " % name)


def test_several_processes_share_a_cache(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=hammer, args=(folder, seed, 60)) for seed in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    with ProofCache(folder, 6, 400) as cache:
        stats = cache.stats()
        assert stats == on_disk(folder)
        assert 0 < stats.entries <= 6
        assert stats.bytes <= 400
        assert sum(cache.get(key(n)) is not None for n in range(12)) == stats.entries
    assert not list((folder / "quarantine").iterdir())
    assert not list((folder / "tmp").iterdir())
    assert not list(folder.glob("*.corrupt-*"))


def test_several_open_a_new_cache_at_once(tmp_path: Path) -> None:
    errors: list[BaseException] = []
    together = threading.Barrier(4)

    def work() -> None:
        try:
            for i in range(10):
                together.wait(10)
                with ProofCache(tmp_path / str(i), 4, 100) as cache:
                    cache.stats()
        except BaseException as error:  # noqa: BLE001  # for the assertion below
            errors.append(error)
            together.abort()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_threads_share_a_cache(folder: Path) -> None:
    errors: list[BaseException] = []
    with ProofCache(folder, 4, 100) as cache:

        def work(seed: int) -> None:
            try:
                for i in range(20):
                    put(cache, (seed + i) % 6)
                    cache.get(key(i % 6))
            except BaseException as error:  # noqa: BLE001  # for the assertion below
                errors.append(error)

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert cache.stats() == on_disk(folder) == CacheStats(4, 16)


def test_blob_open_in_a_reader_outlives_its_eviction(cache: ProofCache, folder: Path) -> None:
    put(cache, "a", b"still readable")
    with blob(folder, "a").open("rb") as reader:
        for name in "bcd":
            put(cache, name)
        assert not blob(folder, "a").exists()
        assert reader.read() == b"still readable"


def test_get_that_races_with_a_replacement_sees_the_new_bytes(
    cache: ProofCache, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(cache, "a", b"old")
    real = Blobs.read
    with ExitStack() as stack:
        other = stack.enter_context(ProofCache(folder, 3, 100))

        def read(self: Blobs, name: str, sha256: str | None) -> tuple[bytes, str, str]:
            monkeypatch.undo()
            put(other, "a", b"new")  # between the row and the blob
            return real(self, name, sha256)

        monkeypatch.setattr(Blobs, "read", read)
        entry = cache.get(key("a"))
    assert entry is not None
    assert entry.data == b"new"
    assert not list((folder / "quarantine").iterdir())


def test_use_across_a_fork_is_refused(cache: ProofCache) -> None:
    def use() -> None:
        with pytest.raises(RuntimeError, match="fork"):
            cache.get(key("a"))

    assert in_child(use) == 0


def test_log_goes_to_the_module_s_logger(
    cache: ProofCache, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(cache, "a")
    blob(folder, "a").write_bytes(b"?")
    with caplog.at_level(logging.WARNING, logger="runner"):
        cache.get(key("a"))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
