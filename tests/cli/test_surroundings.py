"""Commands as processes of their own, among files and streams that are in their way."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runner.files import SHIPPED
from tests.special_files import identity, make_special

if TYPE_CHECKING:
    from collections.abc import Mapping

EXECUTE = ["prover=execute", "guest.count=2", "executor=inline", "progress=lines"]


def environment(folder: Path, **more: str) -> Mapping[str, str]:
    """The environment of a command that runs in another folder than the package's."""
    fixed = {"PYTHONPATH": str(SHIPPED), "RUNNER_PROOFS": str(folder / "proofs"), "COLUMNS": "80"}
    return {**os.environ, **fixed, **more}


def start(
    folder: Path, *arguments: str, given: str = "", **more: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        input=given,
        env=environment(folder, **more),
        capture_output=True,
        text=True,
        check=False,
    )


def test_modules_in_the_working_directory_do_not_replace_libraries(tmp_path: Path) -> None:
    for name in ("yaml", "rich", "hydra", "omegaconf", "jinja2", "tenacity"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not the library')\n")
    done = start(tmp_path, "runner", *EXECUTE, "output=out")
    assert (done.returncode, done.stdout[:14]) == (0, "Batch executed"), done.stderr
    assert start(tmp_path, "runner.audit", "out").returncode == 0
    assert start(tmp_path, "runner.alerts", "--check").returncode == 0


def test_a_file_called_like_the_runner_is_passed_over_with_a_flag_of_pythons(
    tmp_path: Path,
) -> None:
    (tmp_path / "runner.py").write_text("raise SystemExit('not the runner')\n")
    done = start(tmp_path, "runner", *EXECUTE, "output=out", PYTHONSAFEPATH="1")
    assert (done.returncode, done.stdout[:14]) == (0, "Batch executed"), done.stderr


def test_a_config_file_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    file = tmp_path / "own/experiment/mine.yaml"
    file.parent.mkdir(parents=True)
    file.write_bytes("# @package _global_\n# gr\u00fcn\nquiet: true\n".encode("latin-1"))
    done = start(tmp_path, "runner", "--config-dir=own", *EXECUTE, "experiment=mine")
    assert done.returncode == 2
    fault = "not UTF-8 (byte 0xfc: invalid start byte); save it as UTF-8"
    assert done.stderr == f"error: config = '{file.resolve()}': {fault}\n"


def test_an_adapter_in_the_working_directory_is_found(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("class Adapter:\n    pass\n")
    (tmp_path / "out").mkdir()
    done = start(tmp_path, "runner.verify", "out", "--adapter", "mine:Nothing")
    assert done.returncode == 2
    assert "No module named" not in done.stderr
    assert "Nothing" in done.stderr


def test_colours_that_are_asked_for_are_not_written_to_files(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "runner", *EXECUTE, "output=out"]
    with Path(tmp_path, "out.txt").open("wb") as out, Path(tmp_path, "err.txt").open("wb") as err:
        subprocess.run(
            command,
            cwd=tmp_path,
            env=environment(tmp_path, FORCE_COLOR="1"),
            stdout=out,
            stderr=err,
            check=True,
        )
    for name in ("out.txt", "err.txt", "out/run.log"):
        text = (tmp_path / name).read_bytes()
        assert text
        assert b"\x1b" not in text, name
    piped = start(tmp_path, "runner", *EXECUTE, "output=out", FORCE_COLOR="1")
    assert "\x1b[" in piped.stdout  # a pipe's reader may have asked for them


def test_the_end_of_the_audit_log_is_one_piece_on_a_terminal_of_80_columns(tmp_path: Path) -> None:
    main, terminal = pty.openpty()
    command = [sys.executable, "-m", "runner", *EXECUTE, "output=out"]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment(tmp_path, TERM="xterm"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=terminal,
    ) as process:
        os.close(terminal)
        shown = b""
        while True:
            try:
                piece = os.read(main, 4096)
            except OSError:  # the terminal's last writer is gone
                break
            if not piece:
                break
            shown += piece
        os.close(main)
    assert process.returncode == 0
    last = (tmp_path / "out/audit.jsonl").read_text().rpartition('"hash":"')[2][:64]
    assert last.encode() in shown


@pytest.mark.parametrize("kind", ["fifo", "socket", "device", "folder", "loop"])
def test_a_log_that_is_no_file_is_refused_before_any_proof(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    before = make_special(kind, tmp_path / "out/run.log")
    done = start(tmp_path, "runner", *EXECUTE, "output=out")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: output = '{tmp_path}/out': run.log cannot be written (")
    assert identity(tmp_path / "out/run.log") == before


def test_the_home_folder_is_meant_in_hydras_own_settings_too(tmp_path: Path) -> None:
    home = tmp_path / "my home's"
    home.mkdir()
    quiet = [*EXECUTE, "quiet=true"]
    done = start(tmp_path, "runner", *quiet, 'hydra.run.dir="~/run"', HOME=str(home))
    assert (done.returncode, done.stderr) == (0, "")
    sweep = ["--multirun", *quiet, "~hydra.callbacks.report", "guest.count=2,3"]
    done = start(tmp_path, "runner", *sweep, 'hydra.sweep.dir="~/sweep"', HOME=str(home))
    assert (done.returncode, done.stderr) == (0, "")
    for name in ("run", "sweep/0", "sweep/1"):
        assert (home / name / "result.json").exists()
    assert {path.name for path in tmp_path.iterdir()} == {home.name}
    done = start(tmp_path, "runner", *quiet, 'hydra.run.dir="~nobody-here/x"')
    assert done.returncode == 2
    assert "hydra.run.dir = '~nobody-here/x': this home folder is not known" in done.stderr


FORMS = {"jsonl": '10\n{"n": 20}\n', "csv": "n\n10\n20\n"}


def from_pipe(name: str, *more: str) -> list[str]:
    """The arguments of a batch that reads its inputs from a pipe with this name."""
    return ["prover=execute", "executor=inline", "quiet=true", f"guest.inputs_file={name}", *more]


@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
def test_inputs_from_a_pipe_need_a_format(name: str, tmp_path: Path) -> None:
    done = start(tmp_path, "runner", *from_pipe(name), "output=out", given=FORMS["jsonl"])
    assert done.returncode == 2
    assert "no extension that tells its format; give guest.inputs_format, one of" in done.stderr


# Both names and both forms, in a run and in a sweep.
@pytest.mark.parametrize(("name", "form"), [("-", "jsonl"), ("/dev/stdin", "csv")])
def test_inputs_come_from_a_pipe(name: str, form: str, tmp_path: Path) -> None:
    arguments, text = from_pipe(name, f"guest.inputs_format={form}"), FORMS[form]
    done = start(tmp_path, "runner", *arguments, "output=out", given=text, TMPDIR=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    lines = (tmp_path / "out/leaves.jsonl").read_text().splitlines()
    assert [json.loads(line)["shows"] for line in lines] == ["55", "6765"]
    sweep = ["--multirun", *arguments, "~hydra.callbacks.report", "strategy=single,two_level"]
    done = start(tmp_path, "runner", *sweep, "output=sweep", given=text, TMPDIR=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert {path.name for path in tmp_path.iterdir()} == {"out", "sweep"}


def test_a_format_that_is_unknown_is_refused(tmp_path: Path) -> None:
    given = ["guest.inputs_file=-", "guest.inputs_format=xml", "prover=execute"]
    done = start(tmp_path, "runner", *given, "output=out")
    fault = "guest.inputs_format = 'xml': unknown; choose one of jsonl, csv, parquet"
    assert (done.returncode, done.stderr) == (2, f"error: {fault}\n")
