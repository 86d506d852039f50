"""The figures and tables of reports, counted once more from the files themselves."""

from __future__ import annotations

import copy
import csv
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from runner.errors import BatchFailedError, InputError
from runner.folder import REPORT, RESULT, ROOT
from runner.model import ReceiptKind
from runner.plan.journal import padded
from runner.report.__main__ import main as report
from runner.report.export import columns, write_csv, write_parquet
from runner.report.figures import compare, figures
from runner.report.find import find, read_lost
from runner.report.read import read
from runner.report.table import table
from tests.report.runs import raw, run, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.fakes.behaviours import Behaviours


# -- figures --------------------------------------------------------------------------------------


def recount(data: dict[str, Any]) -> dict[str, Any]:
    """The same figures by another way, from the raw rows and the raw plan."""
    made = [job for job in data["jobs"] if not job["cached"]]
    hits = [job for job in data["jobs"] if job["cached"]]
    levels = {node["id"]: node["level"] for node in data["plan"]["aggregations"]}
    level_s = [0.0] * (1 + max(levels.values(), default=0))
    for job in made:
        level_s[levels.get(job["id"], 0)] += job["prove_s"]
    root_s = data["summary"]["root_verify_s"]
    return {
        "leaves": len(data["plan"]["leaves"]),
        "distinct": len(set(data["plan"]["leaves"])),
        "level_s": pytest.approx(level_s),
        "lookup_s": pytest.approx(
            sum(job["finished"] - job["started"] - job["verify_s"] for job in hits), abs=1e-6
        ),
        "verify_s": pytest.approx(sum(job["verify_s"] for job in data["jobs"]) + root_s),
        "made": len(made),
        "cached": len(hits),
        "user_cycles": sum(job["user_cycles"] for job in made),
        "total_cycles": sum(job["total_cycles"] for job in made),
    }


@pytest.mark.parametrize("strategy", ["single", "two_level", "three_level"])
def test_figures_are_what_the_file_says(strategy: str, tmp_path: Path, guests: Path) -> None:
    run(tmp_path / "first", guests, count=5, strategy=strategy, cached=True)
    data = run(tmp_path / "second", guests, count=9, strategy=strategy, cached=True)
    found = figures(read(tmp_path / "second"))
    for name, value in recount(data).items():
        assert getattr(found, name) == value, name
    assert found.cached >= 5
    assert found.wall_s == data["summary"]["wall_s"]
    assert found.per_s == pytest.approx(9 / data["summary"]["wall_s"])
    leaf_bytes = sum(job["receipt_bytes"] for job in data["jobs"] if job["id"] < 9)
    root_bytes = (tmp_path / "second" / ROOT).stat().st_size
    assert (found.bytes_before, found.bytes_after) == (leaf_bytes, root_bytes)


def test_a_failed_run_has_the_figures_of_what_was_finished(
    tmp_path: Path, guests: Path, behaviours: Behaviours
) -> None:
    data = failed(tmp_path / "out", guests, behaviours)
    found = figures(read(tmp_path / "out"))
    assert found.run.error == data["error"]
    assert "leaf 3 failed after 1 attempt" in data["error"]
    assert found.made == len(data["jobs"])
    assert found.retries == sum(job["attempts"] - 1 for job in data["jobs"])
    assert found.wall_s == pytest.approx(data["finished"] - data["started"])
    assert (found.per_s, found.bytes_before, found.bytes_after) == (None, None, None)


def failed(folder: Path, guests: Path, behaviours: Behaviours) -> dict[str, Any]:
    """A run whose third leaf needs two attempts and whose fourth leaf fails."""
    behaviours.on("transient", stdin=padded(b"leaf-2"), times=1)
    behaviours.on("fail", stdin=padded(b"leaf-3"))
    with pytest.raises(BatchFailedError):
        run(folder, guests)
    return raw(folder)


def test_execute_runs_stand_apart_and_have_no_savings(tmp_path: Path, guests: Path) -> None:
    run(tmp_path / "a", guests)
    run(tmp_path / "b", guests, kind=ReceiptKind.EXECUTE)
    runs = compare([read(tmp_path / "a"), read(tmp_path / "b")])
    assert [row.name for row in runs.proved] == ["a"]
    assert [row.name for row in runs.executed] == ["b"]
    cells = {column.name: column.value(runs.executed[0]) for column in columns(runs)}
    assert cells["proved"] is False
    assert cells["leaf_executions_per_s"] == pytest.approx(6 / runs.executed[0].wall_s)
    empty = {name for name, value in cells.items() if value is None}
    assert empty >= {
        "leaf_proofs_per_s",
        "receipt_bytes_after",
        "size_savings_percent",
        "model_size_savings_percent",
        "model_leaf_proofs_per_s",
    }


def test_only_settings_that_differ_and_matter_are_shown(tmp_path: Path, guests: Path) -> None:
    run(tmp_path / "0", guests, count=6)
    run(tmp_path / "1", guests, count=8)
    for name, guest in (("0", "sha256"), ("1", "other")):
        data = raw(tmp_path / name)
        data["config"]["guest"] |= {"name": guest, "journal": f"of {guest}"}
        write(tmp_path / name, data)
    runs = compare([read(tmp_path / name) for name in "01"])
    # The journal's type follows from the guest, and the output folder does not change a run.
    assert runs.differing == ("guest.name", "guest.count")
    assert runs.proved[1].settings == {"guest.name": "other", "guest.count": "8"}
    assert runs.proved[0].series == (("strategy.name", "two_level"), ("guest.name", "sha256"))


# -- reading what may be anybody's ----------------------------------------------------------------

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
    "ok without a summary": lambda data: {k: v for k, v in data.items() if k != "summary"},
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_no_result_is_one_line_and_exit_code_2(
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


# -- tables for other tools -----------------------------------------------------------------------


def test_csv_and_parquet_give_back_what_went_in(
    tmp_path: Path, guests: Path, behaviours: Behaviours
) -> None:
    from pyarrow import parquet

    run(tmp_path / "a" / "0", guests, count=6)
    run(tmp_path / "a" / "1", guests, count=17, strategy="three_level")
    run(tmp_path / "b", guests, kind=ReceiptKind.EXECUTE)
    failed(tmp_path / "a" / "2", guests, behaviours)
    found, _ = find([tmp_path / "a", tmp_path / "b"])
    runs = compare([read(folder) for folder in found])
    wanted = [{column.name: column.value(row) for column in columns(runs)} for row in runs.all]
    write_csv(runs, tmp_path / "runs.csv")
    with (tmp_path / "runs.csv").open(newline="") as file:
        read_back = list(csv.DictReader(file))
    assert read_back == [
        {name: "" if value is None else str(value) for name, value in row.items()} for row in wanted
    ]
    write_parquet(runs, tmp_path / "runs.parquet")
    assert parquet.read_table(tmp_path / "runs.parquet").to_pylist() == wanted
    assert [row["run"] for row in wanted] == ["a/0", "a/1", "a/2", "b"]
    assert wanted[1]["aggregation_level_3_s"] is not None
    assert wanted[0]["aggregation_level_3_s"] is None
    assert wanted[1]["config.strategy.name"] == "three_level"
    assert wanted[2]["error"] is not None


def test_a_text_from_a_file_is_no_formula_in_a_spreadsheet(tmp_path: Path, guests: Path) -> None:
    data = run(tmp_path / "out", guests) | {"run_id": '=HYPERLINK("x")'}
    write(tmp_path / "out", data)
    write_csv(compare([read(tmp_path / "out")]), tmp_path / "runs.csv")
    with (tmp_path / "runs.csv").open(newline="") as file:
        assert next(csv.DictReader(file))["run_id"] == '\'=HYPERLINK("x")'


def test_with_csv_the_page_is_written_only_where_it_is_asked_for(
    tmp_path: Path, guests: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path / "out", guests)
    arguments = [str(tmp_path / "out"), "--csv", str(tmp_path / "runs.csv")]
    assert report(arguments) == 0
    assert not (tmp_path / "out" / REPORT).exists()
    assert report([*arguments, "--output", str(tmp_path / "page.html")]) == 0
    assert (tmp_path / "page.html").exists()
    out = capsys.readouterr().out
    assert f"report: {tmp_path / 'runs.csv'}" in out
    assert f"report: {tmp_path / 'page.html'}" in out
