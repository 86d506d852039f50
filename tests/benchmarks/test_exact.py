"""What can be counted exactly is as recorded in exact.json, and a difference is seen."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest

from benchmarks.exact import __main__ as exact
from benchmarks.exact import counts, record

if TYPE_CHECKING:
    from pathlib import Path

SAMPLE: record.Figures = {
    "guests": {"fibonacci n=20": {"user": 1244, "total": 16384}},
    "memory": {"two_level 10000": {"peak": 1_000_000}},
    "receipts": {"leaf": {"bytes": 198_897}},
}


@pytest.fixture(scope="module")
def counted() -> record.Figures:
    return counts.count()


@pytest.mark.parametrize("section", ["guests", "plans", "memory", "files"])
def test_figures_are_as_recorded(counted: record.Figures, section: str) -> None:
    rows = record.differences(record.load(record.RECORDED), {section: counted[section]})
    assert not rows, f"counted other figures than before\n\n{record.table(rows)}\n"


@pytest.mark.real
def test_receipts_have_the_bytes_recorded() -> None:
    rows = record.differences(record.load(record.RECORDED), {"receipts": counts.receipts()})
    assert not rows, f"receipts of another size than before\n\n{record.table(rows)}\n"


def test_all_that_is_recorded_is_counted(counted: record.Figures) -> None:
    assert set(record.load(record.RECORDED)) == {*counted, "receipts"}


def test_nothing_differs_from_itself() -> None:
    assert record.differences(SAMPLE, copy.deepcopy(SAMPLE)) == []


def test_one_cycle_more_is_a_difference() -> None:
    found = copy.deepcopy(SAMPLE)
    found["guests"]["fibonacci n=20"]["user"] += 1
    rows = record.differences(SAMPLE, found)
    assert rows == [("guests: fibonacci n=20, user", "1,244", "1,245", "+0.08%")]
    text = record.table(rows)
    assert "make bench-exact ARGS=--write" in text
    assert "--real" not in text


def test_memory_may_differ_by_a_hundredth() -> None:
    found = copy.deepcopy(SAMPLE)
    found["memory"]["two_level 10000"]["peak"] = 1_010_000
    assert record.differences(SAMPLE, found) == []
    found["memory"]["two_level 10000"]["peak"] = 1_010_001
    assert [row[3] for row in record.differences(SAMPLE, found)] == ["+1.00%"]


def test_figures_that_come_and_go_are_differences() -> None:
    found = {"guests": {"sha256": {"user": 7}}}
    rows = record.differences(SAMPLE, found)
    assert ("guests: fibonacci n=20, user", "1,244", "-", "gone") in rows
    assert ("guests: sha256, user", "-", "7", "new") in rows


def test_a_section_that_was_not_counted_is_not_compared() -> None:
    assert record.differences(SAMPLE, {"guests": SAMPLE["guests"]}) == []


def test_other_receipts_are_accepted_with_proofs() -> None:
    rows = record.differences(SAMPLE, {"receipts": {"leaf": {"bytes": 1}}})
    assert "make bench-exact ARGS='--write --real'" in record.table(rows)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "exact.json"
    record.save(SAMPLE, path)
    assert record.load(path) == SAMPLE
    assert '    "fibonacci n=20": {"user": 1244, "total": 16384}' in path.read_text().splitlines()


@pytest.mark.parametrize("arguments", [[], ["--write"]])
def test_the_command(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
) -> None:
    path = tmp_path / "exact.json"
    record.save(SAMPLE, path)
    found = {"guests": {"fibonacci n=20": {"user": 1, "total": 16384}}}
    monkeypatch.setattr(counts, "count", lambda *, real: found)
    assert exact.main(arguments, path) == (0 if arguments else 1)
    said = capsys.readouterr().out
    if arguments:
        assert record.load(path) == SAMPLE | found
        assert "receipts as they were" in said
    else:
        assert "1,244" in said
        assert record.load(path) == SAMPLE


def test_a_damaged_record_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "exact.json"
    path.write_text("{")
    assert exact.main([], path) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert "restore it from git" in said
