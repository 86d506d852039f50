"""The bound of a place that many write to, and the blobs that a machine keeps itself."""

from __future__ import annotations

import hashlib
import os
import time
from typing import TYPE_CHECKING

import pytest

from runner.errors import StoreError
from runner.store.artifacts import Artifacts
from runner.store.keep import Keep
from runner.store.place import Entry, Place, PlaceSettings, UrlPlace
from runner.store.sweep import Bound, Sweeper, Swept, sweep

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class ListedPlace(Place):
    """A place that is a list of entries, with the times that a test gives them."""

    url = "listed://"

    def __init__(self, *sizes_and_times: tuple[int, float]) -> None:
        self.found = {
            f"blobs/00/{n:064x}": Entry(f"blobs/00/{n:064x}", size, when)
            for n, (size, when) in enumerate(sizes_and_times)
        }
        self.broken = False

    def read(self, name: str, most: int) -> bytes | None:
        return None

    def write(self, name: str, data: bytes) -> None:
        pass

    def remove(self, name: str) -> None:
        self.found.pop(name, None)

    def entries(self) -> Iterator[Entry]:
        if self.broken:
            raise StoreError(self.url, "no")
        return iter(list(self.found.values()))


def test_the_oldest_entries_go_until_the_bound_holds() -> None:
    place = ListedPlace((10, 3.0), (10, 1.0), (10, 2.0))
    assert sweep(place, Bound(20, protect_s=0.0), now=100.0) == Swept(2, 20, 1)
    assert sorted(int(name[-1]) for name in place.found) == [0, 2]


def test_what_is_young_stays_also_beyond_the_bound() -> None:
    place = ListedPlace((10, 95.0), (10, 50.0), (10, 99.0))
    assert sweep(place, Bound(5, protect_s=10.0), now=100.0) == Swept(2, 20, 1)


def test_a_sweep_follows_when_enough_was_written(caplog: pytest.LogCaptureFixture) -> None:
    place = ListedPlace((1600, 1.0), (100, 2.0))
    sweeper = Sweeper(place, Bound(1600, 0.0), clock=lambda: 100.0)
    sweeper.wrote(99)
    assert len(place.found) == 2
    sweeper.wrote(1)
    assert sweeper._thread is not None
    sweeper._thread.join()
    assert len(place.found) == 1


def test_small_runs_sweep_as_often_as_a_large_one() -> None:
    """Each run writes a tenth of what is written between two sweeps."""
    swept = 0
    for _ in range(1000):
        place = ListedPlace((1600, 1.0), (100, 2.0))
        sweeper = Sweeper.at_random(place, Bound(1600, 0.0))
        sweeper.wrote(10)
        sweeper.finish()
        swept += len(place.found) == 1
    assert 50 < swept < 150  # 100 +- 5 standard deviations


def test_a_store_that_fails_costs_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    place = ListedPlace()
    place.broken = True
    assert Sweeper(place, Bound(1)).sweep() is None
    assert "not swept: no" in caplog.text


def test_a_bound_that_cannot_hold_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    sweeper = Sweeper(ListedPlace((10, time.time())), Bound(1))
    sweeper.sweep()
    sweeper.sweep()
    assert caplog.text.count("more than store.max_bytes") == 1


def test_a_real_folder_is_swept(tmp_path: Path) -> None:
    place = UrlPlace(PlaceSettings(f"file://{tmp_path}/store"))
    artifacts = Artifacts(place)
    digests = [artifacts.put(bytes([n]) * 100) for n in range(5)]
    for age, digest in enumerate(reversed(digests)):
        when = time.time() - 1000 * age - 100
        os.utime(tmp_path / "store" / "blobs" / digest[:2] / digest, (when, when))
    assert sweep(place, Bound(250, 0.0), time.time()) == Swept(2, 200, 3)
    for digest in digests[:3]:
        with pytest.raises(StoreError, match="is not there"):
            artifacts.get(digest)
    assert artifacts.get(digests[4]) == bytes([4]) * 100


class TestKeep:
    def test_a_blob_is_fetched_once(self, tmp_path: Path) -> None:
        asked = []

        def source(digest: str) -> bytes:
            asked.append(digest)
            return b"program"

        digest = hashlib.sha256(b"program").hexdigest()
        keep = Keep(tmp_path)
        assert keep.lacks((digest,)) == (digest,)
        assert [keep.fetch(digest, source), Keep(tmp_path).fetch(digest, source)] == [
            b"program"
        ] * 2
        assert asked == [digest]
        assert keep.lacks((digest,)) == ()

    def test_a_blob_that_was_damaged_is_fetched_again(self, tmp_path: Path) -> None:
        keep = Keep(tmp_path)
        digest = keep.put(b"program")
        (tmp_path / digest[:2] / digest).write_bytes(b"another")
        assert keep.fetch(digest, lambda _: b"program") == b"program"
        assert keep.get(digest) == b"program"

    def test_a_folder_has_its_files_and_is_made_once(self, tmp_path: Path) -> None:
        keep = Keep(tmp_path)
        files = {"manifest.json": keep.put(b"{}"), "elfs/a.bin": keep.put(b"program")}

        def never(digest: str) -> bytes:
            raise AssertionError(digest)

        folder = keep.folder_of(files, never)
        assert (folder / "elfs" / "a.bin").read_bytes() == b"program"
        (folder / "manifest.json").write_bytes(b"edited")
        assert keep.folder_of(files, never) == folder
        assert (folder / "manifest.json").read_bytes() == b"{}"

    @pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x"])
    def test_no_file_leads_out_of_the_folder(self, tmp_path: Path, name: str) -> None:
        keep = Keep(tmp_path)
        with pytest.raises(ValueError, match="leads out"):
            keep.folder_of({name: keep.put(b"")}, lambda _: b"")

    def test_it_is_bounded(self, tmp_path: Path) -> None:
        keep = Keep(tmp_path, most=250)
        first = keep.put(bytes(100))
        os.utime(tmp_path / first[:2] / first, (1, 1))
        second, third = keep.put(b"1" * 100), keep.put(b"2" * 100)
        assert keep.lacks((first, second, third)) == (first,)
