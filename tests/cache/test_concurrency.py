"""The proof cache shared by processes and threads."""

from __future__ import annotations

import logging
import multiprocessing
import random
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from runner.cache.blobs import Blob, Blobs
from runner.cache.cache import CacheStats
from runner.cache.proof_cache import ProofCache
from tests.cache.entries import blob, in_child, key, on_disk, put
from tests.threads import side_by_side

if TYPE_CHECKING:
    from pathlib import Path

    from runner.cache.index import Row


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

    def work(_: int) -> None:
        try:
            for i in range(10):
                together.wait(10)
                with ProofCache(tmp_path / str(i), 4, 100) as cache:
                    cache.stats()
        except BaseException as error:  # noqa: BLE001  # for the assertion below
            errors.append(error)
            together.abort()

    side_by_side(work, range(4))
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

        side_by_side(work, range(4))
        assert errors == []
        assert cache.stats() == on_disk(folder) == CacheStats(4, 16)


def test_blob_open_in_a_reader_outlives_its_eviction(cache: ProofCache, folder: Path) -> None:
    put(cache, "a", b"still readable")
    with blob(folder, "a").open("rb") as reader:
        for name in "bcd":
            put(cache, name)
        assert not blob(folder, "a").exists()
        assert reader.read().endswith(b"still readable")


def test_get_that_races_with_a_replacement_sees_the_new_bytes(
    cache: ProofCache, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(cache, "a", b"old")
    real = Blobs.read
    with ExitStack() as stack:
        other = stack.enter_context(ProofCache(folder, 3, 100))

        def read(self: Blobs, name: str, row: Row | None) -> Blob:
            monkeypatch.undo()
            put(other, "a", b"new")  # between the row and the blob
            return real(self, name, row)

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
