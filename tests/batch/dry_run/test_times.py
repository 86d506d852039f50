"""The times that a dry run expects are those that were measured."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from typing import TYPE_CHECKING

import pytest

from runner.batch import dry_run
from runner.cache.cache import NoCache
from runner.model import ReceiptKind
from runner.provers.guests import Manifest
from tests import builders
from tests.batch.dry_run.reports import prove, reasons

if TYPE_CHECKING:
    from runner.batch.settings import Settings


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
    assert reasons(report) == ["not_looked_up"] * 13
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
    assert reasons(report)[:2] == ["no_entry", "no_entry"]
    assert len(report.decisions) == report.batch.plan.jobs
    prove(same)
    assert set(reasons(dry_run.run(same))) == {"hit"}
