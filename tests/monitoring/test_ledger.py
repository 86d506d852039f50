"""The ledger: which totals survive runs, and how they are kept and shown."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import stat
from typing import TYPE_CHECKING, Any, TypedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import LedgerCorruptError, LedgerNewerError
from runner.metric_kinds import Counter, Gauge, Histogram, Metric, NoLabels
from runner.metric_table import (
    AGGREGATION,
    AGGREGATION_BATCH_SECONDS,
    AGGREGATION_DURATION_SECONDS,
    AGGREGATION_PROOF_COUNT,
    BUILD_INFO,
    ERRORS,
    LAST_RUN_SUCCESS_TIMESTAMP_SECONDS,
    PUSH_FAILURES,
    TPS_AVERAGE,
)
from runner.metrics import METRICS, Recorder, Total
from runner.monitoring import ledger_file
from runner.monitoring.ledger import KEPT_RUNS, RECENT_RUNS, Ledger
from runner.monitoring.ledger_file import Contents, decode, encode
from runner.monitoring.textfile import read_series

if TYPE_CHECKING:
    from pathlib import Path

DURATION = AGGREGATION_DURATION_SECONDS
SUCCESS = LAST_RUN_SUCCESS_TIMESTAMP_SECONDS


@pytest.fixture
def textfile(tmp_path: Path) -> Path:
    return tmp_path / "runner.prom"


@pytest.fixture
def ledger(tmp_path: Path, textfile: Path) -> Ledger:
    return Ledger(tmp_path / "runner.prom.ledger.json", textfile)


def run(aggregations: int = 1, success: float = 0, **gauges: float) -> Recorder:
    recorder = Recorder()
    recorder.inc(AGGREGATION, aggregations)
    for _ in range(aggregations):
        recorder.observe(DURATION, 0.3)
    for name, value in {**gauges, SUCCESS.name: success}.items():
        recorder.restore(Total(name, {}, value))
    return recorder


def value(textfile: Path, name: str) -> float:
    (line,) = [x for x in textfile.read_text().splitlines() if x.startswith(f"{name} ")]
    return float(line.split()[1])


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


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
        recorder.inc(AGGREGATION_PROOF_COUNT, proofs)
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


def sealed(content: object, version: object = 1) -> bytes:
    checksum = ledger_file._checksum(version, content)  # type: ignore[arg-type]
    return json.dumps(
        {"format": ledger_file.FORMAT, "version": version, "sha256": checksum, "content": content}
    ).encode()


def total(**changed: object) -> dict[str, object]:
    return {**dataclasses.asdict(Total("x", {}, 1)), **changed}


EMPTY: dict[str, Any] = {"totals": [], "gauges": [], "runs": []}
GOOD = encode(Contents((Total("l2_errors_total", {}, 5),), (), ("a",)))
DAMAGED = {
    "empty": b"",
    "zeroes": bytes(500),
    "cut": GOOD[:-20],
    "no json": b"5 apples",
    "bytes": b"\xff\xfe\x00",
    "deep": b"[" * 100_000,
    "another file": b'{"version": 1}',
    "a list": b"[]",
    "a digit changed": GOOD.replace(b'"value":5', b'"value":6'),
    "not a number": GOOD.replace(b'"value":5', b'"value":NaN'),
    "no version": sealed(EMPTY, None),
    "version 0, which never was": sealed(EMPTY, 0),
    "no runs": sealed({"totals": [], "gauges": []}),
    "content is null": sealed(None),
    "a run is a number": sealed({**EMPTY, "runs": [5]}),
    "negative": sealed({**EMPTY, "totals": [total(value=-1)]}),
    "true": sealed({**EMPTY, "totals": [total(value=True)]}),
    "a text": sealed({**EMPTY, "totals": [total(value="5")]}),
    "labels": sealed({**EMPTY, "totals": [total(labels=[])]}),
    "label value": sealed({**EMPTY, "totals": [total(labels={"a": 5})]}),
    "no name": sealed({**EMPTY, "totals": [{"labels": {}}]}),
    "counts": sealed({**EMPTY, "totals": [total(bounds=[1.0], counts=[1])]}),
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_ledger_is_set_aside_and_totals_go_on_from_the_textfile(
    data: bytes, ledger: Ledger, textfile: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ledger.record("a", run(5, success=1000))
    ledger.path.write_bytes(data)
    after = ledger.record("b", run(3))
    assert after.value(AGGREGATION) == 8
    assert after.value(DURATION) == 8
    assert after.value(SUCCESS) == 1000
    assert after.value(ERRORS) == 1
    assert ledger.read().render() == textfile.read_bytes()
    (aside,) = tmp_path.glob("*.corrupt-*")
    assert aside.read_bytes() == data
    (warning,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    for part in (ledger.path.name, aside.name, "damaged metrics ledger", str(textfile)):
        assert part in warning.getMessage()
    assert "\n" not in warning.getMessage()


@pytest.mark.parametrize("text", [None, b"", b"l2_aggregation_total many\n", b"\xff"])
def test_without_a_usable_textfile_totals_start_from_zero(
    text: bytes | None, ledger: Ledger, textfile: Path, caplog: pytest.LogCaptureFixture
) -> None:
    if text is not None:
        textfile.write_bytes(text)
    ledger.path.write_bytes(b"{")
    after = ledger.record("a", run(3))
    assert after.value(AGGREGATION) == 3
    assert after.value(ERRORS) == 1
    assert "from zero" in caplog.text


def test_every_series_is_read_back_from_a_textfile() -> None:
    recorder = Recorder()
    for number, metric in enumerate(METRICS, start=1):
        labels = {label: (initial or ('a"b',))[0] for label, initial in metric.labels.items()}
        match metric:
            case Counter():
                recorder.inc(metric, number, **labels)
            case Gauge():
                recorder.set(metric, -number, **labels)
            case Histogram():
                for seconds in (0.0, 0.3, 17.0, 5000.0):
                    recorder.observe(metric, seconds, **labels)
    text = recorder.render().decode()
    found = read_series(text)
    again = Recorder()
    gauges = {one.name for one in recorder.gauges()}
    again.merge(one for one in found if one.name not in gauges)
    for gauge in (one for one in found if one.name in gauges):
        again.restore(gauge)
    assert again.render() == recorder.render()
    assert read_series("# TYPE other gauge\nother 5\n") == ()


@pytest.mark.parametrize("data", [sealed({"other": "shape"}, 2), b'{"version": 2, "format": "%s"}'])
def test_a_ledger_of_a_later_version_is_left_alone(
    data: bytes, ledger: Ledger, textfile: Path, tmp_path: Path
) -> None:
    data = data.replace(b"%s", ledger_file.FORMAT.encode())
    ledger.record("a", run(5))
    shown = textfile.read_bytes()
    ledger.path.write_bytes(data)
    with pytest.raises(LedgerNewerError, match=r"format 2.*up to 1"):
        ledger.record("b", run(3))
    with pytest.raises(LedgerNewerError):
        ledger.count(PUSH_FAILURES)
    with pytest.raises(LedgerNewerError):
        ledger.read()
    assert (ledger.path.read_bytes(), textfile.read_bytes()) == (data, shown)
    assert not list(tmp_path.glob("*.corrupt-*"))


def test_a_ledger_of_an_earlier_version_is_migrated(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def named(content: dict[str, Any]) -> dict[str, Any]:
        totals = [total(name=name, value=value) for name, value in content["counters"].items()]
        return {"totals": totals, "gauges": [], "runs": content["runs"]}

    monkeypatch.setitem(ledger_file.MIGRATIONS, 0, named)
    ledger.path.write_bytes(sealed({"counters": {"l2_aggregation_total": 5}, "runs": ["a"]}, 0))
    ledger.record("a", run(5))
    after = ledger.record("b", run(3))
    assert after.value(AGGREGATION) == 8
    data = json.loads(ledger.path.read_bytes())
    assert (data["version"], data["content"]["runs"]) == (1, ["a", "b"])


# -- another table ---------------------------------------------------------------------------------


class Kind(TypedDict):
    kind: str


X = Counter(Kind, "x_total", "X.", "test", initial={"kind": ("a", "b")})
X_SECONDS = Histogram(NoLabels, "x_seconds", "X.", "test", buckets=(1.0,))
GONE = Counter(NoLabels, "gone_total", "E.", "test")
NEW = Counter(NoLabels, "new_total", "E.", "test")
OLD_TABLE = (X, X_SECONDS, GONE)
NEW_TABLE = (X, dataclasses.replace(X_SECONDS, buckets=(0.5, 1.0)), NEW)


def made(metrics: tuple[Metric, ...], extra: Counter[[]]) -> Recorder:
    recorder = Recorder(metrics)
    recorder.inc(X, kind="a")
    recorder.observe(X_SECONDS, 0.7)
    recorder.inc(extra, 10)
    return recorder


def test_what_this_version_does_not_know_is_kept_and_not_shown(tmp_path: Path) -> None:
    path, textfile = tmp_path / "l.json", tmp_path / "x.prom"

    def old(run_id: str) -> Recorder:
        return Ledger(path, textfile, OLD_TABLE).record(run_id, made(OLD_TABLE, GONE))

    def new(run_id: str) -> Recorder:
        return Ledger(path, textfile, NEW_TABLE).record(run_id, made(NEW_TABLE, NEW))

    old("1")
    after = new("2")
    assert after.value(X, kind="a") == 2
    assert after.value(X_SECONDS) == 1  # other buckets make it a new histogram
    assert after.value(NEW) == 10
    assert b"gone_total" not in textfile.read_bytes()
    new("3")
    back = old("4")
    assert back.value(X, kind="a") == 4
    assert back.value(X_SECONDS) == 2
    assert back.value(GONE) == 20
    again = new("5")
    assert (again.value(X_SECONDS), again.value(NEW)) == (3, 30)


def test_a_counter_that_became_a_gauge_and_a_label_value_that_went(tmp_path: Path) -> None:
    path = tmp_path / "l.json"
    Ledger(path, metrics=OLD_TABLE).record("1", made(OLD_TABLE, GONE))
    gauge = Gauge(NoLabels, "gone_total", "E.", "test")
    changed = (dataclasses.replace(X, initial={"kind": ("b",)}), gauge)
    after = Ledger(path, metrics=changed).record("2", Recorder(changed))
    assert after.value(X, kind="b") == 0
    assert after.value(X, kind="a") == 1, "it is only no longer there from the start"
    assert after.value(gauge) == 0
    back = Ledger(path, metrics=OLD_TABLE).read()
    assert (back.value(X, kind="a"), back.value(GONE)) == (1, 10)


# -- the last runs, for people ---------------------------------------------------------------------


def test_the_last_runs_are_kept_in_order_and_once(ledger: Ledger) -> None:
    for number in range(RECENT_RUNS + 5):
        for _ in range(2):
            ledger.record(f"run {number}", run(1, l2_last_run_leaves=number))
    recent = ledger.recent()
    assert [glance.leaves for glance in recent] == list(range(5, RECENT_RUNS + 5))
    assert recent[-1].run_id == f"run {RECENT_RUNS + 4}"


def test_a_glance_says_what_the_run_said(ledger: Ledger) -> None:
    failed = run(0, l2_last_run_exit_status=1, l2_last_run_duration_seconds=2.5)
    labels = {"version": "1", "zkvm": "risc0", "zkvm_version": "3", "receipt_kind": "execute"}
    failed.set(BUILD_INFO, 1, **labels)
    ledger.record("a", failed)
    (glance,) = ledger.recent()
    assert (glance.exit_status, glance.duration_s, glance.kind) == (1, 2.5, "execute")
