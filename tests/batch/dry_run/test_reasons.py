"""A dry run says why a job is not in the cache."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import shutil
import sqlite3
from typing import TYPE_CHECKING

from runner.batch import dry_run
from runner.model import Versions
from runner.provers.guests import Manifest
from tests import builders
from tests.batch.dry_run.reports import SUCCINCT, details, prove, reasons
from tests.fakes.prover import FakeProver, fake_image_id

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from runner.batch.settings import Settings


def test_another_kind_of_receipt(settings: Settings) -> None:
    prove(settings)
    report = dry_run.run(dataclasses.replace(settings, prover=builders.prover(SUCCINCT)))
    assert reasons(report) == ["differs"] * 9 + ["children_first"] * 4
    assert details(report) == {
        "an entry has a composite receipt (not succinct)",
        "children must be proved first",
    }
    assert {d.differs for d in report.decisions[:9]} == {("kind",)}


def test_another_version_of_the_prover(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    prove(settings)
    later = property(lambda _: Versions("fake", "2.0.0"))
    monkeypatch.setattr(FakeProver, "versions", later)
    report = dry_run.run(settings)
    assert report.decisions[0].detail == "an entry has fake 1.0.0 (not fake 2.0.0)"
    assert report.decisions[0].differs == ("zkvm_version",)
    succinct = builders.prover(SUCCINCT)
    report = dry_run.run(dataclasses.replace(settings, prover=succinct))
    assert report.decisions[0].differs == ("kind", "zkvm_version")
    # Of several entries the one that differs least is named.
    prove(dataclasses.replace(settings, prover=succinct), "succinct")
    assert dry_run.run(settings).decisions[0].differs == ("kind",)


def rebuild(settings: Settings, name: str, folder: Path) -> Settings:
    """Let the batch run with guests of which one is another build."""
    shutil.copytree(settings.guests, folder)
    elf = folder / "elfs" / f"{name}.bin"
    elf.write_bytes(elf.read_bytes() + b"2")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["guests"][name] |= {
        "elf_sha256": hashlib.sha256(elf.read_bytes()).hexdigest(),
        "image_id": fake_image_id(elf.read_bytes()).hex(),
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return dataclasses.replace(settings, guests=folder)


def test_another_build_of_the_guest(settings: Settings, tmp_path: Path) -> None:
    prove(settings)
    old = Manifest.load(settings.guests).get("sha256").image_id.hex()
    rebuilt = rebuild(settings, "sha256", tmp_path / "guests2")
    new = Manifest.load(rebuilt.guests).get("sha256").image_id.hex()
    report = dry_run.run(rebuilt)
    assert reasons(report) == ["differs"] * 9 + ["children_first"] * 4
    words = f"an entry has image id {old[:8]}... (not {new[:8]}...)"
    assert report.decisions[3].detail == words
    # An entry for the same input of another guest does not explain anything.
    other = dataclasses.replace(settings, guest="fibonacci")
    assert reasons(dry_run.run(other))[:9] == ["no_entry"] * 9


def test_another_build_of_the_aggregator_on_all_levels(settings: Settings, tmp_path: Path) -> None:
    prove(settings)
    report = dry_run.run(rebuild(settings, "aggregator", tmp_path / "guests2"))
    assert reasons(report) == ["hit"] * 9 + ["differs"] * 4
    assert {d.differs for d in report.decisions[9:]} == {("image_id",)}


def test_entries_of_other_groups_are_not_hits(settings: Settings) -> None:
    prove(settings)
    strategy = dataclasses.replace(settings.strategy, fan_in=4)
    report = dry_run.run(dataclasses.replace(settings, strategy=strategy))
    assert reasons(report)[:9] == ["hit"] * 9
    assert set(reasons(report)[9:]) == {"no_entry"}


def test_entries_of_unknown_origin_are_reported(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    prove(settings)
    with contextlib.closing(
        sqlite3.connect(builders.cache_folder(settings) / "index.sqlite")
    ) as db:
        db.execute("DROP TABLE origins")  # as the first version left its index
        db.commit()
    succinct = builders.prover(SUCCINCT)
    report = dry_run.run(dataclasses.replace(settings, prover=succinct))
    assert reasons(report)[0] == "no_entry"
    assert report.without_origin == 13
    assert "13 entries of the cache do not say what they were made from" in capsys.readouterr().out
