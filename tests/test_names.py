"""Files and folders whose names are not UTF-8, or not in the encoding of the terminal."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from runner.provers.guests import DEFAULT_FOLDER
from runner.text import visible

NAME = os.fsdecode(b"caf\xc3\xa9 \xff")

TERMINALS = {
    "utf-8": {"PYTHONIOENCODING": "utf-8"},
    "ascii": {"PYTHONIOENCODING": "ascii"},
    # Python takes a system without a locale for one of UTF-8 unless it is told not to.
    "no locale": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}


SHOWN = {
    "utf-8": r"café \udcff",
    "ascii": r"caf\xe9 \udcff",
    "no locale": r"caf\udcc3\udca9 \udcff",
}
"""The name as a terminal shows it."""


@pytest.fixture(autouse=True)
def folder(elsewhere: None) -> Path:
    """The folder with the odd name, in the working directory."""
    del elsewhere
    folder = Path(NAME)
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("the file system takes names in UTF-8 only")
    return folder


def run(*arguments: str | Path, **env: str) -> tuple[int, str, str]:
    """Run a command; returns its exit code, what it printed, and its standard error."""
    command = [sys.executable, "-m", *arguments]
    clean = {key: value for key, value in os.environ.items() if not key.startswith("LC_")}
    done = subprocess.run(command, capture_output=True, check=False, env={**clean, **env})
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def settings(folder: Path) -> list[str]:
    """The settings of a batch, all of whose files and folders have the odd name."""
    (folder / "inputs.jsonl").write_text('{"n": 5}\n{"n": 6}\n')
    (folder / "guests").mkdir()
    shutil.copy(DEFAULT_FOLDER / "manifest.json", folder / "guests")
    shutil.copytree(DEFAULT_FOLDER / "elfs", folder / "guests" / "elfs")
    paths = {
        "output": folder / "out",
        "guests": folder / "guests",
        "guest.inputs_file": folder / "inputs.jsonl",
        "metrics.textfile": folder / "a.prom",
        "metrics.ledger": folder / "ledger.json",
        "audit.file": folder / "log.jsonl",
        "cache.folder": folder / "proofs",
    }
    return ["prover=execute", *(f"{name}='{path}'" for name, path in paths.items())]


@pytest.mark.parametrize(
    ("terminal", "log_format"), [("utf-8", "text"), ("ascii", "json"), ("no locale", "text")]
)
def test_a_batch_among_odd_names_is_one_like_any_other(
    folder: Path, terminal: str, log_format: str
) -> None:
    code, printed, said = run(
        "runner", *settings(folder), f"log_format={log_format}", **TERMINALS[terminal]
    )
    assert (code, "Traceback" in said, "Logging error" in said) == (0, False, False), said
    if log_format == "json":
        assert os.fsencode(json.loads(printed)["folder"]) == os.fsencode(folder.absolute() / "out")
        assert all(json.loads(line)["level"] == "INFO" for line in said.splitlines())
    else:
        assert f"{SHOWN[terminal]}/out" in printed
        assert f"{SHOWN[terminal]}/out" in said
    record = json.loads((folder / "out" / "result.json").read_text(encoding="utf-8"))
    assert record["status"] == "ok"
    inputs = os.fsencode(record["config"]["guest"]["inputs_file"])
    assert inputs == os.fsencode(folder / "inputs.jsonl")
    assert "l2_last_run_exit_status 0.0" in (folder / "a.prom").read_text()
    assert visible(f"{folder}/log.jsonl") in run("runner.audit", folder / "out")[1]
    log = (folder / "out" / "run.log").read_text(encoding="utf-8")
    assert f"{SHOWN['no locale' if terminal == 'no locale' else 'utf-8']}/out" in log


@pytest.fixture
def batch(folder: Path) -> Path:
    """The output folder of a finished batch."""
    code, _, said = run("runner", *settings(folder), "progress=none", "report=true")
    assert code == 0, said
    return folder / "out"


COMMANDS = {
    "audit": (0, "{}/log.jsonl: "),
    "verify": (1, "nothing was proved"),
    "report": (0, "report: {}/out/report.html"),
}


def test_commands_read_such_a_batch_back(batch: Path) -> None:
    for terminal, env in TERMINALS.items():
        for command, (expected, words) in COMMANDS.items():
            code, printed, said = run(f"runner.{command}", batch, **env)
            assert code == expected, said
            assert words.format(SHOWN[terminal]) in printed + said
    page = (batch / "report.html").read_text(encoding="utf-8").replace("<wbr>", "")
    assert f"{SHOWN['utf-8']}/inputs.jsonl" in page
    table = batch.parent / "runs.csv"
    code, _, said = run("runner.report", ".", "--csv", table)
    assert code == 0, said
    assert table.read_text(encoding="utf-8").splitlines()[1].startswith("out,")


def test_a_sweep_in_such_a_folder_goes_on_where_it_ended(folder: Path) -> None:
    sweep = ["-m", "prover=execute", "guest.count=2,3", f"output='{folder}'"]
    code, _, said = run("runner", *sweep)
    assert code == 0, said
    code, _, said = run("runner", *sweep, PYTHONIOENCODING="ascii")
    assert code == 0, said
    assert r"2 of them were done before; outputs in caf\xe9 \udcff" in said


@pytest.mark.parametrize("command", ["verify", "audit", "report"])
def test_an_error_shows_the_name_escaped(command: str) -> None:
    code, _, said = run(f"runner.{command}", f"no-{NAME}", PYTHONIOENCODING="ascii")
    assert code == 2
    assert r"'no-caf\xe9 \udcff'" in said
