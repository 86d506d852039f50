"""A dry run foretells what becomes of each job, and changes nothing."""

from __future__ import annotations

import dataclasses
import random
from typing import TYPE_CHECKING

import pytest

from runner.batch import dry_run
from runner.batch.forecast import Reason
from runner.cache.labels import split
from runner.model import Cycles
from tests import builders
from tests.batch.dry_run.reports import COMPOSITE, blob_of, blobs, prove, reasons
from tests.cache.entries import proof_in, rewrite, tree
from tests.fakes.prover import forged

if TYPE_CHECKING:
    from pathlib import Path

    from runner.batch.settings import Settings
    from tests.fakes.behaviours import Behaviours


def test_an_empty_cache_and_nothing_is_made(
    settings: Settings, tmp_path: Path, behaviours: Behaviours
) -> None:
    settings = dataclasses.replace(settings, audit=tmp_path / "logs" / "audit.jsonl")
    report = dry_run.run(settings)
    assert reasons(report) == ["no_entry"] * 9 + ["children_first"] * 4
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
    assert reasons(report) == ["hit"] * 13
    assert report.expected is None
    assert len(behaviours.runs()) == runs
    after = tree(tmp_path)
    assert set(after) - set(before) == {"dry/dry_run.json"}
    assert {name: after[name] for name in before} == before


def test_a_new_leaf_leaves_what_is_above_it_open(settings: Settings) -> None:
    prove(dataclasses.replace(settings, count=8))
    report = dry_run.run(settings)
    found = reasons(report)
    assert found[:9] == ["hit"] * 8 + ["no_entry"]
    assert found[9:] == ["hit", "hit", "children_first", "children_first"]
    assert [d.waits_for for d in report.decisions[11:]] == [(8,), (11,)]


def test_above_a_missing_aggregation_the_way_goes_on(settings: Settings) -> None:
    prove(settings)
    first = dry_run.run(settings)
    blob_of(settings, first, 10).unlink()
    report = dry_run.run(settings)
    assert reasons(report) == ["hit"] * 10 + ["damaged"] + ["hit"] * 2
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
            rewrite(blob, forged)
    if seed % 2:  # then only the verifier can tell
        (builders.cache_folder(settings) / "index.sqlite").unlink()
    report = dry_run.run(settings)
    cached = [job["cached"] for job in prove(settings, "again")["jobs"]]
    for decision in report.decisions:
        if decision.reason is not Reason.CHILDREN_FIRST:
            assert cached[decision.job_id] == (decision.reason is Reason.HIT), decision
    assert {Reason.HIT} < {decision.reason for decision in report.decisions}


def test_damaged_and_rejected_and_set_aside(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    prove(settings)
    first = dry_run.run(settings)
    blob_of(settings, first, 0).write_bytes(b"damaged")
    blob = blob_of(settings, first, 1)
    key = blob.name
    data, labelled = forged(proof_in(blob)), split(blob.read_bytes())
    assert labelled is not None
    made = labelled.label.made_from
    with settings.cache as cache:
        cache.put(
            key,
            data,
            image_id=bytes.fromhex(made.image_id),
            kind=COMPOSITE,
            cycles=Cycles(),
            prove_s=1,
            origin=made.origin,
        )
        cache.quarantine(str(first.decisions[2].key), "it \x1b[31mlooked\nwrong")
    report = dry_run.run(settings)
    assert reasons(report)[:4] == ["damaged", "rejected", "set_aside", "hit"]
    assert "SHA-256 is" in report.decisions[0].detail
    assert "the seal is another run's" in report.decisions[1].detail
    assert report.decisions[2].detail == "set aside earlier: it \x1b[31mlooked\nwrong"
    assert "to prove, set aside earlier: it  [31mlooked wrong: leaf 2\n" in capsys.readouterr().out
    assert reasons(report)[9] == "children_first"
