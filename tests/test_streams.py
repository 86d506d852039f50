"""Commands whose standard output or error is full, closed, or read by nobody."""

from __future__ import annotations

import inspect
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import runner
from runner.cli.errors import explain
from runner.commands import script
from runner.errors import InputError, OperatingSystemError

pytestmark = pytest.mark.usefixtures("elsewhere")

RUN = ["runner", "prover=execute", "executor=inline", "guest.count=2", "output=out"]
WAYS = {"full": ">/dev/full", "closed": ">&-", "broken pipe": "| true"}
REASONS = {
    "full": "No space left on device",
    "closed": "it is closed",
    "broken pipe": "Broken pipe",
}


def shell(way: str, *arguments: str) -> tuple[int, str]:
    """Run a command with a redirection; returns its exit code and its standard error."""
    # A reader that has ended before the command starts, so that no write comes in time.
    command = [sys.executable, "-m", *arguments]
    if way == "| true":
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
        os.close(write)
    else:
        line = f"{shlex.join(command)} {way}"
        done = subprocess.run(
            line, shell=True, stderr=subprocess.PIPE, text=True, executable="/bin/sh", check=False
        )
    return done.returncode, done.stderr or ""


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("way", WAYS)
def test_a_batch_ends_as_it_would(way: str, log_format: str) -> None:
    code, said = shell(WAYS[way], *RUN, f"log_format={log_format}")
    assert (code, "Traceback" in said, "Error" in said) == (0, False, False), said
    assert json.loads(Path("out/result.json").read_text())["status"] == "ok"
    warnings = [line for line in Path("out/run.log").read_text().splitlines() if "WARNING" in line]
    assert len(warnings) == 1
    assert f"standard output cannot be written ({REASONS[way]})" in warnings[0]


@pytest.mark.parametrize(("launcher", "log_format"), [("basic", "json"), ("joblib", "text")])
@pytest.mark.parametrize("way", WAYS)
def test_a_sweep_ends_as_it_would(way: str, launcher: str, log_format: str) -> None:
    arguments = [
        "runner",
        "-m",
        "prover=execute",
        "executor=inline",
        "output=out",
        "guest.count=2,3",
        f"hydra/launcher={launcher}",
        f"log_format={log_format}",
    ]
    code, said = shell(WAYS[way], *arguments)
    assert (code, "Traceback" in said) == (0, False), said
    assert json.loads(Path("out/sweep.json").read_text())["exit_code"] == 0
    if (way, launcher) == ("closed", "joblib"):
        # The jobs' processes have the null device there, so the warning is the command's alone.
        assert f"({REASONS[way]})" in said
        return
    for job in ("0", "1"):
        assert f"({REASONS[way]})" in Path("out", job, "run.log").read_text()


@pytest.mark.parametrize("way", ["2>/dev/full", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_standard_error_fails_no_batch(way: str) -> None:
    code, _ = shell(way + " ", *RUN, "progress=lines")
    assert code == 0
    logged = Path("out/run.log").read_text()
    assert "standard error cannot be written" in logged
    assert "audit log" in logged  # no stream took the number of another file
    assert json.loads(Path("out/result.json").read_text())["status"] == "ok"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished batch."""
    folder = tmp_path_factory.mktemp("made") / "out"
    command = [sys.executable, "-m", *RUN[:-1], f"output={folder}"]
    subprocess.run(command, capture_output=True, check=True)
    return folder


@pytest.fixture
def batch(elsewhere: None, made: Path) -> None:
    """The finished batch as ``out`` in the working directory."""
    del elsewhere
    Path("out").symlink_to(made)


COMMANDS = {
    "audit": (["runner.audit", "out"], 0),
    "l1": (["runner.l1", "status", "out"], 1),  # nothing was proved
    "audit, which does not hold": (["runner.audit", "out/audit.jsonl", "--head", "00"], 1),
    "verify": (["runner.verify", "out", "--json"], 1),  # nothing was proved
    "report": (["runner.report", "out"], 0),
    "sign's help": (["runner.sign", "--help"], 0),
    "help": (["runner", "--help"], 0),
    "alerts": (["runner.alerts", "--out", "rules.yml"], 0),
}


@pytest.mark.usefixtures("batch")
@pytest.mark.parametrize("way", WAYS)
def test_other_commands_exit_as_they_would(way: str) -> None:
    for name, (arguments, expected) in COMMANDS.items():
        code, said = shell(WAYS[way], *arguments)
        assert (code, "Traceback" in said, "Exception" in said) == (expected, False, False), (
            name,
            said,
        )


def test_every_command_has_its_streams_guarded() -> None:
    commands = [
        text
        for path in Path(runner.__file__).parent.rglob("*.py")
        if 'if __name__ == "__main__":' in (text := path.read_text(encoding="utf-8"))
    ]
    assert len(commands) > 9
    # `python -m runner` and the installed command share `script`, which is looked at below.
    guarded = ("\n    streams.run(main)\n", "\n    script()\n")
    assert all(any(way in text for way in guarded) for text in commands)
    assert "streams.run(main)" in inspect.getsource(script)


@pytest.fixture(scope="module")
def usual() -> int:
    """The exit code of a doctor that is read."""
    command = [sys.executable, "-m", "runner.doctor"]
    return subprocess.run(command, capture_output=True, check=False).returncode


@pytest.mark.parametrize("way", WAYS)
def test_the_doctor_exits_by_what_it_has_found(way: str, usual: int) -> None:
    for form in ([], ["--json"]):
        code, said = shell(WAYS[way], "runner.doctor", *form)
        assert (code, "Traceback" in said) == (usual, False), said


PRODUCTS = [
    ["runner.alerts", "--out", "-"],
    ["runner.reference", "--out", "/dev/stdout"],
    ["runner.report", "out", "--csv", "-"],
    ["runner", "--cfg", "job"],
]


@pytest.mark.usefixtures("batch")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("arguments", PRODUCTS, ids=" ".join)
def test_output_that_was_asked_for_and_is_lost_is_an_error(arguments: list[str], way: str) -> None:
    code, said = shell(WAYS[way], *arguments)
    assert "Traceback" not in said
    # A reader that has ended has had what it wanted.
    assert code == (0 if way == "broken pipe" else 2)
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert [REASONS[way] in line for line in errors] == ([True] if code else [])


def test_an_error_of_the_system_names_what_it_is_about() -> None:
    output = Path("/var/batches/7")
    for path in (output / "run.log", output, output.parent):
        found = explain(OSError(28, "No space left on device", str(path)), [], output)
        assert isinstance(found, InputError)
        assert (found.field, found.value) == ("output", str(path))
    other = explain(OSError(24, "Too many open files", "/etc/hosts"), [], output)
    assert isinstance(other, OperatingSystemError)
    assert str(other) == "/etc/hosts: Too many open files"
    nothing = explain(OSError(11, "Resource temporarily unavailable"), [], output)
    assert str(nothing) == "the operating system: Resource temporarily unavailable"
    assert nothing is not None
    assert nothing.exit_code == 1
