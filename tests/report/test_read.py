"""Results that anybody may have written are read whole or refused in one line."""

from __future__ import annotations

import copy
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from runner.errors import InputError
from runner.folder import REPORT, RESULT
from runner.report.__main__ import main as report
from runner.report.export import write_csv
from runner.report.figures import compare
from runner.report.find import find, read_lost
from runner.report.read import read
from runner.report.table import table
from tests.report.runs import run, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


BROKEN: dict[str, Callable[[dict[str, Any]], Any]] = {
    "not JSON": lambda _: "{",
    "a list": lambda _: [],
    "another format": lambda data: data | {"format": 2},
    "no format": lambda data: {"data": data},
    "a status nobody knows": lambda data: data | {"status": "fine"},
    "no plan": lambda data: data | {"plan": None},
    "a plan that loops": lambda data: data | {"plan": data["plan"] | {"root": 0}},
    "a job twice": lambda data: data | {"jobs": data["jobs"] + data["jobs"][:1]},
    "a job out of the plan": lambda data: data | {"jobs": [data["jobs"][0] | {"id": 99}]},
    "a text for a number": lambda data: data | {"started": "now"},
    "not a number": lambda data: data | {"started": float("nan")},
    "infinite": lambda data: data | {"finished": float("inf")},
    "beyond all calendars": lambda data: data | {"started": 1e14},
    "true for a number": lambda data: data | {"jobs": [data["jobs"][0] | {"attempts": True}]},
    "a count below 0": lambda data: data | {"jobs": [data["jobs"][0] | {"segments": -1}]},
    "a count of 80 digits": lambda data: data | {"jobs": [data["jobs"][0] | {"worker": 10**80}]},
    "a GPU without its seconds": lambda data: (
        data | {"jobs": [data["jobs"][0] | {"gpu": "GPU-a", "gpu_error": ""}]}
    ),
    "ok without a summary": lambda data: {k: v for k, v in data.items() if k != "summary"},
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_result_is_one_line_and_exit_code_2(
    what: str, tmp_path: Path, guests: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = BROKEN[what](run(tmp_path / "out", guests))
    capsys.readouterr()
    if isinstance(data, str):
        (tmp_path / "out" / RESULT).write_text(data)
    else:
        write(tmp_path / "out", data)
    assert report([str(tmp_path / "out")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("error: result = ")
    assert "give folders this runner has left" in err
    assert not (tmp_path / "out" / REPORT).exists()


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (["nowhere"], "folder = 'nowhere'"),
        (["empty"], "no result.json in it or below"),
        (["out", "--output", "nowhere/page.html"], "--output = 'nowhere/page.html'"),
        (["out", "--csv", "nowhere/runs.csv"], "--csv = 'nowhere/runs.csv'"),
        (["out", "--parquet", "nowhere/r.parquet"], "--parquet = 'nowhere/r.parquet'"),
    ],
)
def test_places_that_cannot_be_used_are_one_line(
    arguments: list[str],
    field: str,
    *,
    tmp_path: Path,
    guests: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(tmp_path / "out", guests)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    assert report(arguments) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert field in err


@pytest.mark.parametrize(("option", "library"), [("--parquet", "pyarrow"), ("--output", "jinja2")])
def test_a_missing_library_is_one_line_that_names_the_extra(
    option: str,
    library: str,
    *,
    tmp_path: Path,
    guests: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(tmp_path / "out", guests)
    capsys.readouterr()
    monkeypatch.setitem(sys.modules, library, None)
    assert report([str(tmp_path / "out"), option, str(tmp_path / "file")]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert f"needs {library}" in err
    assert "zk-batch-runner[" in err


def paths(data: object, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [at] if at else []
    children = (
        data.items()
        if isinstance(data, dict)
        else enumerate(data)
        if isinstance(data, list)
        else ()
    )
    for key, value in children:
        found += paths(value, (*at, key))
    return found


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=3,
)


@hypothesis_settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(choice=st.data())
def test_any_change_is_read_or_refused(
    choice: st.DataObject, sample: dict[str, Any], tmp_path: Path
) -> None:
    data = copy.deepcopy(sample)
    *way, last = choice.draw(st.sampled_from(paths(data)))
    inner: Any = data
    for key in way:
        inner = inner[key]
    inner[last] = choice.draw(json_values)
    folder = write(tmp_path / "changed", data)
    try:
        record = read(folder)
    except InputError:
        return
    runs = compare([record])
    list(table(runs))
    write_csv(runs, tmp_path / "runs.csv")


@pytest.fixture
def sample(tmp_path: Path, guests: Path) -> dict[str, Any]:
    return run(tmp_path / "sample", guests)


def test_runs_without_a_result_are_found_with_their_last_words(
    tmp_path: Path, guests: Path
) -> None:
    run(tmp_path / "10", guests)
    run(tmp_path / "9", guests)
    for name in ("8", "11"):
        (tmp_path / name / ".hydra").mkdir(parents=True)
        (tmp_path / name / ".hydra" / "overrides.yaml").write_text("- guest.count=3\n- 7\n")
    (tmp_path / "8" / "run.log").write_text("10:00 ERROR by \x1b[31mnobody\n10:01 INFO on\n")
    record = {"jobs": [{"folder": "11", "error": "guest.count = 3: no"}, {"folder": "8"}]}
    (tmp_path / "sweep.json").write_text(json.dumps(record))
    found, lost = find([tmp_path])
    assert [folder.name for folder in found] == ["9", "10"]  # in the order in which people count
    said = [read_lost(folder) for folder in lost]
    assert [(run.overrides, run.last_words) for run in said] == [
        (("guest.count=3", "7"), "10:00 ERROR by  [31mnobody"),
        (("guest.count=3", "7"), "guest.count = 3: no"),
    ]
    runs = compare([read(folder) for folder in found], said)
    assert [run.name for run in runs.lost] == ["8", "11"]
