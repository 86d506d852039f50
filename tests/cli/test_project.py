"""The user's own ``conf/`` in the working folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from runner.cli.project import CONF
from tests.command import RUN, run

pytestmark = pytest.mark.usefixtures("elsewhere")

EXECUTE = [*RUN, "prover=execute", "output=out"]


def own(name: str, text: str) -> Path:
    path = Path("conf", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_file_of_each_group_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    own("guest/digest.yaml", (CONF / "guest" / "sha256.yaml").read_text())
    own("strategy/pairs.yaml", "name: two_level\nfan_in: 2\n")
    own("experiment/four.yaml", "# @package _global_\nguest:\n  count: 4\n")
    assert run(monkeypatch, *EXECUTE, "guest=digest", "strategy=pairs", "experiment=four") == 0
    record = json.loads(Path("out", "result.json").read_text())
    assert record["summary"]["leaves"] == 4
    assert record["summary"]["levels"] == 2
    assert set(record["guests"]) == {"sha256", "aggregator"}


def test_they_are_listed_with_the_shipped_ones(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own("guest/digest.yaml", "name: digest\n")
    assert run(monkeypatch, "guest=digist") == 2
    assert "digest, fibonacci" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["guest/sha256.yaml", "hydra/sweeper/grid.yaml"])
def test_a_name_that_the_runner_ships_is_refused(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own(name, "name: mine\n")
    assert run(monkeypatch, *EXECUTE) == 2
    line = capsys.readouterr().err
    assert line.startswith(f"error: conf/{name} = '{Path(name).stem}': the runner ships a file")
    assert not Path("out").exists()


def test_a_link_to_the_shipped_folder_is_not_a_second_one(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("conf").symlink_to(CONF)
    assert run(monkeypatch, *EXECUTE) == 0


def test_a_file_beside_the_groups_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(CONF / "alerts", Path("conf", "alerts"))
    own("config.yaml", "an: unrelated project\n")
    assert run(monkeypatch, *EXECUTE) == 0
