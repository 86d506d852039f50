"""The work of a batch in a unit of the user's own."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import pytest

from runner.batch.run import run as run_batch
from runner.codec.reads import journal_layout, word_field
from runner.codec.work import unit_of
from runner.errors import InputError
from runner.plan.inputs import InputSpec
from tests import builders

if TYPE_CHECKING:
    from pathlib import Path

    from runner.batch.settings import Settings

JOURNAL = {"journal": {"low": "u32", "high": "u32"}}
"""Both halves of the journal of fibonacci. A large number is in none of them."""


def counted(settings: Settings, *inputs: int) -> Settings:
    layout = journal_layout(JOURNAL)
    unit = unit_of({"name": "transfers", "field": "low"}, layout, "guest.work")
    return dataclasses.replace(
        settings,
        guest="fibonacci",
        spec=InputSpec((word_field("n", "u32"),)),
        journal=layout,
        unit=unit,
        count=None,
        inputs=list(inputs),
        strategy=builders.strategy("single"),
    )


def test_the_work_is_what_the_journals_count(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = counted(settings, 10, 11, 10)
    summary = run_batch(chosen)
    work = summary.work["transfers"]
    # The first and the third leaf are one proof.
    assert work.count == 55 + 89 + 55
    assert work.per_s == pytest.approx((55 + 89) / summary.wall_s)
    assert "199; " in capsys.readouterr().out
    data = json.loads((chosen.output / "result.json").read_text())
    assert data["summary"]["work"] == {"transfers": dataclasses.asdict(work)}
    assert chosen.metrics.textfile is not None
    text = chosen.metrics.textfile.read_text()
    assert f'\nl2_last_run_work_per_second{{unit="transfers"}} {work.per_s}' in text


def test_what_comes_from_the_cache_is_no_work_of_this_run(
    settings: Settings, tmp_path: Path
) -> None:
    run_batch(counted(settings, 10))
    again = dataclasses.replace(counted(settings, 10, 11), output=tmp_path / "again")
    summary = run_batch(again)
    assert summary.work["transfers"].count == 55 + 89
    assert summary.work["transfers"].per_s == pytest.approx(89 / summary.wall_s)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("transfers", "is no unit of work"),
        ({"name": "transfers"}, "is no unit of work"),
        ({"name": "A B", "field": "low"}, "not a name of small letters"),
        ({"name": "transfers", "field": "middle"}, "not in the journal: its fields are low, high"),
    ],
)
def test_what_is_no_unit_is_told_before_any_proof(given: object, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        unit_of(given, journal_layout(JOURNAL), "guest.work")


def test_a_journal_without_names_counts_nothing() -> None:
    with pytest.raises(InputError, match="names no fields"):
        unit_of({"name": "a", "field": "b"}, journal_layout({"journal": "u64"}), "guest.work")


def test_no_unit_is_no_work(settings: Settings) -> None:
    assert run_batch(settings).work == {}
