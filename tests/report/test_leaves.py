"""The leaves of a run on its page and as CSV."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import pytest

from runner.errors import InputError
from runner.folder import LEAVES
from runner.report.__main__ import main
from runner.report.leaves import first_leaves, write_leaves
from runner.report.page import run_page
from runner.report.read import read
from tests.report.hostile import EVIL, assert_alone_and_harmless
from tests.report.runs import Page, run

if TYPE_CHECKING:
    from pathlib import Path

LINE = {"index": 0, "job": 0, "guest": "g", "image_id": "ab", "input": {"a": 1}, "journal": ""}


def listed(folder: Path, *lines: object) -> Path:
    (folder / LEAVES).write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return folder


def test_the_page_shows_inputs_and_journals(tmp_path: Path, guests: Path) -> None:
    run(tmp_path / "0", guests, count=3)
    page = Page(run_page(read(tmp_path / "0"), tmp_path / "report.html"))
    assert "Inputs and journals" in page.text
    assert "leaf-2" in page.text
    first = json.loads((tmp_path / "0" / LEAVES).read_text().splitlines()[0])
    assert first["shows"] in page.text


def test_a_hostile_leaf_list_does_no_harm(tmp_path: Path, guests: Path) -> None:
    run(tmp_path / "0", guests, count=3)
    lines = [{**LINE, "guest": text, "input": {text: text}, "shows": {text: [text]}}
             for text in EVIL]  # fmt: skip
    listed(tmp_path / "0", *lines)
    made = run_page(read(tmp_path / "0"), tmp_path / "report.html")
    assert_alone_and_harmless(Page(made), made.decode())
    listed(tmp_path / "0", {"index": -1})
    assert first_leaves(tmp_path / "0", 9) == []
    assert b"Inputs and journals" not in run_page(read(tmp_path / "0"), tmp_path / "report.html")


def test_leaves_as_csv(tmp_path: Path) -> None:
    structs = [{"name": "Anne", "score": "5"}, {"name": "=1+1", "score": "6"}]
    lines = [{**LINE, "index": i, "shows": one} for i, one in enumerate(structs)]
    lines.append({**LINE, "index": 2, "input": {"b": [1]}, "shows": "55"})
    write_leaves(listed(tmp_path, *lines), tmp_path / "leaves.csv")
    with (tmp_path / "leaves.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["index", "guest", "image_id", "input.a", "journal.name", "journal.score",
                      "input.b", "journal"]  # fmt: skip
    assert rows == [
        ["0", "g", "ab", "1", "Anne", "5", "", ""],
        ["1", "g", "ab", "1", "'=1+1", "6", "", ""],
        ["2", "g", "ab", "", "", "", "[1]", "55"],
    ]


def test_what_is_no_leaf_list_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError, match="not a leaf list"):
        write_leaves(listed(tmp_path, 5), tmp_path / "leaves.csv")
    wide = listed(tmp_path, {**LINE, "input": {str(n): n for n in range(1001)}, "shows": ""})
    with pytest.raises(InputError, match="more than 1000 columns"):
        write_leaves(wide, tmp_path / "leaves.csv")


def test_the_command_writes_them(
    tmp_path: Path, guests: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path / "0", guests, count=3)
    assert main([str(tmp_path / "0"), "--leaves", str(tmp_path / "leaves.csv")]) == 0
    assert len((tmp_path / "leaves.csv").read_text().splitlines()) == 4
    assert not (tmp_path / "0" / "report.html").exists()
    both = [str(tmp_path / "0"), str(tmp_path / "0")]
    assert main([*both, "--leaves", str(tmp_path / "leaves.csv")]) == 2
    assert "is of one run" in capsys.readouterr().err
