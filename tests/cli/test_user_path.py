"""Where a user's own files are, by the variables that are set."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.files import user_path
from tests.cli.configs import settings

BELOW = "zk-batch-runner/proofs"


@pytest.mark.parametrize(
    ("env", "found"),
    [
        ({"RUNNER_PROOFS": "/p"}, "/p"),
        ({"RUNNER_PROOFS": "", "XDG_CACHE_HOME": "/c", "HOME": "/h"}, f"/c/{BELOW}"),
        ({"XDG_CACHE_HOME": "", "HOME": "/h"}, f"/h/.cache/{BELOW}"),
        ({"XDG_CACHE_HOME": "relative", "HOME": "/h"}, f"/h/.cache/{BELOW}"),
        ({"HOME": ""}, f"/of/the/system/.cache/{BELOW}"),
        ({}, f"/of/the/system/.cache/{BELOW}"),
    ],
)
def test_the_first_variable_that_is_not_empty_decides(
    env: dict[str, str], found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "home", lambda: Path("/of/the/system"))
    assert user_path(env, "RUNNER_PROOFS", "cache", "proofs") == Path(found)


@pytest.mark.usefixtures("hydra")
@pytest.mark.parametrize("choice", ["cache=off", "cache=disk", "metrics=pushgateway"])
def test_settings_need_no_home_where_every_folder_is_named(
    choice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.setenv("RUNNER_PROOFS", str(tmp_path / "p"))
    monkeypatch.setenv("RUNNER_LEDGER", str(tmp_path / "l.json"))

    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nobody)
    made = settings(choice)
    if choice == "metrics=pushgateway":
        assert made.metrics.ledger == tmp_path / "l.json"
