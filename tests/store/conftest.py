"""Places of several kinds, and an S3 server on loopback behind a proxy that can spoil answers."""

from __future__ import annotations

import itertools
import json
import logging
from typing import TYPE_CHECKING

import pytest

from runner.store.place import Place, PlaceSettings, UrlPlace
from tests.fakes.faulty_proxy import FaultyProxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_bucket = itertools.count()


@pytest.fixture(scope="session")
def s3_port() -> Iterator[int]:
    """The port of moto's S3 server, which keeps its buckets in memory."""
    pytest.importorskip("s3fs", reason="a bucket needs the s3 extra")
    server = pytest.importorskip("moto.server", reason="it is the S3 server of the tests")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    running = server.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    running.start()
    yield int(running.get_host_and_port()[1])
    running.stop()


@pytest.fixture
def proxy(s3_port: int) -> Iterator[FaultyProxy]:
    with FaultyProxy(s3_port) as running:
        yield running


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What moto takes for credentials, and nothing of this machine's own."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def bucket(proxy: FaultyProxy, credentials: None) -> PlaceSettings:
    """A bucket of its own behind the proxy."""
    import urllib.request

    name = f"bucket-{next(_bucket)}"
    urllib.request.urlopen(urllib.request.Request(f"{proxy.url}/{name}", method="PUT")).close()
    proxy.requests.clear()
    return PlaceSettings(
        f"s3://{name}/batches", json.dumps({"endpoint_url": proxy.url}), timeout_s=20
    )


@pytest.fixture(params=["folder", "memory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Each kind of place in turn."""
    if request.param == "s3":
        return UrlPlace(request.getfixturevalue("bucket"))
    if request.param == "memory":
        return UrlPlace(PlaceSettings(f"memory://{tmp_path.name}"))
    return UrlPlace(PlaceSettings(f"file://{tmp_path}/store"))
