"""A sweep leaves a page, and no sweep fails for its page."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from runner.cli.command import main
from runner.folder import REPORT
from tests.report.runs import Page, write

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def sweep(elsewhere: None) -> list[str]:
    return ["runner", "--multirun", "prover=execute", "output=o", "executor=inline"]


def test_a_sweep_leaves_a_page_and_prints_a_table(
    sweep: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    arguments = ["strategy=single,two_level", "guest.count=6,9", "progress=none"]
    monkeypatch.setattr(sys, "argv", [*sweep, *arguments])
    assert main() == 0
    out = capfd.readouterr().out
    page = Page((tmp_path / "o" / REPORT).read_bytes())
    assert page.links() == [f"./{number}/result.json" for number in range(4)]
    table = out[out.index("Executed only: NOTHING PROVED") :]
    for number in range(4):
        data = json.loads((tmp_path / "o" / str(number) / "result.json").read_text())
        chosen = [str(data["config"]["guest"]["count"]), data["config"]["strategy"]["name"]]
        cells = next(
            line.split() for line in table.splitlines() if line.split()[:1] == [f"{number}"]
        )
        assert cells[1:4] == [*chosen, "ok"]
        assert f"{data['summary']['total_cycles']:,}" in page.text
    assert "report: o/report.html" in table


def test_a_sweep_that_fails_leaves_its_page_too(
    sweep: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", [*sweep, "guest.inputs=[94],[10]"])
    assert main() == 2
    out = " ".join(capfd.readouterr().out.split())
    assert re.search(r"run 0 left no result \([^)]*guest\.inputs=\[94\]", out)
    text = Page((tmp_path / "o" / REPORT).read_bytes()).text
    assert "Runs without a result" in text
    assert "guest.inputs=[94]" in text


@pytest.mark.parametrize("trouble", ["no library", "a folder in the way", "a foreign result"])
def test_no_sweep_fails_for_its_report(
    trouble: str,
    sweep: list[str],
    *,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    page = tmp_path / "o" / REPORT
    if trouble == "no library":
        monkeypatch.setitem(sys.modules, "matplotlib", None)
    elif trouble == "a folder in the way":
        page.mkdir(parents=True)
    else:
        write(tmp_path / "o" / "old", {"format": 7})
    monkeypatch.setattr(sys, "argv", [*sweep, "guest.count=1,2"])
    assert main() == 0
    out, err = capfd.readouterr()
    assert "NOTHING PROVED" in out
    assert "report" in next(line for line in err.splitlines() if "WARNING" in line)
    assert page.is_file() is (trouble == "a foreign result")


def test_a_sweep_side_by_side_leaves_a_page(sweep: list[str], tmp_path: Path) -> None:
    arguments = ["hydra/launcher=joblib", "guest.count=3,4", "strategy=single", "report=true"]
    command = [sys.executable, "-m", *sweep, *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    page = Page((tmp_path / "o" / REPORT).read_bytes())
    assert page.links() == ["./0/report.html", "./1/report.html"]
    assert "report: o/report.html" in done.stdout


def test_without_the_callback_a_sweep_leaves_no_page(
    sweep: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [*sweep, "guest.count=1,2", "~hydra.callbacks.report"])
    assert main() == 0
    assert not (tmp_path / "o" / REPORT).exists()


def test_drawing_is_not_loaded_before_there_is_a_report() -> None:
    code = (
        "import sys, runner.cli.command, runner.report;"
        "sys.exit(bool({'matplotlib', 'jinja2', 'numpy', 'pyarrow'} & {*sys.modules}))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
