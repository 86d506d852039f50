"""The work of batches, in the units of their guests, on pages and in tables; and their memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runner.errors import InputError
from runner.report.export import columns, write_csv, write_parquet
from runner.report.figures import compare
from runner.report.page import run_page, sweep_page
from runner.report.read import read
from tests.report.runs import Page, run, write

if TYPE_CHECKING:
    from pathlib import Path


def test_work_and_memory_are_on_the_pages_and_in_the_tables(tmp_path: Path, guests: Path) -> None:
    from pyarrow import parquet

    # A unit may have the name of a column.
    work = {"transfers": {"count": 1700, "per_s": 4.25}, "leaves": {"count": 6, "per_s": 1.5}}
    data = run(tmp_path / "0", guests)
    data["summary"]["work"] = work
    data["peak_memory_mib"] = {"runner": 61, "largest_worker": 1353}
    write(tmp_path / "0", data)
    earlier = run(tmp_path / "1", guests)
    del earlier["summary"]["work"], earlier["peak_memory_mib"]["largest_worker"]
    write(tmp_path / "1", earlier)

    runs = compare([read(tmp_path / "0"), read(tmp_path / "1")])
    said = [{column.name: column.value(row) for column in columns(runs)} for row in runs.all]
    names = ("work.transfers", "work.transfers_per_s", "work.leaves", "peak_memory_worker_mib")
    assert [[row[name] for name in names] for row in said] == [[1700, 4.25, 6, 1353], [None] * 4]
    write_csv(runs, tmp_path / "runs.csv")
    assert "work.transfers_per_s" in (tmp_path / "runs.csv").read_text()
    write_parquet(runs, tmp_path / "runs.parquet")
    assert parquet.read_table(tmp_path / "runs.parquet").to_pylist() == said

    page = " ".join(Page(sweep_page(runs, tmp_path / "report.html")).text.split())
    assert "transfers per s" in page
    assert "4.25" in page
    assert "1,353" in page
    page = " ".join(Page(run_page(read(tmp_path / "0"), tmp_path / "report.html")).text.split())
    assert "1,700transfers, 4.25 made per second" in page


@pytest.mark.parametrize(
    ("work", "problem"),
    [
        ([], "summary.work is not an object"),
        ({"transfers": {"count": -1, "per_s": 1.0}}, "summary.work.transfers.count"),
        ({str(n): {"count": 1, "per_s": 1.0} for n in range(101)}, "more than 100 units"),
    ],
)
def test_work_that_is_none_is_refused(
    work: object, problem: str, tmp_path: Path, guests: Path
) -> None:
    data = run(tmp_path, guests)
    data["summary"]["work"] = work
    write(tmp_path, data)
    with pytest.raises(InputError, match=problem):
        read(tmp_path)


def test_the_memory_is_that_of_the_workers_of_this_run(tmp_path: Path, guests: Path) -> None:
    data = run(tmp_path, guests)
    found = [job["peak_memory_mib"] for job in data["jobs"]]
    assert min(found) > 0
    assert data["peak_memory_mib"]["largest_worker"] == max(found)
    again = run(tmp_path / "cached", guests, cached=True)
    again = run(tmp_path / "again", guests, cached=True)
    assert {job["peak_memory_mib"] for job in again["jobs"]} == {0}
    assert again["peak_memory_mib"].keys() == {"runner"}
