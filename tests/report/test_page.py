"""The pages of runs are whole, load nothing, and are safe whatever a result says."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from runner.cli.command import main
from runner.folder import REPORT
from runner.model import ReceiptKind
from runner.report import write as writing
from runner.report.figures import compare
from runner.report.page import run_page, sweep_page
from runner.report.read import read
from runner.report.run_charts import timeline, tree
from tests.report.hostile import EVIL, assert_alone_and_harmless, evil
from tests.report.runs import Page, on_gpus, raw, run, write

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fakes.behaviours import Behaviours


@pytest.fixture
def folders(tmp_path: Path, guests: Path) -> list[Path]:
    """Folders with a real record of each sort."""
    run(tmp_path / "0", guests, count=6, strategy="single")
    run(tmp_path / "1", guests, count=9, strategy="two_level", cached=True)
    run(tmp_path / "2", guests, count=17, strategy="three_level", cached=True)
    run(tmp_path / "3", guests, count=4, strategy="none")
    run(tmp_path / "4", guests, kind=ReceiptKind.EXECUTE)
    return [tmp_path / name for name in "01234"]


def test_a_sweeps_page_is_whole_alone_and_says_what_was_measured(
    folders: list[Path], tmp_path: Path
) -> None:
    runs = compare([read(folder) for folder in folders])
    made = sweep_page(runs, tmp_path / "report.html")
    page = Page(made)
    assert_alone_and_harmless(page, made.decode())
    assert "http" not in made.decode().replace("http-equiv", "")
    for row in runs.proved:
        assert f"{row.bytes_after:,}" in page.text
        assert f"{row.total_cycles:,}" in page.text
    assert "<" not in page.text
    assert "nothing proved" in page.text
    assert "not measured" in page.text
    assert "Hollow marks had receipts from the cache" in page.text
    # Each of four charts. The runs in execute mode have no savings to draw.
    assert page.tags.count("svg") == 6
    assert page.links() == [f"./{folder.name}/result.json" for folder in folders]
    assert sweep_page(runs, tmp_path / "report.html") == made


def test_what_is_saved_is_drawn_by_prover_beside_the_model(tmp_path: Path, guests: Path) -> None:
    for name, count, zkvm in (("0", 2, "risc0"), ("1", 4, "risc0"), ("2", 2, "openvm")):
        data = run(tmp_path / name, guests, count=count, strategy="single")
        data["versions"]["zkvm"] = data["config"]["prover"]["adapter"] = zkvm
        write(tmp_path / name, data)
    rows = [read(tmp_path / name) for name in "012"]
    drawn = Page(sweep_page(compare(rows), tmp_path / "report.html")).text
    assert "What aggregation saves" in drawn
    for zkvm in ("risc0", "openvm"):
        assert f"all leaves, before: {zkvm} composite" in drawn
        assert f"leaf receipts, before: {zkvm} composite" in drawn
    assert "the model's, not measured" in drawn
    # A single number of leaves makes no line.
    alone = Page(sweep_page(compare(rows[:1]), tmp_path / "report.html")).text
    assert "What aggregation saves" not in alone


def test_a_runs_page_shows_long_runs_and_which_were_cut_smaller(
    tmp_path: Path, guests: Path
) -> None:
    data = run(tmp_path, guests, count=3, strategy="single")
    assert "Longest runs" not in Page(run_page(read(tmp_path), tmp_path / "report.html")).text
    data["jobs"][1] |= {"segments": 36, "segments_proved_apart": 36, "segments_halved": 2}
    data["jobs"][1]["total_cycles"] = 36 << 18
    del data["jobs"][2]["segments_proved_apart"], data["jobs"][2]["segments_halved"]  # as it was
    write(tmp_path, data)
    made = run_page(read(tmp_path), tmp_path / "report.html")
    page = Page(made)
    assert_alone_and_harmless(page, made.decode())
    shown = " ".join(page.text.split()).partition("Longest runs")[2].partition("Retries")[0]
    assert "leaf 1" in shown
    assert "9,437,184" in shown
    assert "2 times" in shown
    assert "leaf 0" not in shown


def test_a_runs_page_is_whole_and_alone_and_says_how_to_check_it(
    folders: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in folders:
        made = run_page(read(folder), folder / "report.html")
        page = Page(made)
        assert_alone_and_harmless(page, made.decode())
        assert page.tags.count("svg") == 2
        assert all((folder / link).exists() for link in page.links())
        proved = folder.name != "4"
        assert (f"python -m runner.verify {folder.name}" in page.text) is proved
        assert ("there is nothing to verify" in page.text) is not proved
        aggregated = proved and folder.name != "3"
        assert (f"--receipt {folder.name}/root.receipt" in page.text) is aggregated


def test_a_runs_page_says_what_gpus_did(
    tmp_path: Path, guests: Path, behaviours: Behaviours
) -> None:
    data = on_gpus(tmp_path / "out", guests, behaviours)
    text = Page(run_page(read(tmp_path / "out"), tmp_path / "report.html")).text
    assert "of all proofs, on a GPU10.25" in text  # one job, and its seconds
    assert "leaf 3proved by the CPU, because GPU-fake failed: out of memory" in text
    write(tmp_path / "out", evil(data))
    made = run_page(read(tmp_path / "out"), tmp_path / "report.html")
    assert_alone_and_harmless(Page(made), made.decode())


def test_hostile_texts_are_shown_and_do_nothing(
    folders: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = EVIL.replace("\x00\n\u202e", " ")
    for folder in folders:
        data = evil(raw(folder))
        data |= {"kind": data["kind"] if folder.name == "0" else "execute"}
        if folder.name == "1":
            data |= {"status": "failed", "error": EVIL}
        write(folder, data)
    runs = compare([read(folder) for folder in folders])
    sweep = sweep_page(runs, tmp_path / "report.html")
    one = run_page(runs.all[1].run, tmp_path / "report.html")
    for made in (sweep, one):
        page = Page(made)
        assert_alone_and_harmless(page, made.decode())
        assert shown.strip() in page.text
        assert "7*7" in made.decode()
        assert "\x00" not in made.decode()
    writing.show(runs)
    assert "[red]" in capsys.readouterr().out


def test_a_link_never_leaves_for_elsewhere(tmp_path: Path, guests: Path) -> None:
    for name in ("javascript:alert(1)", "a b#c?d%", "-x"):
        run(tmp_path / name, guests)
        made = sweep_page(compare([read(tmp_path / name)]), tmp_path / "report.html")
        (link,) = Page(made).links()
        assert link.startswith("./")
        assert not set(link) & set(" #?:\"'")


@pytest.mark.parametrize("count", [200, 1000])
def test_a_large_plan_is_a_small_picture(count: int, tmp_path: Path, guests: Path) -> None:
    run(tmp_path / "out", guests, count=count, strategy="three_level", kind=ReceiptKind.EXECUTE)
    record = read(tmp_path / "out")
    drawn = tree(record)
    assert len(drawn) < 120_000
    assert f"{count:,} leaves" in drawn
    assert "aggregation" in drawn
    names = re.findall(r">(leaf \d+|aggregation \d+)<", drawn)
    assert f"aggregation {record.plan.root}" in names
    assert len(timeline(record)) < 400_000


def test_a_tree_shows_each_job_once_and_how_it_came(tmp_path: Path, guests: Path) -> None:
    run(tmp_path / "first", guests, count=3, strategy="single", cached=True)
    run(tmp_path / "second", guests, count=6, strategy="two_level", cached=True)
    record = read(tmp_path / "second")
    drawn = tree(record)
    names = re.findall(r">(leaf \d+|aggregation \d+)<", drawn)
    assert sorted(names) == sorted(job.name for job in record.jobs)
    assert "var(--series-2)" in drawn  # a job from the cache
    unfinished = replace(record, status="failed", jobs=record.jobs[:4], summary=None)
    assert "stroke-dasharray" in tree(unfinished)


def test_a_run_without_a_finished_job_has_a_page(tmp_path: Path, guests: Path) -> None:
    data = run(tmp_path / "out", guests) | {"status": "interrupted", "error": "stopped", "jobs": []}
    write(tmp_path / "out", data)
    page = Page(run_page(read(tmp_path / "out"), tmp_path / "report.html"))
    assert "No job was finished" in page.text
    assert "goes on from there" in " ".join(page.text.split())
    runs = compare([read(tmp_path / "out")])
    assert "interrupted" in Page(sweep_page(runs, tmp_path / "report.html")).text


def test_a_run_writes_its_own_page_where_it_is_asked_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"
    shape = ["prover=execute", "executor=inline", "guest.count=6", "progress=none"]
    monkeypatch.setattr(sys, "argv", ["runner", *shape, f"output={output}", "report=true"])
    assert main() == 0
    assert Page((output / REPORT).read_bytes()).tags.count("svg") == 2
