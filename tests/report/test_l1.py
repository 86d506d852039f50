"""What became of batches on an L1, on pages and in tables; the file is not trusted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from runner.errors import InputError
from runner.folder import L1_RECORD, REPORT
from runner.report.__main__ import main as report
from runner.report.export import columns
from runner.report.figures import compare
from runner.report.read import read
from tests.report.runs import run

if TYPE_CHECKING:
    from pathlib import Path

RECORD: dict[str, Any] = {
    "format": 1,
    "what": "commitment only, not verified on chain",
    "state": "confirmed",
    "reason": "",
    "key": "ab" * 32,
    "registry": "0x" + "11" * 20,
    "verifier": None,
    "chain": {
        "id": 31337,
        "local": True,
        "client": "anvil/v1.7.1",
        "fork": "Osaka",
        "genesis": "0x" + "22" * 32,
    },
    "transaction": "0x" + "33" * 32,
    "block": 2,
    "signed": 1,
    "by_others": False,
    "inclusion_s": 0.5,
    "confirmation_s": 12.0,
    "costs": {
        "gas_after": 48_077,
        "gas_before": 288_462,
        "before": "eth_estimateGas of one-leaf submissions of each leaf; no leaf was sent",
        "measured_savings_percent": 83.25,
        "price_wei": 2_000_000_000,
        "deployment_gas": 742_712,
        "break_even_batches": 3.09,
    },
}
"""A record as ``runner/l1/record.py`` writes it, as far as reports read it."""


def submitted(folder: Path, guests: Path, record: object = RECORD) -> Path:
    run(folder, guests)
    (folder / L1_RECORD).write_text(json.dumps(record))
    return folder


def test_a_runs_page_and_a_sweeps_page_show_measured_gas(tmp_path: Path, guests: Path) -> None:
    for name in ("0", "1"):
        submitted(tmp_path / "sweep" / name, guests)
    assert report([str(tmp_path / "sweep" / "0")]) == 0
    page = (tmp_path / "sweep" / "0" / REPORT).read_text()
    for text in ("commitment only, not verified on chain", "48,077", "83.2", "Osaka", "no leaf"):
        assert text in page
    assert report([str(tmp_path / "sweep")]) == 0
    assert "288,462" in (tmp_path / "sweep" / REPORT).read_text()


def test_a_page_says_that_a_proof_could_have_been_forged(tmp_path: Path, guests: Path) -> None:
    warned = RECORD | {"what": "verified on chain", "verifier_warning": "unsafe <b>"}
    for name in ("0", "1"):
        submitted(tmp_path / "sweep" / name, guests, warned)
    for folder in (tmp_path / "sweep" / "0", tmp_path / "sweep"):
        assert report([str(folder)]) == 0
        assert "<td>verified on chain (unsafe &lt;b&gt;)</td>" in (folder / REPORT).read_text()


def test_a_run_that_was_not_submitted_says_so(tmp_path: Path, guests: Path) -> None:
    run(tmp_path / "a", guests)
    assert report([str(tmp_path / "a")]) == 0
    page = (tmp_path / "a" / REPORT).read_text()
    assert "not submitted" in page
    assert "On the L1" not in page
    names = [column.name for column in columns(compare([read(tmp_path / "a")]))]
    assert not [name for name in names if name.startswith("l1_")]


def test_the_table_has_columns_for_it(tmp_path: Path, guests: Path) -> None:
    runs = compare([read(submitted(tmp_path / "a", guests))])
    (row,) = runs.all
    said = {column.name: column.value(row) for column in columns(runs)}
    assert said["l1_what"] == "commitment only, not verified on chain"
    assert said["l1_gas_after"] == 48_077
    assert said["l1_gas_before_estimated"] == 288_462
    assert said["l1_fee_eth"] == pytest.approx(48_077 * 2e-9)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"what": "verified"},
        {"what": "verified on chain, honestly"},
        {"chain": None},
        {"costs": {}},
        {"costs": RECORD["costs"] | {"gas_after": -1}},
        {"costs": RECORD["costs"] | {"price_wei": "1"}},
        {"inclusion_s": "soon"},
        {"state": 1},
    ],
)
def test_a_record_of_another_form_is_refused_in_one_line(
    tmp_path: Path, guests: Path, change: dict[str, Any]
) -> None:
    with pytest.raises(InputError, match="not a record") as caught:
        read(submitted(tmp_path / "a", guests, RECORD | change))
    assert "\n" not in str(caught.value)


def test_what_a_record_says_is_text_on_a_page(tmp_path: Path, guests: Path) -> None:
    hostile = RECORD | {"state": "<script>alert(1)</script>\x1b[2J"}
    folder = submitted(tmp_path / "a", guests, hostile)
    assert report([str(folder)]) == 0
    page = (folder / REPORT).read_text()
    assert "<script>alert" not in page
    assert "\x1b" not in page
