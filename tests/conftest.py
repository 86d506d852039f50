"""Fixtures that several rooms use: fake guests, the fake prover, a clock, a batch's settings."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings as hypothesis_settings

from runner.model import ReceiptKind
from runner.monitoring.publish import MetricsSettings
from runner.provers.guests import Manifest
from tests import builders
from tests.fakes.behaviours import FOLDER_VARIABLE, Behaviours
from tests.fakes.clock import FakeClock
from tests.fakes.guests import write_guests

if TYPE_CHECKING:
    from pathlib import Path

    from runner.batch.settings import Settings
    from runner.provers.prover import ProverSpec

# No test is timed: what a busy machine does slowly is right all the same.
hypothesis_settings.register_profile("untimed", deadline=None)
hypothesis_settings.load_profile("untimed")

# A background job of a shell has SIGINT ignored, and one under nohup SIGHUP: tests and what they
# start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Tests start hundreds of processes, each of which would compile all of the runner anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


@pytest.fixture
def guests(tmp_path: Path) -> Path:
    """A folder with a manifest and the fake guests fibonacci, sha256 and aggregator."""
    folder = tmp_path / "guests"
    write_guests(folder)
    return folder


@pytest.fixture
def manifest(guests: Path) -> Manifest:
    """The manifest of ``guests``."""
    return Manifest.load(guests)


@pytest.fixture
def fake_spec() -> ProverSpec:
    """The fake prover, making composite receipts."""
    return builders.prover(ReceiptKind.COMPOSITE)


@pytest.fixture
def behaviours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Behaviours:
    """What fake provers do and did, in this process and in workers that start from now on."""
    folder = tmp_path / "behaviours"
    folder.mkdir()
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder))
    return Behaviours(folder)


@pytest.fixture
def clock() -> FakeClock:
    """A clock whose seconds pass only when a test says so."""
    return FakeClock()


@pytest.fixture
def settings(tmp_path: Path, guests: Path, behaviours: Behaviours) -> Settings:
    """Six distinct leaves of the fake sha256 guest, cached, with a ledger and a textfile."""
    return builders.batch_settings(
        tmp_path / "out",
        guests,
        cache=builders.disk_cache(tmp_path / "proofs"),
        metrics=MetricsSettings(tmp_path / "runner.prom", tmp_path / "ledger.json"),
    )


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test's own folder is the working folder, and has the proof cache of all commands."""
    monkeypatch.setenv("RUNNER_PROOFS", str(tmp_path / "proofs"))
    monkeypatch.chdir(tmp_path)
