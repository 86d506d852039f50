"""The picture of saved runs: which versions, in which order, and what is in it."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from benchmarks.compare import history
from runner.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


def saved(
    path: Path, commit: str, day: int, host: str = "here", *, dirty: bool = False, **seconds: float
) -> Path:
    """A file as pytest-benchmark writes it."""
    data = {
        "machine_info": {"host": host},
        "commit_info": {"id": commit, "time": f"2026-01-{day:02}T12:00:00+00:00", "dirty": dirty},
        "datetime": "2026-02-01T00:00:00+00:00",
        "benchmarks": [
            {
                "fullname": f"benchmarks/suite/bench_x.py::test_{name}",
                "group": "disk" if name == "write" else "plan",
                "stats": {"min": value},
            }
            for name, value in seconds.items()
        ],
    }
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return [
        saved(tmp_path / "1.json", "bbbbbbbbbb", 2, build=4.0, write=1.0),
        saved(tmp_path / "2.json", "aaaaaaaaaa", 1, build=2.0),
        saved(tmp_path / "3.json", "aaaaaaaaaa", 1, build=3.0),
        saved(tmp_path / "4.json", "bbbbbbbbbb", 2, dirty=True, build=1.0, write=2.0),
        saved(tmp_path / "5.json", "aaaaaaaaaa", 1, host="there", build=9.0),
    ]


def test_versions_are_those_of_the_machine_with_most_runs(files: list[Path]) -> None:
    host, found = history.versions(files)
    assert host == "here"
    assert [(v.commit, v.runs) for v in found] == [("aaaaaaa", 2), ("bbbbbbb", 1), ("bbbbbbb+", 1)]
    assert history.versions(files, "there")[1][0].runs == 1


def test_times_are_shown_by_the_first_ones(files: list[Path]) -> None:
    lines = history.series(history.versions(files)[1])
    assert lines["plan"] == {"benchmarks/suite/bench_x.py::test_build": [1.0, 2.0, 0.5]}
    (write,) = lines["disk"].values()
    assert math.isnan(write[0])
    assert write[1:] == [1.0, 2.0]


def test_clocks_are_not_mixed(tmp_path: Path) -> None:
    wall = saved(tmp_path / "1.json", "aaaaaaaaaa", 1, build=2.0)
    data = json.loads(wall.read_text())
    data["benchmarks"][0] |= {"options": {"timer": "process_time"}, "stats": {"min": 1.0}}
    cpu = tmp_path / "2.json"
    cpu.write_text(json.dumps(data))
    (version,) = history.versions([wall, cpu])[1]
    name = "benchmarks/suite/bench_x.py::test_build"
    assert {n: t.seconds for n, t in version.times.items()} == {name: 2.0, f"{name} (cpu)": 1.0}


def test_runs_from_before_the_suite_had_its_folder_are_of_the_same_benchmarks(
    tmp_path: Path,
) -> None:
    new = saved(tmp_path / "new.json", "bbbbbbbbbb", 2, build=1.0)
    old = saved(tmp_path / "old.json", "aaaaaaaaaa", 1, build=2.0)
    old.write_text(old.read_text().replace("benchmarks/suite/", "benchmarks/"))
    lines = history.series(history.versions([new, old])[1])
    assert lines["plan"] == {"benchmarks/suite/bench_x.py::test_build": [1.0, 0.5]}


def test_the_picture_names_versions_and_benchmarks(files: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "history.svg"
    assert history.main([*map(str, files), "--out", str(out)]) == 0
    texts = {"".join(node.itertext()).strip() for node in ET.parse(out).iter()}
    shown = " ".join(texts)
    for words in ("aaaaaaa", "bbbbbbb+", "build, last 1 s", "write, last 2 s", "4 runs"):
        assert words in shown


def test_the_same_runs_give_the_same_file(files: list[Path], tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        assert history.main([*map(str, files), "--out", str(tmp_path / name)]) == 0
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_a_png_too(files: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "history.png"
    assert history.main([*map(str, files), "--out", str(out)]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")


def test_runs_are_found_in_folders(files: list[Path], tmp_path: Path) -> None:
    assert history.saved_files([tmp_path]) == files
    with pytest.raises(InputError, match="no such file or folder"):
        history.saved_files([tmp_path / "nosuch"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--out", "x.gif"], "no such format"),
        (["--host", "nowhere"], "machines with runs: here, there"),
        (["nosuch"], "no such file or folder"),
    ],
)
def test_unusable_input_is_one_line(
    files: list[Path], arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert history.main([*map(str, files), *arguments]) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert words in said


def test_other_json_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "other.json"
    path.write_text("[]")
    assert history.main([str(path)]) == 2
    assert "not a saved run" in capsys.readouterr().err


def test_nothing_saved_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert history.main([str(tmp_path)]) == 2
    assert "make bench" in capsys.readouterr().err
