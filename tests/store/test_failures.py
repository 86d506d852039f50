"""A real S3 server with its failures: slow, broken, cut, wrong, without credentials, and full."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING

import pytest

from runner.errors import InputError, StoreError
from runner.store.artifacts import Artifacts
from runner.store.place import PlaceSettings, UrlPlace, check_place

if TYPE_CHECKING:
    from tests.fakes.faulty_proxy import FaultyProxy

DATA = b"receipt" * 1000


@pytest.fixture
def artifacts(bucket: PlaceSettings) -> Artifacts:
    return Artifacts(UrlPlace(bucket))


def test_a_blob_comes_back_in_one_request(artifacts: Artifacts, proxy: FaultyProxy) -> None:
    digest = artifacts.put(DATA, new=True)
    proxy.requests.clear()
    assert artifacts.get(digest) == DATA
    assert len(proxy.requests) == 1


def test_a_server_error_that_passes_costs_nothing(artifacts: Artifacts, proxy: FaultyProxy) -> None:
    proxy.faults = ["error", "error"]
    digest = artifacts.put(DATA, new=True)
    proxy.faults = ["error", "error"]
    assert artifacts.get(digest) == DATA


def test_a_connection_that_is_cut_once_costs_nothing(
    artifacts: Artifacts, proxy: FaultyProxy
) -> None:
    digest = artifacts.put(DATA, new=True)
    proxy.faults = ["cut"]
    assert artifacts.get(digest) == DATA


@pytest.mark.parametrize("fault", ["error", "cut", "slow"])
def test_a_failure_that_stays_is_one_line_in_bounded_time(
    bucket: PlaceSettings, proxy: FaultyProxy, fault: str
) -> None:
    digest = Artifacts(UrlPlace(bucket)).put(DATA, new=True)
    proxy.always = fault
    started = time.monotonic()
    with pytest.raises(StoreError) as found:
        Artifacts(UrlPlace(dataclasses.replace(bucket, timeout_s=1.0))).get(digest)
    assert time.monotonic() - started < 15
    assert "\n" not in str(found.value)


def test_wrong_bytes_are_noticed(artifacts: Artifacts, proxy: FaultyProxy) -> None:
    digest = artifacts.put(DATA, new=True)
    proxy.faults = ["wrong"]
    assert artifacts.get(digest) == DATA  # the second time they came right
    proxy.always = "wrong"
    with pytest.raises(StoreError, match=r"has the SHA-256|checksum"):
        artifacts.get(digest)


def test_a_full_store_is_told(artifacts: Artifacts, proxy: FaultyProxy) -> None:
    proxy.always = "full"
    with pytest.raises(StoreError):
        artifacts.put(DATA, new=True)


def test_a_blob_that_was_damaged_is_put_anew(artifacts: Artifacts) -> None:
    digest = artifacts.put(DATA)
    name = f"blobs/{digest[:2]}/{digest}"
    artifacts.place.write(name, DATA[::-1])
    with pytest.raises(StoreError, match="has the SHA-256"):
        artifacts.get(digest)
    assert artifacts.put(DATA) == digest
    assert artifacts.get(digest) == DATA


def test_a_blob_that_is_there_is_not_sent_again(artifacts: Artifacts, proxy: FaultyProxy) -> None:
    artifacts.put(DATA)
    proxy.requests.clear()
    artifacts.put(DATA)
    assert [line.split()[0] for line in proxy.requests] == ["GET"]


def test_before_a_run_a_store_without_credentials_is_refused(
    bucket: PlaceSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(InputError, match=r"store\.url = .*[Cc]redentials"):
        check_place(UrlPlace(bucket))


def test_before_a_run_a_bucket_that_is_not_there_is_refused(bucket: PlaceSettings) -> None:
    with pytest.raises(InputError, match=r"store\.url = .*cannot be used"):
        check_place(UrlPlace(dataclasses.replace(bucket, url="s3://nosuch/x")))


def test_before_a_run_a_store_where_nobody_answers_is_refused(bucket: PlaceSettings) -> None:
    settings = dataclasses.replace(
        bucket, options='{"endpoint_url": "http://127.0.0.1:1"}', timeout_s=2.0
    )
    with pytest.raises(InputError, match=r"store\.url = .*cannot be used"):
        check_place(UrlPlace(settings))


def test_before_a_run_a_store_that_gives_other_bytes_is_refused(
    bucket: PlaceSettings, proxy: FaultyProxy
) -> None:
    proxy.always = "wrong"
    with pytest.raises(InputError, match=r"gives back other bytes|checksum"):
        check_place(UrlPlace(bucket))
