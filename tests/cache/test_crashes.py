"""The proof cache after a crash at any step."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from runner.cache.blobs import Blobs
from runner.cache.cache import CacheStats
from runner.cache.index import Index, Row
from runner.cache.labels import Label
from runner.cache.proof_cache import ProofCache
from tests.cache.entries import CYCLES, MADE_FROM, in_child, key, on_disk, open_and_close, put

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


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
from pathlib import Path
from runner.cache.proof_cache import ProofCache
from tests.cache.entries import *
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
        label = Label(key("a"), MADE_FROM, CYCLES, 1.0)
        content, sha256 = label.before(b"data")
        temp = cache._store.blobs.prepare(content)

        def announce(index: Index, _: Blobs) -> None:
            with index.transaction():
                index.intend(temp.name, Row.of(label, 4, sha256))

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
