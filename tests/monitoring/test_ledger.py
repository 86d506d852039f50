"""The ledger: which totals survive runs, and how they are shown."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import LedgerCorruptError
from runner.metric_kinds import Counter, NoLabels
from runner.metric_table import (
    AGGREGATION_BATCH_SECONDS,
    AGGREGATION_MADE_LEAVES,
    BUILD_INFO,
    L1_BALANCE_ETH,
    L1_METRICS,
    L1_SUBMISSIONS,
    LAST_RUN_LEAVES,
    PUSH_FAILURES,
    TPS_AVERAGE,
)
from runner.metrics import Recorder, Total
from runner.monitoring.ledger import KEPT_RUNS, RECENT_RUNS, Ledger
from runner.monitoring.ledger_file import Contents, decode, encode
from tests.monitoring.ledger_runs import DURATION, SUCCESS, names, run, value

if TYPE_CHECKING:
    from pathlib import Path


# -- runs ------------------------------------------------------------------------------------------


def test_runs_add_up_and_the_textfile_agrees(ledger: Ledger, textfile: Path) -> None:
    for i, count in enumerate((5, 5, 8, 3)):
        returned = ledger.record(f"run-{i}", run(count))
        assert textfile.read_bytes() == returned.render() == ledger.read().render()
    assert value(textfile, "l2_aggregation_total") == 21
    assert value(textfile, f"{DURATION.name}_count") == 21
    assert value(textfile, f"{DURATION.name}_sum") == pytest.approx(21 * 0.3)


def test_a_run_counts_once_however_often_it_is_given(ledger: Ledger, textfile: Path) -> None:
    ledger.record("a", run(5, l2_last_run_leaves=50))
    ledger.record("b", run(3, l2_last_run_leaves=30))
    shown = textfile.read_bytes()
    textfile.unlink()
    ledger.record("a", run(5, l2_last_run_leaves=50))
    assert textfile.read_bytes() == shown  # b is still the last run


def test_gauges_are_the_last_runs_but_for_the_last_success(ledger: Ledger, textfile: Path) -> None:
    ledger.record("a", run(l2_tps_current=7, success=1000))
    ledger.record("b", run(l2_last_run_exit_status=1))
    assert value(textfile, SUCCESS.name) == 1000
    assert value(textfile, "l2_tps_current") == 0
    assert value(textfile, "l2_last_run_exit_status") == 1
    ledger.record("c", run(success=2000))
    assert value(textfile, SUCCESS.name) == 2000
    assert value(textfile, "l2_last_run_exit_status") == 0


def test_build_info_is_of_the_last_run_only(ledger: Ledger, textfile: Path) -> None:
    for version in ("1", "2"):
        recorder = run()
        labels = {"version": version, "zkvm": "z", "zkvm_version": "3", "receipt_kind": "k"}
        recorder.set(BUILD_INFO, 1, **labels)
        ledger.record(version, recorder)
    lines = [x for x in textfile.read_text().splitlines() if x.startswith("l2_build_info{")]
    assert len(lines) == 1
    assert 'version="2"' in lines[0]


def test_a_clock_set_back_takes_nothing_away(ledger: Ledger, textfile: Path) -> None:
    """A timestamp is what the clock said at the last run, even if it said more before.

    A clock that was once ahead must not hide for years that nothing succeeds.
    """
    ledger.record("a", run(5, l2_last_run_start_timestamp_seconds=9000, success=9001))
    os.utime(ledger.path, (9e9, 9e9))
    os.utime(textfile, (1, 1))
    ledger.record("b", run(3, l2_last_run_start_timestamp_seconds=100, success=101))
    assert value(textfile, "l2_aggregation_total") == 8
    assert value(textfile, SUCCESS.name) == 101
    assert value(textfile, "l2_last_run_start_timestamp_seconds") == 100


def test_the_average_is_over_all_batches(ledger: Ledger, textfile: Path) -> None:
    for i, (proofs, seconds) in enumerate([(6, 2), (100, 8)]):
        recorder = Recorder()
        recorder.inc(AGGREGATION_MADE_LEAVES, proofs)
        recorder.inc(AGGREGATION_BATCH_SECONDS, seconds)
        ledger.record(str(i), recorder)
    ledger.record("one that failed", run())
    assert value(textfile, "l2_tps_average") == 10.6
    assert ledger.read().value(TPS_AVERAGE) == 10.6
    assert Recorder().value(TPS_AVERAGE) == 0


def test_what_belongs_to_no_run_is_counted_and_moves_no_gauge(
    ledger: Ledger, textfile: Path
) -> None:
    ledger.record("a", run(2, l2_last_run_leaves=50))
    ledger.count(PUSH_FAILURES)
    assert ledger.count(PUSH_FAILURES).value(PUSH_FAILURES) == 2
    assert value(textfile, "l2_push_failures_total") == 2
    assert value(textfile, "l2_last_run_leaves") == 50
    assert value(textfile, "l2_aggregation_total") == 2
    with pytest.raises(ValueError, match="no metric"):
        ledger.count(Counter(NoLabels, "l2_typo_total", "Typo.", "test"))


def test_only_the_last_run_ids_are_kept(ledger: Ledger) -> None:
    many = tuple(f"{i:032x}" for i in range(KEPT_RUNS))
    ledger.path.write_bytes(encode(Contents(runs=many)))
    ledger.record("new", run())
    assert decode(ledger.path.read_bytes()).runs == (*many[1:], "new")


def test_without_a_textfile_only_the_ledger_is_written(tmp_path: Path) -> None:
    Ledger(tmp_path / "l.json").record("a", run())
    assert names(tmp_path) == {"l.json", "l.json.lock"}


def test_folders_are_made_and_both_files_can_be_read_by_others(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        Ledger(tmp_path / "a" / "b" / "l.json", tmp_path / "c" / "x.prom").record("a", run())
    finally:
        os.umask(before)
    for path in (tmp_path / "a" / "b" / "l.json", tmp_path / "c" / "x.prom"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o755


def test_reading_needs_a_ledger_and_changes_nothing(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ledger.read()
    assert names(tmp_path) == set()
    ledger.path.write_bytes(b"{}")
    with pytest.raises(LedgerCorruptError):
        ledger.read()
    assert names(tmp_path) == {ledger.path.name}


# -- the file --------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(0, 10**20) | st.floats(0, 1e300), max_size=5),
    st.lists(st.text(max_size=20), max_size=5),
)
def test_contents_survive_the_file(values: list[float], texts: list[str]) -> None:
    contents = Contents(
        totals=tuple(
            Total("l2_guest_cycles_total", {"guest": text, "type": "user"}, number)
            for number, text in zip(values, texts, strict=False)
        ),
        gauges=(Total("l2_proof_size_savings_percent", {}, -3.5),),
        runs=tuple(texts),
    )
    assert decode(encode(contents)) == contents


# -- the last runs, for people ---------------------------------------------------------------------


def test_the_last_runs_are_kept_in_order_and_once(ledger: Ledger) -> None:
    for number in range(RECENT_RUNS + 5):
        for _ in range(2):
            ledger.record(f"run {number}", run(1, l2_last_run_leaves=number))
    recent = ledger.recent()
    assert [one.leaves for one in recent] == list(range(5, RECENT_RUNS + 5))
    assert recent[-1].run_id == f"run {RECENT_RUNS + 4}"


def test_a_recent_run_has_the_figures_of_the_run(ledger: Ledger) -> None:
    failed = run(0, l2_last_run_exit_status=1, l2_last_run_duration_seconds=2.5)
    labels = {"version": "1", "zkvm": "risc0", "zkvm_version": "3", "receipt_kind": "execute"}
    failed.set(BUILD_INFO, 1, **labels)
    ledger.record("a", failed)
    (found,) = ledger.recent()
    assert (found.exit_status, found.duration_s, found.kind) == (1, 2.5, "execute")


def test_an_event_counts_once_and_leaves_the_runs_as_they_are(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.json", tmp_path / "runner.prom")
    recorder = Recorder()
    recorder.set(LAST_RUN_LEAVES, 7)
    ledger.record("a", recorder)
    event = Recorder(L1_METRICS)
    event.inc(L1_SUBMISSIONS)
    event.set(L1_BALANCE_ETH, 2.5)
    for _ in range(2):
        ledger.add("l1:x", event)
    found = ledger.read()
    assert found.value(L1_SUBMISSIONS) == 1
    assert found.value(L1_BALANCE_ETH) == 2.5
    assert found.value(LAST_RUN_LEAVES) == 7
    assert len(ledger.recent()) == 1
    ledger.record("b", Recorder())  # a run without an L1 keeps what an event has set
    assert ledger.read().value(L1_BALANCE_ETH) == 2.5
    assert ledger.read().value(LAST_RUN_LEAVES) == 0
