"""What a recorder refuses, and runs that are added up."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.metric_kinds import Counter, Histogram, Metric, NoLabels
from runner.metric_table import (
    AGGREGATION_PROOF_COUNT,
    AGGREGATION_PROOF_GENERATION_DURATION_SECONDS,
    AGGREGATION_STRATEGY,
    ERRORS,
    GUEST_CYCLES,
    METRICS,
    PROOF_SIZE_SAVINGS_PERCENT,
    SEGMENTS,
    TPS_AVERAGE,
    TPS_CURRENT,
)
from runner.metrics import Recorder, Total
from tests.metrics.recorders import DURATION, lines, move, only
from tests.threads import side_by_side

if TYPE_CHECKING:
    import random


TYPO = Counter(NoLabels, "l2_typo_total", "Typo.", "test")


@pytest.mark.parametrize(
    ("method", "arguments", "labels", "message"),
    [
        ("inc", (TYPO,), {}, "no metric 'l2_typo_total'"),
        ("inc", (ERRORS, -1), {}, "not a value"),
        ("inc", (ERRORS, math.nan), {}, "not a value"),
        ("inc", (ERRORS, math.inf), {}, "not a value"),
        ("inc", (ERRORS,), {"kind": "x"}, "labels none; given: kind"),
        ("inc", (AGGREGATION_STRATEGY,), {}, "labels strategy; given: none"),
        ("inc", (GUEST_CYCLES,), {"guest": "g"}, "labels guest, type"),
        ("inc", (TPS_CURRENT,), {}, "is a gauge, not a counter"),
        ("set", (ERRORS, 1), {}, "is a counter, not a gauge"),
        ("set", (TPS_CURRENT, math.nan), {}, "not a value"),
        ("set", (TPS_AVERAGE, 1), {}, "cannot be set"),
        ("observe", (TPS_CURRENT, 1), {}, "is a gauge, not a histogram"),
        ("observe", (DURATION, -0.1), {"zkvm": "z", "kind": "composite"}, "not a value"),
        ("observe", (DURATION, math.inf), {"zkvm": "z", "kind": "composite"}, "not a value"),
        ("value", (TYPO,), {}, "no metric"),
        ("restore", (Total("l2_errors", {}, 1),), {}, "no metric"),
        ("restore", (Total("l2_errors_total", {}, 1),), {}, "is a counter, not a gauge"),
        ("restore", (Total("l2_tps_average", {}, 1),), {}, "cannot be set"),
        ("restore", (Total("l2_tps_current", {"x": "y"}, 1),), {}, "labels none; given: x"),
        ("restore", (Total("l2_tps_current", {}, math.nan),), {}, "not a value"),
    ],
)
def test_what_the_table_does_not_know_raises_and_records_nothing(
    method: str, arguments: tuple[object, ...], labels: dict[str, str], message: str
) -> None:
    recorder = Recorder()
    with pytest.raises(ValueError, match=message):
        getattr(recorder, method)(*arguments, **labels)
    assert recorder.render() == Recorder().render()


@pytest.mark.parametrize(
    ("metric", "label"),
    [(metric, label) for metric in METRICS for label in metric.initial],
    ids=lambda one: getattr(one, "name", one),
)
def test_a_label_value_that_is_not_in_the_table_appears_when_it_occurs(
    metric: Metric, label: str
) -> None:
    """E.g. the name of a strategy that somebody has added."""
    recorder = Recorder()
    labels = {name: (initial or ("some",))[0] for name, initial in metric.labels.items()}
    labels[label] = "my_own"
    assert "my_own" not in recorder.render().decode()
    move(recorder, metric, 3, labels)
    shown = only(recorder, metric.name)
    assert f'{label}="my_own"' in shown[-1], "after those that were there from the start"
    others = [line for line in shown if "my_own" not in line]
    assert others
    assert all(line.endswith(" 0.0") for line in others)
    # It goes into the totals of all runs, and comes back from there.
    again = Recorder()
    again.merge(recorder.snapshot())
    for gauge in recorder.gauges():
        again.restore(gauge)
    assert again.render() == recorder.render()


def test_gauges_may_fall_below_zero() -> None:
    recorder = Recorder()
    recorder.set(PROOF_SIZE_SAVINGS_PERCENT, 12.5)
    recorder.set(PROOF_SIZE_SAVINGS_PERCENT, -3.5)
    assert recorder.value(PROOF_SIZE_SAVINGS_PERCENT) == -3.5
    assert "l2_proof_size_savings_percent -3.5" in lines(recorder)


def test_asking_for_a_series_does_not_make_it() -> None:
    recorder = Recorder()
    assert recorder.value(GUEST_CYCLES, guest="g", type="user") == 0
    assert only(recorder, "l2_guest_cycles_total") == []


# -- totals over several runs ----------------------------------------------------------------------

Step = tuple[Metric, float, dict[str, str]]
steps: st.SearchStrategy[Step] = st.one_of(
    st.tuples(
        st.sampled_from([ERRORS, AGGREGATION_PROOF_COUNT]),
        st.integers(0, 1000),
        st.just({}),
    ),
    st.tuples(
        st.just(GUEST_CYCLES),
        st.integers(0, 1000),
        st.fixed_dictionaries(
            {"guest": st.sampled_from("abc"), "type": st.sampled_from(["user", "total"])}
        ),
    ),
    st.tuples(
        st.just(DURATION),
        st.integers(0, 4000),
        st.fixed_dictionaries(
            {
                "zkvm": st.sampled_from("ro"),
                "kind": st.sampled_from(["composite", "groth16", "new"]),
            }
        ),
    ),
    st.tuples(
        st.just(AGGREGATION_STRATEGY),
        st.integers(0, 1000),
        st.fixed_dictionaries({"strategy": st.sampled_from(["single", "my_own", "another"])}),
    ),
)


def recorded(taken: list[Step]) -> Recorder:
    recorder = Recorder()
    for metric, value, labels in taken:
        if isinstance(metric, Histogram):
            recorder.observe(metric, value, **labels)
        elif isinstance(metric, Counter):
            recorder.inc(metric, value, **labels)
    return recorder


@settings(max_examples=40, deadline=None)
@given(st.lists(steps, max_size=20), st.integers(0, 20), st.randoms(use_true_random=False))
def test_runs_merged_equal_one_run_in_any_order(
    taken: list[Step], cut: int, rnd: random.Random
) -> None:
    whole = recorded(taken).render()
    earlier, later = recorded(taken[:cut]), recorded(taken[cut:])
    later.merge(earlier.snapshot())
    assert later.render() == whole
    shuffled = list(taken)
    rnd.shuffle(shuffled)
    assert recorded(shuffled).render() == whole


def test_a_snapshot_survives_json_and_has_no_gauges(busy: Recorder) -> None:
    stored = json.dumps([dataclasses.asdict(total) for total in busy.snapshot()])
    again = Recorder()
    again.merge(Total(**total) for total in json.loads(stored))
    assert again.snapshot() == busy.snapshot()
    gauges = {metric.name for metric in METRICS if metric.type == "gauge"}
    assert not gauges & {total.name for total in busy.snapshot()}
    assert again.value(TPS_CURRENT) == 0


@pytest.mark.parametrize(
    "bad",
    [
        Total("l2_gone_total", {}, 1),
        Total("l2_tps_current", {}, 1),
        Total("l2_errors_total", {"x": "y"}, 1),
        Total("l2_errors_total", {}, -1),
        Total("l2_errors_total", {}, math.nan),
        Total("l2_errors_total", {}, 1, (1.0,), (1, 2)),
        Total("l2_aggregation_proof_generation_duration_seconds", {}, 1),
        Total("l2_aggregation_proof_generation_duration_seconds", {}, 1, (0.1, 1.0), (0, 0, 1)),
    ],
    ids=lambda total: f"{total.name} {total.value} {len(total.counts)}",
)
def test_a_merge_that_does_not_fit_changes_nothing(bad: Total) -> None:
    recorder = Recorder()
    with pytest.raises(ValueError, match=bad.name):
        recorder.merge([Total("l2_errors_total", {}, 5), bad])
    assert recorder.render() == Recorder().render()


# -- threads ---------------------------------------------------------------------------------------


class Slow(float):
    """A number whose addition lets another thread run in the middle."""

    def __radd__(self, other: float) -> float:
        time.sleep(0.0005)
        return float(other) + float(self)


def test_no_update_is_lost_between_threads() -> None:
    recorder = Recorder()

    def work(_: int) -> None:
        for _ in range(10):
            recorder.inc(ERRORS, Slow(1))
            recorder.observe(AGGREGATION_PROOF_GENERATION_DURATION_SECONDS, Slow(2))
            recorder.merge([Total("l2_segments_total", {}, Slow(3))])
            recorder.render()

    side_by_side(work, range(4))
    assert recorder.value(ERRORS) == 40
    assert "l2_aggregation_proof_generation_duration_seconds_sum 80.0" in lines(recorder)
    assert recorder.value(SEGMENTS) == 120
