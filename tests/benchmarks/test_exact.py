"""What can be counted exactly is as recorded in benchmarks/exact.json; and the gate works."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import exact
import pytest

if TYPE_CHECKING:
    from pathlib import Path

SAMPLE: exact.Figures = {
    "guests": {"fibonacci n=20": {"user": 1244, "total": 16384}},
    "memory": {"two_level 10000": {"peak": 1_000_000}},
    "receipts": {"leaf": {"bytes": 198_897}},
}


@pytest.fixture(scope="module")
def counted() -> exact.Figures:
    return exact.count()


@pytest.mark.parametrize("section", ["guests", "plans", "memory", "files"])
def test_figures_are_as_recorded(counted: exact.Figures, section: str) -> None:
    rows = exact.differences(exact.load(exact.RECORDED), {section: counted[section]})
    assert not rows, f"counted other figures than before\n\n{exact.table(rows)}\n"


@pytest.mark.real
def test_receipts_have_the_bytes_recorded() -> None:
    rows = exact.differences(exact.load(exact.RECORDED), {"receipts": exact.receipts()})
    assert not rows, f"receipts of another size than before\n\n{exact.table(rows)}\n"


def test_all_that_is_recorded_is_counted(counted: exact.Figures) -> None:
    assert set(exact.load(exact.RECORDED)) == {*counted, "receipts"}


def test_nothing_differs_from_itself() -> None:
    assert exact.differences(SAMPLE, copy.deepcopy(SAMPLE)) == []


def test_one_cycle_more_is_a_difference() -> None:
    found = copy.deepcopy(SAMPLE)
    found["guests"]["fibonacci n=20"]["user"] += 1
    rows = exact.differences(SAMPLE, found)
    assert rows == [("guests: fibonacci n=20, user", "1,244", "1,245", "+0.08%")]
    text = exact.table(rows)
    assert "make bench-exact ARGS=--write" in text
    assert "--real" not in text


def test_memory_may_differ_by_a_hundredth() -> None:
    found = copy.deepcopy(SAMPLE)
    found["memory"]["two_level 10000"]["peak"] = 1_010_000
    assert exact.differences(SAMPLE, found) == []
    found["memory"]["two_level 10000"]["peak"] = 1_010_001
    assert [row[3] for row in exact.differences(SAMPLE, found)] == ["+1.00%"]


def test_figures_that_come_and_go_are_differences() -> None:
    found = {"guests": {"sha256": {"user": 7}}}
    rows = exact.differences(SAMPLE, found)
    assert ("guests: fibonacci n=20, user", "1,244", "-", "gone") in rows
    assert ("guests: sha256, user", "-", "7", "new") in rows


def test_a_section_that_was_not_counted_is_not_compared() -> None:
    assert exact.differences(SAMPLE, {"guests": SAMPLE["guests"]}) == []


def test_other_receipts_are_accepted_with_proofs() -> None:
    rows = exact.differences(SAMPLE, {"receipts": {"leaf": {"bytes": 1}}})
    assert "make bench-exact ARGS='--write --real'" in exact.table(rows)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "exact.json"
    exact.save(SAMPLE, path)
    assert exact.load(path) == SAMPLE
    assert '    "fibonacci n=20": {"user": 1244, "total": 16384}' in path.read_text().splitlines()


@pytest.mark.parametrize("arguments", [[], ["--write"]])
def test_the_command(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
) -> None:
    path = tmp_path / "exact.json"
    exact.save(SAMPLE, path)
    found = {"guests": {"fibonacci n=20": {"user": 1, "total": 16384}}}
    monkeypatch.setattr(exact, "count", lambda *, real: found)
    assert exact.main(arguments, path) == (0 if arguments else 1)
    said = capsys.readouterr().out
    if arguments:
        assert exact.load(path) == SAMPLE | found
        assert "receipts as they were" in said
    else:
        assert "1,244" in said
        assert exact.load(path) == SAMPLE


def test_a_damaged_record_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "exact.json"
    path.write_text("{")
    assert exact.main([], path) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert "restore it from git" in said
