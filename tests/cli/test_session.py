"""What the command prints at its end, as the composed config wants it, and in which format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runner.batch import run as running
from runner.cli.flags import without_flags
from runner.errors import InterruptedBatchError
from tests.command import run as run_command

if TYPE_CHECKING:
    from runner.batch.settings import Settings
    from runner.batch.summary import Summary

EXECUTE = ["progress=none", "log_level=warning", "executor=inline", "prover=execute", "output=o"]
SWEEP = ["--multirun", "guest.count=1,2", *EXECUTE]

FILES = {
    "preset/silent.yaml": "# @package _global_\nquiet: yes\n",
    "preset/machine.yaml": "# @package _global_\nlog_format: json\n",
    "experiment/silent.yaml": "# @package _global_\nquiet: true\n",
    "experiment/machine.yaml": "# @package _global_\nlog_format: json\n",
}


@pytest.fixture(autouse=True)
def own_configs(elsewhere: None, tmp_path: Path) -> None:
    for name, text in FILES.items():
        file = tmp_path / "own" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the command, which also finds the presets and experiments of this test."""
    return run_command(monkeypatch, "--config-dir=own", *arguments)


def last_line(err: str) -> tuple[str, str]:
    """The format of the last line on standard error, and its message."""
    line = err.splitlines()[-1]
    return ("json", json.loads(line)["message"]) if line.startswith("{") else ("text", line)


def stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every batch end as Ctrl-C ends it."""

    def run(_settings: Settings) -> Summary:
        raise InterruptedBatchError("stopped", "o")

    monkeypatch.setattr(running, "run", run)


# -- quiet --------------------------------------------------------------------------------------

SILENT = [
    ["--quiet"],
    ["-q"],
    ["~hydra.callbacks.report", "-q"],
    ["quiet=true"],
    ["quiet=True"],
    ["quiet=yes"],
    ["quiet=on"],
    ["++quiet=true"],
    ["quiet=false", "quiet=true"],
    ["preset=silent"],
    ["experiment=silent"],
    ["quiet=True", "~hydra.callbacks.session"],
]
WAYS_TO_BE_SILENT = [["--quiet"], ["~hydra.callbacks.report", "-q"], ["preset=silent"], SILENT[-1]]
"""One of each kind: a flag, one without a callback, a file, and the setting itself."""
AUDIBLE = [[], ["quiet=False"], ["quiet=true", "quiet=false"], ["preset=silent", "quiet=false"]]


@pytest.mark.parametrize("quiet", SILENT, ids=" ".join)
def test_a_quiet_sweep_prints_nothing(
    quiet: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *SWEEP, *quiet) == 0
    assert tuple(capfd.readouterr()) == ("", "")
    assert Path("o/1/result.json").is_file()


@pytest.mark.parametrize("quiet", SILENT, ids=" ".join)
def test_a_quiet_run_prints_nothing(
    quiet: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "guest.count=1", *EXECUTE, *quiet) == 0
    assert tuple(capfd.readouterr()) == ("", "")


@pytest.mark.parametrize("audible", AUDIBLE, ids=" ".join)
def test_a_sweep_whose_config_is_not_quiet_prints_its_line(
    audible: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *SWEEP, *audible) == 0
    assert "sweep: 2 of 2 jobs are done; outputs in o" in capfd.readouterr().err


@pytest.mark.parametrize("quiet", WAYS_TO_BE_SILENT, ids=" ".join)
def test_a_quiet_sweep_still_prints_what_failed(
    quiet: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--multirun", "guest.count=0,1", *EXECUTE, *quiet) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert "sweep: 1 of 2 jobs are done, 1 failed; outputs in o" in err
    assert "error: job 0 guest.count=0, folder 0: guest.count = 0" in err


# -- the format of the last line ----------------------------------------------------------------

JSON = [
    ["log_format=json"],
    ["++log_format=json"],
    ['log_format="json"'],
    ["log_format=text", "log_format=json"],
]
JSON_FILES = [["preset=machine"], ["experiment=machine"]]
TEXT = [[], ["log_format=text"], ["log_format=json", "log_format=text"]]

NOT_COMPOSED = {
    "an unknown choice": (["guest=nobody"], "guest = 'nobody'"),
    "an unknown setting": (["guest.cuont=3"], "guest.cuont = '3'"),
    "a value of another type": (["report=maybe"], "report = 'maybe'"),
    "a line that cannot be read": (["guest.inputs=[1"], "command line = 'guest.inputs=[1'"),
}
COMPOSED = {
    "before the job": (["output=/proc/no/such"], 2, "output = '/proc"),
    "before the log": (["executor.workers=0"], 2, "executor.workers = 0"),
    "in the batch": (["guest.inputs=[94]"], 2, "guest.inputs[0].n = 94"),
    "before the sweep": (["--multirun", "strategy=single,nobody"], 2, "strategy = 'nobody'"),
}


@pytest.mark.parametrize("bad", NOT_COMPOSED.values(), ids=NOT_COMPOSED)
@pytest.mark.parametrize("given", JSON, ids=" ".join)
def test_the_command_line_decides_where_the_config_cannot_be_composed(
    bad: tuple[list[str], str],
    given: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    arguments, words = bad
    assert run(monkeypatch, *arguments, *given) == 2
    form, message = last_line(capfd.readouterr().err)
    assert form == "json"
    assert message.startswith(f"error: {words}")


@pytest.mark.parametrize("bad", NOT_COMPOSED.values(), ids=NOT_COMPOSED)
@pytest.mark.parametrize("given", [*TEXT, *JSON_FILES, ["log_format=json,text"]], ids=" ".join)
def test_a_file_is_not_read_where_the_config_cannot_be_composed(
    bad: tuple[list[str], str],
    given: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, *bad[0], *given) == 2
    assert last_line(capfd.readouterr().err)[0] == "text"


GIVEN = [*JSON, *JSON_FILES, *TEXT]
ONE_OF_EACH = [JSON[0], JSON_FILES[0], TEXT[0]]


# Where the error comes up and how the format is given have nothing to do with each other, so that
# each is gone through with one of the other.
@pytest.mark.parametrize(
    ("bad", "given"),
    [
        *[pytest.param(COMPOSED["in the batch"], given, id=" ".join(given)) for given in GIVEN],
        *[
            pytest.param(bad, given, id=f"{where} {' '.join(given)}")
            for where, bad in COMPOSED.items()
            for given in ONE_OF_EACH
            if where != "in the batch"
        ],
    ],
)
def test_the_composed_config_decides_once_there_is_one(
    bad: tuple[list[str], int, str],
    given: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    arguments, code, words = bad
    common = [one for one in EXECUTE if not one.startswith("output=")]
    assert run(monkeypatch, *arguments, *common, *given) == code
    form, message = last_line(capfd.readouterr().err)
    assert form == ("text" if given in TEXT else "json")
    assert message.startswith(f"error: {words}")


@pytest.mark.parametrize(
    ("shape", "given"),
    [
        *[(["guest.count=1", *EXECUTE], given) for given in GIVEN],
        *[(SWEEP, given) for given in ONE_OF_EACH],
    ],
)
def test_a_run_that_was_stopped_says_so_in_the_format_of_the_config(
    shape: list[str],
    given: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    stop(monkeypatch)
    assert run(monkeypatch, *shape, *given) == 130
    form, message = last_line(capfd.readouterr().err)
    assert form == ("text" if given in TEXT else "json")
    assert "stopped" in message


def test_a_call_of_the_command_knows_nothing_of_the_one_before(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *SWEEP, "preset=machine", "guest.count=0,1") == 2
    assert run(monkeypatch, "guest.inputs=[94]", *EXECUTE) == 2
    assert run(monkeypatch, "--cfg", "job") == 0
    capfd.readouterr()
    assert run(monkeypatch, "guest=nobody") == 2
    assert last_line(capfd.readouterr().err)[0] == "text"


def test_the_flag_stands_with_an_override_that_takes_something_out() -> None:
    given = ["~hydra.callbacks.report", "--multirun", "-q"]
    assert without_flags(given) == ["quiet=true", *given[:-1]]
