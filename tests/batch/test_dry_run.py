"""Dry runs foretell each job's fate and its reason, and change nothing."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
import shutil
import sqlite3
import sys
from typing import TYPE_CHECKING, Any

import pytest

from runner.batch import dry_run
from runner.batch.forecast import Why
from runner.batch.run import run as run_batch
from runner.cache.cache import NoCache
from runner.cache.proof_cache import ProofCache
from runner.cli import command as command_line
from runner.errors import InputError
from runner.model import Cycles, ReceiptKind, Versions
from runner.provers.guests import Manifest
from tests import builders
from tests.cache.entries import tree
from tests.fakes.prover import ADAPTER, FakeProver, fake_image_id, forged

if TYPE_CHECKING:
    from pathlib import Path

    from runner.batch.dry_run_report import Report
    from runner.batch.settings import Settings
    from tests.fakes.behaviours import Behaviours

COMPOSITE, SUCCINCT = ReceiptKind.COMPOSITE, ReceiptKind.SUCCINCT


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Nine leaves over two levels of aggregation (4, 4, 1), with the fake prover."""
    return dataclasses.replace(
        settings,
        count=9,
        strategy=dataclasses.replace(settings.strategy, name="two_level", fan_in=3),
        dry_run=True,
        output=settings.output.with_name("dry"),
    )


def prove(settings: Settings, name: str = "out") -> dict[str, Any]:
    """Run the batch for real. Returns what its ``result.json`` says."""
    output = settings.output.with_name(name)
    run_batch(dataclasses.replace(settings, dry_run=False, output=output))
    data: dict[str, Any] = json.loads((output / "result.json").read_text())
    return data


def whys(report: Report) -> list[str]:
    return [decision.why.value for decision in report.decisions]


def details(report: Report) -> set[str]:
    return {d.detail for d in report.decisions if d.why is not Why.HIT}


def blobs(settings: Settings) -> list[Path]:
    return sorted((builders.cache_folder(settings) / "objects").glob("*/*"))


def blob_of(settings: Settings, report: Report, job: int) -> Path:
    key = report.decisions[job].key
    return next(path for path in blobs(settings) if path.name == key)


def test_an_empty_cache_and_nothing_is_made(
    settings: Settings, tmp_path: Path, behaviours: Behaviours
) -> None:
    settings = dataclasses.replace(settings, audit=tmp_path / "logs" / "audit.jsonl")
    report = dry_run.run(settings)
    assert whys(report) == ["no_entry"] * 9 + ["children_first"] * 4
    assert report.decisions[12].waits_for == (9, 10, 11)
    assert behaviours.runs() == []
    made = {path.name for path in tmp_path.iterdir()} - {"guests", "behaviours"}
    assert made == {"dry"}
    assert [path.name for path in settings.output.iterdir()] == ["dry_run.json"]


def test_a_full_cache_is_all_hits_and_is_left_as_it_is(
    settings: Settings, tmp_path: Path, behaviours: Behaviours
) -> None:
    prove(settings)
    runs = len(behaviours.runs())
    before = tree(tmp_path)
    report = dry_run.run(settings)
    assert whys(report) == ["hit"] * 13
    assert report.expected is None
    assert len(behaviours.runs()) == runs
    after = tree(tmp_path)
    assert set(after) - set(before) == {"dry/dry_run.json"}
    assert {name: after[name] for name in before} == before


def test_a_new_leaf_leaves_what_is_above_it_open(settings: Settings) -> None:
    prove(dataclasses.replace(settings, count=8))
    report = dry_run.run(settings)
    found = whys(report)
    assert found[:9] == ["hit"] * 8 + ["no_entry"]
    assert found[9:] == ["hit", "hit", "children_first", "children_first"]
    assert [d.waits_for for d in report.decisions[11:]] == [(8,), (11,)]


def test_above_a_missing_aggregation_the_way_goes_on(settings: Settings) -> None:
    prove(settings)
    first = dry_run.run(settings)
    blob_of(settings, first, 10).unlink()
    report = dry_run.run(settings)
    assert whys(report) == ["hit"] * 10 + ["damaged"] + ["hit"] * 2
    assert report.decisions[10].detail == "its file is gone"
    assert report.decisions[10].key == first.decisions[10].key


@pytest.mark.parametrize("seed", range(8))
def test_what_is_said_comes_true(seed: int, settings: Settings) -> None:
    chance = random.Random(seed)
    prove(settings)
    for blob in blobs(settings):
        fate = chance.choice(["stay", "stay", "gone", "damaged", "forged", "forged unseen"])
        if fate == "gone":
            blob.unlink()
        elif fate == "damaged":
            blob.write_bytes(b"damaged")
        elif fate.startswith("forged"):
            blob.write_bytes(forged(blob.read_bytes()))
    if seed % 2:  # then only the verifier can tell
        (builders.cache_folder(settings) / "index.sqlite").unlink()
    report = dry_run.run(settings)
    cached = [job["cached"] for job in prove(settings, "again")["jobs"]]
    for decision in report.decisions:
        if decision.why is not Why.CHILDREN_FIRST:
            assert cached[decision.job_id] == (decision.why is Why.HIT), decision
    assert {Why.HIT} < {decision.why for decision in report.decisions}


def test_damaged_and_rejected_and_set_aside(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    prove(settings)
    first = dry_run.run(settings)
    blob_of(settings, first, 0).write_bytes(b"damaged")
    blob = blob_of(settings, first, 1)
    key = blob.name
    data = forged(blob.read_bytes())
    with settings.cache as cache:
        image_id = Manifest.load(settings.guests).get("sha256").image_id
        cache.put(key, data, image_id=image_id, kind=COMPOSITE, cycles=Cycles(), prove_s=1)
        cache.quarantine(str(first.decisions[2].key), "it \x1b[31mlooked\nwrong")
    report = dry_run.run(settings)
    assert whys(report)[:4] == ["damaged", "rejected", "set_aside", "hit"]
    assert "SHA-256 is" in report.decisions[0].detail
    assert "the seal is another run's" in report.decisions[1].detail
    assert report.decisions[2].detail == "set aside earlier: it \x1b[31mlooked\nwrong"
    assert "to prove, set aside earlier: it  [31mlooked wrong: leaf 2\n" in capsys.readouterr().out
    assert whys(report)[9] == "children_first"


# -- why not ----------------------------------------------------------------------------------


def test_another_kind_of_receipt(settings: Settings) -> None:
    prove(settings)
    report = dry_run.run(dataclasses.replace(settings, prover=builders.prover(SUCCINCT)))
    assert whys(report) == ["differs"] * 9 + ["children_first"] * 4
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
    assert whys(report) == ["differs"] * 9 + ["children_first"] * 4
    words = f"an entry has image id {old[:8]}... (not {new[:8]}...)"
    assert report.decisions[3].detail == words
    # An entry for the same input of another guest does not explain anything.
    other = dataclasses.replace(settings, guest="fibonacci")
    assert whys(dry_run.run(other))[:9] == ["no_entry"] * 9


def test_another_build_of_the_aggregator_on_all_levels(settings: Settings, tmp_path: Path) -> None:
    prove(settings)
    report = dry_run.run(rebuild(settings, "aggregator", tmp_path / "guests2"))
    assert whys(report) == ["hit"] * 9 + ["differs"] * 4
    assert {d.differs for d in report.decisions[9:]} == {("image_id",)}


def test_other_groups_are_no_entries_of_these(settings: Settings) -> None:
    prove(settings)
    strategy = dataclasses.replace(settings.strategy, fan_in=4)
    report = dry_run.run(dataclasses.replace(settings, strategy=strategy))
    assert whys(report)[:9] == ["hit"] * 9
    assert set(whys(report)[9:]) == {"no_entry"}


def test_entries_of_unknown_origin_are_told(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    prove(settings)
    (builders.cache_folder(settings) / "index.sqlite").unlink()
    folder = builders.cache_folder(settings)
    with ProofCache(folder, 1000, 10_000_000):
        pass  # to open it rebuilds the index from the blobs
    succinct = builders.prover(SUCCINCT)
    report = dry_run.run(dataclasses.replace(settings, prover=succinct))
    assert whys(report)[0] == "no_entry"
    assert report.unexplained == 13
    assert "13 entries of the cache do not say what they were made from" in capsys.readouterr().out


# -- what is not looked up, and times ---------------------------------------------------------


@pytest.mark.parametrize("how", ["execute", "off"])
def test_without_a_cache_all_is_to_do(
    how: str, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    execute = builders.prover(ReceiptKind.EXECUTE)
    report = dry_run.run(
        dataclasses.replace(settings, prover=execute)
        if how == "execute"
        else dataclasses.replace(settings, cache=NoCache())
    )
    assert whys(report) == ["not_looked_up"] * 13
    assert report.expected is None
    out = capsys.readouterr().out
    assert "nothing is looked up" in out
    assert "expected" not in out


def measure(settings: Settings, leaf_s: float, group_s: float) -> None:
    """Let the index say that the proofs in the cache took so long."""
    manifest = Manifest.load(settings.guests)
    with sqlite3.connect(builders.cache_folder(settings) / "index.sqlite") as db:
        for name, seconds in (("sha256", leaf_s), ("aggregator", group_s)):
            image_id = manifest.get(name).image_id.hex()
            db.execute("UPDATE entries SET prove_s = ? WHERE image_id = ?", (seconds, image_id))
    db.close()


def test_times_are_those_measured_and_none_is_invented(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    report = dry_run.run(settings)
    assert report.expected is None
    assert report.measured == [None] * 13
    out = capsys.readouterr().out
    assert "a leaf: not measured yet" in out
    assert "an aggregation of level 2: not measured yet" in out
    assert "expected: not measured yet" in out

    prove(settings)
    measure(settings, leaf_s=10.0, group_s=40.0)
    more = dataclasses.replace(settings, count=12)  # groups of three, and a root over four of them
    report = dry_run.run(more)
    # Two leaves are proved side by side, then the third, their group and the root over it. The
    # cache has the rest.
    assert report.expected == (10.0 + 10.0 + 40.0 + 40.0, True)
    assert [level.hits for level in report.levels] == [9, 3, 0]
    assert [level.prove for level in report.levels] == [3, 0, 0]
    assert [level.open for level in report.levels] == [0, 1, 1]
    out = capsys.readouterr().out
    assert "a leaf takes 10 s (mean of 9 proofs)" in out
    assert "level 1 takes 40 s (mean of 4 proofs)" in out
    assert "level 2 takes 40 s (mean of 4 proofs of other fan-ins)" in out
    assert "expected: about 1 min 40 s with 2 workers, from measured times" in out
    rows = json.loads((settings.output / "dry_run.json").read_text())["jobs"]
    assert [row["expected_s"] for row in rows] == [None] * 9 + [10] * 3 + [None] * 3 + [40, 40]


def test_a_level_never_measured_makes_it_a_lower_bound(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    none = dataclasses.replace(settings.strategy, name="none")
    prove(dataclasses.replace(settings, strategy=none, count=2))
    measure(settings, leaf_s=10.0, group_s=0.0)
    assert dry_run.run(settings).expected == (4 * 10.0, False)
    assert "expected: at least 40 s with 2 workers" in capsys.readouterr().out


def test_identical_leaves_are_one_job(settings: Settings) -> None:
    same = dataclasses.replace(settings, inputs=["a", "b", "a"], count=None)
    report = dry_run.run(same)
    assert whys(report)[:2] == ["no_entry", "no_entry"]
    assert len(report.decisions) == report.batch.plan.jobs
    prove(same)
    assert set(whys(dry_run.run(same))) == {"hit"}


# -- the command line -------------------------------------------------------------------------


@pytest.fixture
def command(
    tmp_path: Path, guests: Path, monkeypatch: pytest.MonkeyPatch, behaviours: Behaviours
) -> list[str]:
    monkeypatch.setenv("RUNNER_PROOFS", str(tmp_path / "proofs"))
    monkeypatch.chdir(tmp_path)
    return [
        *("executor=inline", "progress=none", "log_level=warning", f"guests={guests}"),
        *(f"prover.adapter={ADAPTER}", "guest=sha256", "guest.count=6"),
    ]


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["runner", *arguments])
    return command_line.main()


def test_the_plan_is_printed_and_written(
    command: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, *command, "output=real") == 0
    before = tree(tmp_path / "proofs")
    capsys.readouterr()
    again = [*command[:-1], "guest.count=7", "output=dry", "dry_run=true"]
    assert run(monkeypatch, *again) == 0
    out = capsys.readouterr().out
    assert out.startswith("Dry run: nothing is proved or changed")
    assert "7 leaves of sha256 (7 distinct), strategy single (picked by auto), 8 jobs" in out
    assert "to prove, no entry: leaf 6\n" in out
    assert "not known yet, children must be proved first: aggregation 7 (level 1)\n" in out
    data = json.loads((tmp_path / "dry" / "dry_run.json").read_text())
    assert data["dry_run"] is True
    assert [row["why"] for row in data["jobs"]] == ["hit"] * 6 + ["no_entry", "children_first"]
    assert data["jobs"][7]["waits_for"] == [6]
    assert [level["jobs"] for level in data["levels"]] == [7, 1]
    assert data["plan"]["strategy"] == "single"
    assert tree(tmp_path / "proofs") == before
    assert not list((tmp_path / "dry").glob("*.prom"))
    assert not list((tmp_path / "dry").glob("audit*"))
    assert not (tmp_path / "dry" / "result.json").exists()


def test_a_sweep_of_dry_runs(
    command: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sweep = ["--multirun", "dry_run=true", "strategy=single,none", "output=o", *command]
    assert run(monkeypatch, *sweep) == 0
    plans = [json.loads((tmp_path / "o" / f"{i}" / "dry_run.json").read_text()) for i in range(2)]
    assert [plan["plan"]["strategy"] for plan in plans] == ["single", "none"]
    assert capsys.readouterr().out.count("Dry run:") == 2
    assert not (tmp_path / "proofs").exists()


def test_unusable_input_is_found_by_a_dry_run(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *command, "strategy.fan_in=1", "dry_run=true", "output=dry") == 2
    assert "strategy.fan_in = 1" in capsys.readouterr().err
    assert run(monkeypatch, *command, "dry_run=maybe", "output=dry") == 2
    assert "dry_run" in capsys.readouterr().err


def test_a_folder_that_takes_no_file_is_named(settings: Settings) -> None:
    nowhere = dataclasses.replace(settings, output=settings.output / "/proc/no")
    with pytest.raises(InputError, match="output = '/proc/no'"):
        dry_run.run(nowhere)
