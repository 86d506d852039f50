"""The ledger's file: damage, other versions, and another metric table."""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil
from pathlib import Path
from typing import Any, TypedDict

import pytest

from runner.errors import LedgerCorruptError, LedgerNewerError
from runner.metric_kinds import Counter, Gauge, Histogram, Metric, NoLabels
from runner.metric_table import (
    AGGREGATION,
    AGGREGATION_PROOF_GENERATION,
    ERRORS,
    EXECUTIONS,
    PUSH_FAILURES,
)
from runner.metrics import METRICS, Recorder, Total
from runner.monitoring import ledger_file
from runner.monitoring.ledger import Ledger
from runner.monitoring.ledger_file import Contents, decode, encode
from runner.monitoring.textfile import read_series
from tests.monitoring.ledger_runs import DURATION, SUCCESS, run

DATA = Path(__file__).parent / "data"


def sealed(content: object, version: object = ledger_file.VERSION) -> bytes:
    checksum = ledger_file._checksum(version, content)  # type: ignore[arg-type]
    return json.dumps(
        {"format": ledger_file.FORMAT, "version": version, "sha256": checksum, "content": content}
    ).encode()


def total(**changed: object) -> dict[str, object]:
    return {**dataclasses.asdict(Total("x", {}, 1)), **changed}


EMPTY: dict[str, Any] = {"totals": [], "gauges": [], "runs": [], "recent": []}
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
    "infinite": GOOD.replace(b'"value":5', b'"value":1e999'),
    "no float": sealed({**EMPTY, "recent": [], "gauges": [], "totals": [total(value=10**400)]}),
    "no version": sealed(EMPTY, None),
    "version 0, which never was": sealed(EMPTY, 0),
    "no runs": sealed({"totals": [], "gauges": [], "recent": []}),
    "content is null": sealed(None),
    "a run is a number": sealed({**EMPTY, "runs": [5]}),
    "negative": sealed({**EMPTY, "totals": [total(value=-1)]}),
    "larger than any float": sealed({**EMPTY, "totals": [total(value=10**400)]}),
    "half of a pair": sealed({**EMPTY, "runs": ["\ud800"]}),
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


def test_no_depth_of_nesting_is_more_than_damage() -> None:
    """Reading and writing JSON run out of depth at different ones."""
    for depth in range(300, 1000):
        nested = b"[" * depth + b"]" * depth
        with pytest.raises(LedgerCorruptError):
            decode(GOOD.replace(b'"runs":["a"]', b'"runs":' + nested))


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


@pytest.mark.parametrize("data", [sealed({"other": "shape"}, 3), b'{"version": 3, "format": "%s"}'])
def test_a_ledger_of_a_later_version_is_left_alone(
    data: bytes, ledger: Ledger, textfile: Path, tmp_path: Path
) -> None:
    data = data.replace(b"%s", ledger_file.FORMAT.encode())
    ledger.record("a", run(5))
    shown = textfile.read_bytes()
    ledger.path.write_bytes(data)
    with pytest.raises(LedgerNewerError, match=r"format 3.*up to 2"):
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
        return {**EMPTY, "totals": totals, "runs": content["runs"]}

    monkeypatch.setitem(ledger_file.MIGRATIONS, 0, named)
    counters = {"l2_executions_total": 5, "l2_aggregation_total": 7}
    ledger.path.write_bytes(sealed({"counters": counters, "runs": ["a"]}, 0))
    ledger.record("a", run(5))
    after = ledger.record("b", run(3))
    # It goes through every version in between.
    assert (after.value(EXECUTIONS), after.value(AGGREGATION)) == (5, 3)
    assert after.value(AGGREGATION_PROOF_GENERATION) == 7
    data = json.loads(ledger.path.read_bytes())
    assert (data["version"], data["content"]["runs"]) == (2, ["a", "b"])


# The file was left by version 1 after a batch of 6 leaves under single, one of 60 under two_level
# with nine aggregations, the first once more from the cache, and 25 executed leaves under single.
MIGRATED = {
    "l2_aggregation_total": 0,
    'l2_aggregation_strategy_total{strategy="single"}': 0,
    'l2_aggregation_strategy_total{strategy="two_level"}': 0,
    "l2_aggregation_duration_ms_total": 0,
    "l2_aggregation_batch_seconds_total": 0,
    "l2_aggregation_made_leaves_total": 0,
    "l2_tps_average": 0,
    "l2_aggregation_proof_generation_total": 11,
    "l2_aggregation_proof_generation_duration_seconds_count": 11,
    "l2_aggregation_proof_count": 72,
    "l2_proof_generation_total": 70,
    "l2_cache_hits_total": 13,
    "l2_cache_misses_total": 70,
    "l2_executions_total": 26,
    "l2_executed_batches_total": 0,
    "l2_segments_total": 96,
}


def shown(textfile: Path) -> dict[str, float]:
    lines = (line.rsplit(" ", 1) for line in textfile.read_text().splitlines())
    return {name: float(number) for name, number in lines if name in MIGRATED}


def test_version_1_goes_on_with_its_aggregations_as_aggregation_proofs(
    ledger: Ledger, textfile: Path
) -> None:
    shutil.copy(DATA / "ledger-v1.json", ledger.path)
    before = decode(ledger.path.read_bytes()).runs
    assert len(before) == 4
    # A run that was counted is not counted again, and the textfile is of the new version at once.
    ledger.record(before[0], run(5))
    assert shown(textfile) == MIGRATED
    after = ledger.record("new", run(3))
    assert after.value(AGGREGATION) == 3
    assert decode(ledger.path.read_bytes()).runs == (*before, "new")
    assert json.loads(ledger.path.read_bytes())["version"] == 2


def test_totals_that_are_recovered_from_a_textfile_of_version_1_mean_the_same(
    ledger: Ledger, textfile: Path
) -> None:
    shutil.copy(DATA / "textfile-v1.prom", textfile)
    ledger.path.write_bytes(b"{")
    ledger.record("new", Recorder())
    assert shown(textfile) == MIGRATED
    # The textfile is of this version now, and what is recovered from it stays as it is.
    ledger.record("newer", run(3))
    ledger.path.write_bytes(b"{")
    ledger.record("newest", Recorder())
    assert shown(textfile) == {
        **MIGRATED,
        "l2_aggregation_total": 3,
        "l2_aggregation_proof_generation_duration_seconds_count": 14,
    }


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
