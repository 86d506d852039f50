"""A dry run that executes the leaves: their figures, and those that would fail."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import pytest

from runner.batch import dry_run
from runner.batch.run import run as run_batch
from runner.model import ReceiptKind
from tests import builders
from tests.builders import stdin

if TYPE_CHECKING:
    from runner.batch.settings import Settings
    from tests.fakes.behaviours import Behaviours


def test_a_dry_run_executes_what_is_not_in_the_cache(
    settings: Settings, behaviours: Behaviours, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = dataclasses.replace(settings, count=6, strategy=builders.strategy("single"))
    run_batch(dataclasses.replace(settings, count=2))
    before = len(behaviours.runs())
    behaviours.on("print_and_fail", stdin=stdin(4))
    capsys.readouterr()
    output = settings.output.with_name("dry")
    dry_run.run(dataclasses.replace(settings, output=output, dry_run=True, dry_run_executes=True))
    runs = behaviours.runs()[before:]
    assert sorted(run.stdin for run in runs) == sorted(stdin(leaf).hex() for leaf in range(2, 6))
    assert {run.kind for run in runs} == {ReceiptKind.EXECUTE.value}
    said = capsys.readouterr().out
    assert "executed: 3 leaves, 49,152 cycles in 3 segments to prove" in said
    assert "fails: leaf 4: guest panicked: \\x1b[31mPPP" in said
    assert "\x1b[31m" not in said
    jobs = json.loads((output / dry_run.FILE).read_text())["jobs"]
    assert [job.get("total_cycles") for job in jobs] == [None, None, 2**14, 2**14, 0, 2**14, None]
    assert jobs[4]["failure"].startswith("guest panicked")
    assert jobs[3]["failure"] is None


def test_without_that_a_dry_run_executes_nothing(
    settings: Settings, behaviours: Behaviours
) -> None:
    dry_run.run(dataclasses.replace(settings, dry_run=True))
    assert behaviours.runs() == []
    jobs = json.loads((settings.output / dry_run.FILE).read_text())["jobs"]
    assert all("total_cycles" not in job for job in jobs)


def test_the_time_is_that_of_measured_cycles_or_not_known(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    trial = dataclasses.replace(settings, count=6, dry_run=True, dry_run_executes=True)
    dry_run.run(trial)
    assert "the time of their proofs: not known, since the cache" in capsys.readouterr().out
    proved = dataclasses.replace(
        settings,
        count=4,
        output=settings.output.with_name("run"),
        strategy=builders.strategy("none"),
    )
    run_batch(proved)
    capsys.readouterr()
    report = dry_run.run(trial)
    assert report.machine is not None
    assert report.machine.cost is not None
    each, proofs = report.machine.cost
    record = json.loads((proved.output / "result.json").read_text())
    seconds = sum(job["prove_s"] for job in record["jobs"])
    assert proofs == 4
    assert each == pytest.approx(seconds / (4 * 2**14))
    said = capsys.readouterr().out
    assert "by a model, in which each cycle takes" in said
    assert "the mean of the newest 4 proofs of any guest" in said
    assert json.loads((trial.output / dry_run.FILE).read_text())["seconds_per_cycle"] == each
