"""Tables of runs for other tools."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from runner.folder import REPORT
from runner.model import ReceiptKind
from runner.report.__main__ import main as report
from runner.report.export import columns, write_csv, write_parquet
from runner.report.figures import compare
from runner.report.find import find
from runner.report.read import read
from tests.report.runs import failed, on_gpus, run, write
from tests.special_files import identity, make_special

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.fakes.behaviours import Behaviours


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


def test_gpus_have_columns_where_a_run_used_one(
    tmp_path: Path, guests: Path, behaviours: Behaviours
) -> None:
    without = [run(tmp_path / "cpu", guests)]
    names = [column.name for column in columns(compare([read(tmp_path / "cpu")]))]
    assert not [name for name in names if "gpu" in name]
    data = on_gpus(tmp_path / "gpu", guests, behaviours)
    # A job's row says of a GPU what there is to say, and nothing where there was none.
    usual = set(without[0]["jobs"][0])
    said = {job["id"]: {name: job[name] for name in job.keys() - usual} for job in data["jobs"]}
    assert {job: row for job, row in said.items() if row} == {
        2: {"gpu": "GPU-fake", "gpu_s": 0.25, "gpu_error": ""},
        3: {"gpu": "GPU-fake", "gpu_s": 0.0, "gpu_error": "out of memory"},
    }
    runs = compare([read(tmp_path / "cpu"), read(tmp_path / "gpu")])
    found = {c.name: [c.value(row) for row in runs.all] for c in columns(runs) if "gpu" in c.name}
    assert found == {"gpu_proofs": [0, 1], "gpu_s": [0.0, 0.25], "gpu_errors": [0, 1]}


def test_a_text_from_a_file_is_not_a_formula_in_a_spreadsheet(tmp_path: Path, guests: Path) -> None:
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


def test_a_stream_that_the_user_names_is_written_to(
    tmp_path: Path, guests: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path / "out", guests)
    capfd.readouterr()
    assert report([str(tmp_path / "out"), "--csv", "/dev/stdout"]) == 0
    there = capfd.readouterr()
    assert [len(row) for row in csv.reader(there.out.splitlines())][1:] != []
    assert there.out.startswith("run,run_id")
    assert "report: /dev/stdout" in there.err  # what is for people goes elsewhere then
    before = make_special("device", tmp_path / "null")
    assert report([str(tmp_path / "out"), "--csv", str(tmp_path / "null")]) == 0
    assert identity(tmp_path / "null") == before


def test_a_link_is_followed_only_where_the_user_named_it(tmp_path: Path, guests: Path) -> None:
    run(tmp_path / "out", guests)
    (tmp_path / "target").write_text("mine")
    (tmp_path / "out" / REPORT).symlink_to("../target")
    assert report([str(tmp_path / "out")]) == 0
    assert (tmp_path / "target").read_text() == "mine"
    assert report([str(tmp_path / "out" / ".."), "--output", str(tmp_path / "out" / REPORT)]) == 0
    (tmp_path / "link").symlink_to("target")
    assert report([str(tmp_path / "out"), "--output", str(tmp_path / "link")]) == 0
    assert "<html" in (tmp_path / "target").read_text()
    assert (tmp_path / "link").is_symlink()
