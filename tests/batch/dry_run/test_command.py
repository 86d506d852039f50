"""Dry runs on the command line."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import pytest

from runner.batch import dry_run
from runner.errors import InputError
from tests.cache.entries import tree
from tests.command import run
from tests.fakes.prover import ADAPTER

if TYPE_CHECKING:
    from pathlib import Path

    from runner.batch.settings import Settings
    from tests.fakes.behaviours import Behaviours


@pytest.fixture
def command(elsewhere: None, guests: Path, behaviours: Behaviours) -> list[str]:
    return [
        *("executor=inline", "progress=none", "log_level=warning", f"guests={guests}"),
        *(f"prover.adapter={ADAPTER}", "guest=sha256", "guest.count=6"),
    ]


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
