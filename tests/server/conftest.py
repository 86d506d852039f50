"""Servers over a textfile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runner.server.http import StatusServer
from runner.server.site import Site
from tests.server.serving import NOW, text
from tests.threads import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def textfile(tmp_path: Path) -> Path:
    path = tmp_path / "runner.prom"
    path.write_bytes(text())
    return path


@pytest.fixture
def server(textfile: Path) -> Iterator[StatusServer]:
    with serving(StatusServer(("127.0.0.1", 0), Site(textfile, clock=lambda: NOW))) as server:
        yield server


@pytest.fixture
def impatient(textfile: Path) -> Iterator[StatusServer]:
    """A server for three clients at most, with half a second for each."""
    site = Site(textfile, clock=lambda: NOW)
    address = ("127.0.0.1", 0)
    with serving(StatusServer(address, site, most_clients=3, patience_s=0.5)) as server:
        yield server
