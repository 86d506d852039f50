"""A search for the best settings on the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.sweeps import EXECUTE, jobs, said, sweep

if TYPE_CHECKING:
    from collections.abc import Sequence


pytestmark = pytest.mark.usefixtures("elsewhere")


SEARCH = ["hydra/sweeper=optuna", "hydra.sweeper.repeats=2", "strategy=two_level"]


def test_a_search_leaves_its_best_settings_and_the_command_for_them(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    space = ["strategy.fan_in=2,4", "retry.attempts=range(1,3)", "guest.count=5"]
    assert sweep(monkeypatch, *SEARCH, *space, *EXECUTE) == 0
    found = json.loads(Path("o/best.json").read_text())
    assert len(found["trials"]) == 4
    assert len(jobs()) == sum(len(trial["runs"]) for trial in found["trials"])
    for trial in found["trials"]:
        walls = [
            job["wall_s"] for job in jobs() if set(trial["overrides"]) <= set(job["overrides"])
        ]
        assert walls == trial["runs"]
    complete = [trial for trial in found["trials"] if trial["state"] == "complete"]
    assert found["best"]["wall_s"] == min(trial["wall_s"] for trial in complete)
    err = capfd.readouterr().err
    assert f"run it with: {found['command']}" in err
    command = found["command"].split()
    assert command[:3] == ["python", "-m", "runner"]
    assert "output=o" not in command
    assert command[-2:] == found["best"]["overrides"]
    # The search again with more trials: it asks for the same points first, and no run is made anew.
    assert sweep(monkeypatch, *SEARCH, *space, *EXECUTE) == 0
    assert set(said()) == {"skipped"}
    assert json.loads(Path("o/best.json").read_text()) == found


def test_a_search_goes_on_after_trials_that_fail(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    space = ["strategy.fan_in=interval(1,3)", "guest.count=5"]
    assert sweep(monkeypatch, *SEARCH, *space, *EXECUTE) == 2
    found = json.loads(Path("o/best.json").read_text())
    states = {trial["overrides"][0]: trial["state"] for trial in found["trials"]}
    assert states == {
        "strategy.fan_in=1": "failed",
        "strategy.fan_in=2": "complete",
        "strategy.fan_in=3": "complete",
    }
    err = capfd.readouterr().err
    assert "best of 3: strategy.fan_in=" in err
    assert "error: job" in err


BAD_SEARCH: list[tuple[Sequence[str], str]] = [
    (["guest.count=5"], "nothing to search over"),
    (["strategy.fan_in=2,4", "prover=composite"], "add cache=off"),
    (["strategy.fan_in=interval(2,2.5)"], "whole numbers"),
    (["strategy.fan_in=interval(4,2)"], "whole numbers"),
    (["strategy.fan_in=tag(log,interval(0,2))"], "whole numbers"),
    (["strategy=single,nobody"], "strategy = 'nobody'"),
    (["strategy.fan_in=2,4", "hydra.sweeper.n_trials=0"], "hydra.sweeper.n_trials = 0"),
]


@pytest.mark.parametrize(("arguments", "words"), BAD_SEARCH, ids=lambda value: str(value)[:40])
def test_a_search_that_cannot_be_made_says_why_before_it_starts(
    arguments: Sequence[str],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert sweep(monkeypatch, "hydra/sweeper=optuna", *EXECUTE, *arguments) == 2
    err = capfd.readouterr().err
    assert words in err
    assert err.count("\n") == 1
    assert not Path("o").exists()


def test_without_optuna_a_search_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert sweep(monkeypatch, "hydra/sweeper=optuna", "guest.count=2,3", *EXECUTE) == 2
    assert "pip install '.[optuna]'" in capfd.readouterr().err


def test_a_quiet_search_prints_nothing(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    space = ["strategy.fan_in=2,4", "guest.count=5"]
    assert sweep(monkeypatch, *SEARCH, *space, *EXECUTE, "--quiet") == 0
    assert Path("o/best.json").exists()
    found = capfd.readouterr()
    assert (found.out, found.err) == ("", "")
