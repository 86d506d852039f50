"""The flags of the command that Hydra does not have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import runner
from runner.cli.flags import without_flags
from tests.command import RUN, run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@pytest.mark.parametrize(
    ("given", "made"),
    [
        (["a=1"], ["a=1"]),
        (["--quiet"], ["quiet=true"]),
        (["-q", "a=1"], ["quiet=true", "a=1"]),
        (["a=1", "--quiet=false"], ["quiet=false", "a=1"]),
        (["--quiet=yes", "--cfg", "job"], ["--cfg", "job", "quiet=yes"]),
        (["-qq"], ["quiet=true"]),
        (["-mq", "a=1,2"], ["-m", "quiet=true", "a=1,2"]),
        (["-qm", "~b", "a=1,2"], ["-m", "quiet=true", "~b", "a=1,2"]),
        (["-m", "-cp", "x", "--quieter"], ["-m", "-cp", "x", "--quieter"]),
    ],
)
def test_flags_become_overrides(given: Sequence[str], made: Sequence[str]) -> None:
    assert without_flags(given) == list(made)


@pytest.mark.usefixtures("elsewhere")
def test_the_version_is_the_runners(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--version") == 0
    assert capsys.readouterr() == (f"zk-batch-runner {runner.__version__}\n", "")
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    "flag", ["-q", "-qq", "--quiet", "--quiet=true", "--quiet=yes", "quiet=on", "++quiet=1"]
)
def test_every_spelling_is_quiet(
    flag: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, flag, *RUN, "prover=execute", "guest.count=2", "output=o") == 0
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("elsewhere")
def test_what_quiet_is_set_to_must_be_true_or_false(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--quiet=loud", *RUN, "prover=execute") == 2
    assert capfd.readouterr().err.startswith("error: quiet = 'loud': ")
