"""What every place does, whatever is behind its URL, and what is refused before anything."""

from __future__ import annotations

import json
import pickle
import threading
from typing import TYPE_CHECKING

import pytest

from runner.errors import InputError, StoreError
from runner.store.place import Place, PlaceSettings, UrlPlace, check_place

if TYPE_CHECKING:
    from pathlib import Path

NAME = f"blobs/ab/ab{'0' * 62}"


class TestEveryPlace:
    def test_what_is_written_is_read(self, place: Place) -> None:
        assert place.read(NAME, 10) is None
        place.write(NAME, b"first")
        assert place.read(NAME, 5) == b"first"
        place.write(NAME, b"second")
        assert place.read(NAME, 100) == b"second"
        place.remove(NAME)
        assert place.read(NAME, 10) is None
        place.remove(NAME)  # a second time does nothing

    def test_more_than_was_allowed_is_not_read(self, place: Place) -> None:
        place.write(NAME, bytes(1000))
        with pytest.raises(StoreError, match="more than 999 bytes"):
            place.read(NAME, 999)

    def test_entries_are_listed_with_size_and_time(self, place: Place) -> None:
        other = f"proofs/ff/ff{'1' * 62}"
        place.write(NAME, b"12345")
        place.write(other, b"1")
        found = {entry.name: entry for entry in place.entries()}
        assert {name: entry.size for name, entry in found.items()} == {NAME: 5, other: 1}
        assert all(entry.modified > 1e9 for entry in found.values())

    def test_a_list_shows_what_another_has_written_since(self, place: Place) -> None:
        assert isinstance(place, UrlPlace)
        assert list(place.entries()) == []
        UrlPlace(place._settings).write(NAME, b"x")
        assert [entry.name for entry in place.entries()] == [NAME]

    def test_many_writers_of_one_name_leave_one_of_them_whole(self, place: Place) -> None:
        contents = [bytes([n]) * 100_000 for n in range(8)]
        threads = [threading.Thread(target=place.write, args=(NAME, c)) for c in contents]
        for thread in threads:
            thread.start()
        seen = [place.read(NAME, 100_000) for _ in range(20)]
        for thread in threads:
            thread.join()
        assert set(seen) <= {None, *contents}
        assert place.read(NAME, 100_000) in contents
        assert [entry.name for entry in place.entries()] == [NAME]

    def test_the_check_before_a_run_leaves_nothing(self, place: Place) -> None:
        check_place(place)
        assert list(place.entries()) == []

    @pytest.mark.parametrize("name", ["../x", "blobs/ab/../../x", "blobs/ab/AB", "other/ab/ab", ""])
    def test_a_name_that_leads_elsewhere_is_refused(self, place: Place, name: str) -> None:
        with pytest.raises(ValueError, match="not the name of an entry"):
            place.read(name, 1)
        with pytest.raises(ValueError, match="not the name of an entry"):
            place.write(name, b"")


class TestBeforeAnything:
    def test_an_unknown_protocol(self) -> None:
        with pytest.raises(InputError, match=r"store\.url = 'nosuch://x': .*nosuch"):
            UrlPlace(PlaceSettings("nosuch://x"))

    @pytest.mark.parametrize("option", ["key", "secret", "token", "aws_secret_access_key"])
    def test_a_secret_in_the_configuration(self, option: str) -> None:
        with pytest.raises(InputError, match="recorded") as found:
            UrlPlace(
                PlaceSettings("file:///tmp", json.dumps({"client_kwargs": {option: "hunter2"}}))
            )
        assert "hunter2" not in str(found.value)

    def test_a_password_in_the_url(self) -> None:
        with pytest.raises(InputError, match="recorded") as found:
            UrlPlace(PlaceSettings("sftp://me:hunter2@host/x"))
        assert "hunter2" not in str(found.value)

    def test_a_folder_that_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(InputError, match=r"store\.url = .*cannot be used .*store=off"):
            check_place(UrlPlace(PlaceSettings(f"file://{tmp_path}/file")))

    def test_settings_travel_to_workers(self) -> None:
        settings = PlaceSettings("s3://bucket", '{"endpoint_url": "http://10.0.0.1"}', 3.0)
        assert pickle.loads(pickle.dumps(settings)) == settings
