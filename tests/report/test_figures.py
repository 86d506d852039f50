"""The figures of reports, counted once more from the files themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runner.folder import ROOT
from runner.model import ReceiptKind
from runner.report.export import columns
from runner.report.figures import compare, figures
from runner.report.read import read
from tests.report.runs import failed, raw, run, write

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fakes.behaviours import Behaviours


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


def test_runs_in_execute_mode_are_listed_apart_and_have_no_savings(
    tmp_path: Path, guests: Path
) -> None:
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
