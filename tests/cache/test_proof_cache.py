"""The proof cache: what goes in comes out, its bounds, and its order of use."""

from __future__ import annotations

import itertools
import shutil
import tempfile
import time
from collections import OrderedDict
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from runner.cache.cache import CacheStats, Entry, NoCache
from runner.cache.proof_cache import ProofCache
from runner.errors import InputError
from runner.model import ReceiptKind
from tests.cache.entries import CYCLES, IMAGE, MADE_FROM, MEMORY, blob, held, key, on_disk, put


def test_returns_what_was_put_also_after_reopening(folder: Path) -> None:
    with ProofCache(folder, 10, 1000) as cache:
        assert cache.get(key("a")) is None
        assert put(cache, "a", b"\0receipt\xff") == 0
        assert put(cache, "empty", b"") == 0
    expected = Entry(b"\0receipt\xff", CYCLES, 17.5, MADE_FROM)
    with ProofCache(folder, 10, 1000) as cache:
        assert cache.get(key("a")) == expected
        assert cache.get(key("empty")) == Entry(b"", CYCLES, 17.5, MADE_FROM)
        assert cache.stats() == CacheStats(2, 9) == on_disk(folder)
    assert blob(folder, "a").read_bytes().endswith(b"}\n\0receipt\xff")


def test_put_again_replaces(cache: ProofCache, folder: Path) -> None:
    put(cache, "a", b"old")
    assert put(cache, "a", b"newer", prove_s=2.0) == 0
    assert cache.get(key("a")) == Entry(b"newer", CYCLES, 2.0, MADE_FROM)
    assert cache.stats() == CacheStats(1, 5) == on_disk(folder)


@pytest.mark.parametrize(
    "bad", ["", "../../etc/passwd", "A" * 64, "a" * 63, "a" * 65, "a" * 64 + "\n", "g" * 64]
)
def test_a_malformed_key_is_refused(cache: ProofCache, bad: str) -> None:
    with pytest.raises(ValueError, match="not a cache key"):
        cache.get(bad)
    with pytest.raises(ValueError, match="not a cache key"):
        cache.quarantine(bad, "x")
    with pytest.raises(ValueError, match="not a cache key"):
        cache.release([bad])
    with pytest.raises(ValueError, match="not a cache key"):
        cache.put(bad, b"", image_id=IMAGE, kind=ReceiptKind.COMPOSITE, cycles=CYCLES, prove_s=1.0)


def test_execute_results_are_refused(cache: ProofCache) -> None:
    with pytest.raises(ValueError, match="no receipt"):
        put(cache, "a", kind=ReceiptKind.EXECUTE)


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

    @rule(some=st.lists(names, max_size=3))
    def release(self, some: list[str]) -> None:
        self.cache.release(key(name) for name in some)
        for name in some:
            if name in self.model:
                self.model.move_to_end(name, last=False)

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
