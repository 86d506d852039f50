"""The metrics contract: names and types, what is there from the start, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import threading
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from runner import metric_table
from runner.metric_kinds import Counter, Gauge, Histogram, Metric, NoLabels
from runner.metric_table import (
    AGGREGATION_DURATION_SECONDS,
    AGGREGATION_PROOF_COUNT,
    AGGREGATION_STRATEGY,
    BUILD_INFO,
    CONTRACT,
    ERRORS,
    GUEST_CYCLES,
    L1_SUBMISSION_GAS_USED,
    METRICS,
    PROOF_GENERATION_DURATION_SECONDS,
    PROOF_SIZE_SAVINGS_PERCENT,
    SEGMENTS,
    TPS_AVERAGE,
    TPS_CURRENT,
)
from runner.metrics import Recorder, Total

if TYPE_CHECKING:
    import random

# These are written out and not taken from the table, because other systems rely on them.
NAMES = {
    "l2_aggregation_total": "counter",
    "l2_aggregation_strategy_total": "counter",
    "l2_aggregation_duration_ms_total": "counter",
    "l2_aggregation_proof_count": "counter",
    "l2_tps_current": "gauge",
    "l2_tps_average": "gauge",
    "l2_gas_savings_percent": "gauge",
    "l2_proof_size_savings_percent": "gauge",
    "l2_cache_hits_total": "counter",
    "l2_cache_misses_total": "counter",
    "l2_cache_evictions_total": "counter",
    "l2_cache_hit_rate": "gauge",
    "l2_proof_generation_total": "counter",
    "l2_proof_verification_total": "counter",
    "l2_proof_generation_duration_ms_total": "counter",
    "l2_proof_verification_duration_ms_total": "counter",
    "l2_parallel_workers_active": "gauge",
    "l2_l1_submission_gas_used": "counter",
    "l2_errors_total": "counter",
}
EXTRA_NAMES = {
    "l2_aggregation_batch_seconds_total": "counter",
    "l2_aggregation_duration_seconds": "histogram",
    "l2_proof_generation_duration_seconds": "histogram",
    "l2_proof_verification_duration_seconds": "histogram",
    "l2_cache_hit_ratio": "gauge",
    "l2_proof_size_savings_ratio": "gauge",
    "l2_model_gas_savings_ratio": "gauge",
    "l2_receipt_bytes": "gauge",
    "l2_guest_cycles_total": "counter",
    "l2_segments_total": "counter",
    "l2_executions_total": "counter",
    "l2_job_retries_total": "counter",
    "l2_cuda_errors_total": "counter",
    "l2_gpu_utilization_ratio": "gauge",
    "l2_gpu_memory_used_bytes": "gauge",
    "l2_queue_depth": "gauge",
    "l2_parallel_workers_limit": "gauge",
    "l2_l1_submissions_total": "counter",
    "l2_push_failures_total": "counter",
    "l2_last_run_start_timestamp_seconds": "gauge",
    "l2_last_run_completion_timestamp_seconds": "gauge",
    "l2_last_run_success_timestamp_seconds": "gauge",
    "l2_last_run_duration_seconds": "gauge",
    "l2_last_run_exit_status": "gauge",
    "l2_last_run_leaves": "gauge",
    "l2_build_info": "gauge",
}
DURATION = PROOF_GENERATION_DURATION_SECONDS


def lines(recorder: Recorder) -> list[str]:
    return recorder.render().decode().splitlines()


def only(recorder: Recorder, name: str) -> list[str]:
    """The lines of one metric's series, in order."""
    return [
        line for line in lines(recorder) if re.match(rf"{name}(_bucket|_count|_sum)?[ {{]", line)
    ]


# -- the table -------------------------------------------------------------------------------------


def test_names_and_types_are_the_contract() -> None:
    assert {metric.name: metric.type for metric in CONTRACT} == NAMES
    assert {metric.name: metric.type for metric in METRICS} == {**NAMES, **EXTRA_NAMES}
    assert len(METRICS) == len(NAMES) + len(EXTRA_NAMES)
    assert len(NAMES) == 19


def test_series_names_do_not_meet() -> None:
    series = [name for metric in METRICS for name in metric.series()]
    assert len(series) == len(set(series))
    assert "l2_aggregation_duration_seconds_bucket" in series


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_every_row_of_the_table_makes_sense(metric: Metric) -> None:
    assert re.fullmatch(r"l2_[a-z0-9_]+", metric.name)
    assert metric.help.strip() == metric.help != ""
    assert metric.help.endswith(".")
    assert "\n" not in metric.help + metric.source
    assert metric.source
    if isinstance(metric, Histogram):
        assert list(metric.buckets) == sorted(set(metric.buckets)) != []
    # These labels would collide with the recorder's own arguments, and "le" with a histogram's.
    assert not {"metric", "value", "seconds", "self", "le"} & metric.labels.keys()
    assert metric.initial.keys() <= metric.labels.keys()
    name = metric.name.removeprefix("l2_").removesuffix("_total").upper()
    assert getattr(metric_table, name) is metric
    if "_seconds" in metric.name:
        assert metric.unit == "seconds"


def test_what_is_modelled_says_so_first() -> None:
    modelled = [metric.name for metric in METRICS if metric.help.startswith("Model, not measured:")]
    assert modelled == ["l2_gas_savings_percent", "l2_model_gas_savings_ratio"]


def test_buckets_reach_from_a_verification_to_half_an_hour() -> None:
    for metric in METRICS:
        if isinstance(metric, Histogram):
            assert metric.buckets[0] == 0.001
            assert metric.buckets[-1] == 1800.0


# -- the text --------------------------------------------------------------------------------------


def test_all_is_there_and_zero_before_anything_happens() -> None:
    text = lines(Recorder())
    for name, kind in NAMES.items():
        assert text.count(f"# TYPE {name} {kind}") == 1
        if name != "l2_aggregation_strategy_total":
            assert text.count(f"{name} 0.0") == 1
    for strategy in ("single", "two_level", "three_level"):
        assert f'l2_aggregation_strategy_total{{strategy="{strategy}"}} 0.0' in text
    for stage in ("before", "after"):
        assert f'l2_receipt_bytes{{stage="{stage}"}} 0.0' in text
    for name in ("l2_aggregation_duration_seconds", "l2_proof_verification_duration_seconds"):
        assert f'{name}_bucket{{le="+Inf"}} 0.0' in text
        assert {f"{name}_count 0.0", f"{name}_sum 0.0"} <= set(text)


def test_the_first_proof_of_a_zkvm_brings_all_its_receipt_kinds() -> None:
    recorder = Recorder()
    name = DURATION.name
    assert name + "_" not in " ".join(lines(recorder))
    recorder.expect(DURATION, zkvm="openvm", kind="succinct")
    assert f'{name}_count{{kind="groth16",zkvm="openvm"}} 0.0' in lines(recorder)
    recorder.observe(DURATION, 20.5, zkvm="openvm", kind="succinct")
    text = lines(recorder)
    for kind, count in (("composite", 0.0), ("succinct", 1.0), ("groth16", 0.0)):
        labels = f'kind="{kind}",zkvm="openvm"'
        assert f"{name}_count{{{labels}}} {count}" in text
        assert f'{name}_bucket{{kind="{kind}",le="+Inf",zkvm="openvm"}} {count}' in text
    assert f'{name}_sum{{kind="succinct",zkvm="openvm"}} 20.5' in text


def test_counters_without_total_keep_their_name_and_type() -> None:
    recorder = Recorder()
    recorder.inc(AGGREGATION_PROOF_COUNT, 21)
    recorder.inc(L1_SUBMISSION_GAS_USED, 300_000)
    text = lines(recorder)
    assert "# TYPE l2_aggregation_proof_count counter" in text
    assert "l2_aggregation_proof_count 21.0" in text
    assert "# TYPE l2_l1_submission_gas_used counter" in text
    assert "l2_l1_submission_gas_used 300000.0" in text
    assert not [line for line in text if "proof_count_total" in line or "gas_used_total" in line]


def move(recorder: Recorder, metric: Metric, number: float, labels: dict[str, str]) -> None:
    """Let something happen to a metric of any kind, unless it is one that is computed."""
    match metric:
        case Counter():
            recorder.inc(metric, number, **labels)
        case Gauge():
            recorder.set(metric, number, **labels)
        case Histogram():
            for seconds in (0.0, 0.3, 17.0, 5000.0):
                recorder.observe(metric, seconds, **labels)


@pytest.fixture
def busy() -> Recorder:
    """A recorder in which every metric has moved."""
    recorder = Recorder()
    for number, metric in enumerate(METRICS, start=1):
        labels = {label: (initial or ("some",))[0] for label, initial in metric.labels.items()}
        move(recorder, metric, number, labels)
    return recorder


def test_node_exporter_accepts_every_line(busy: Recorder) -> None:
    text = busy.render().decode()
    assert text.endswith("\n")
    assert "_created" not in text
    sample = re.compile(r'[a-z0-9_]+(\{[a-z0-9_]+="[^"]*"(,[a-z0-9_]+="[^"]*")*\})? [-+.e0-9]+')
    comment = re.compile(r"# (HELP|TYPE) [a-z0-9_]+ .+")
    for line in text.splitlines():  # so there are neither timestamps nor exemplars
        assert sample.fullmatch(line) or comment.fullmatch(line), line


def test_the_reference_parser_finds_every_family(busy: Recorder) -> None:
    families = list(text_string_to_metric_families(busy.render().decode()))
    assert [(family.name, family.type, family.documentation) for family in families] == [
        # The parser removes _total from a counter's name.
        (metric.name.removesuffix("_total"), metric.type, metric.help)
        for metric in METRICS
    ]
    for metric, family in zip(METRICS, families, strict=True):
        # The parser adds _total to the samples of every counter, also where there was none.
        bare = metric.type == "counter" and not metric.name.endswith("_total")
        expected = {metric.name + "_total"} if bare else set(metric.series())
        assert {sample.name for sample in family.samples} == expected
        assert all(sample.timestamp is None for sample in family.samples)
        assert any(sample.value > 0 for sample in family.samples)


def test_histogram_buckets_are_cumulative_and_their_bounds_inclusive() -> None:
    histogram = Histogram(NoLabels, "h_seconds", "H.", "test", buckets=(0.5, 1.0, 60.0))
    recorder = Recorder([histogram])
    for seconds in (0.5, 0.75, 1.0, 1.5, 61.0, 0):
        recorder.observe(histogram, seconds)
    assert lines(recorder) == [
        "# HELP h_seconds H.",
        "# TYPE h_seconds histogram",
        'h_seconds_bucket{le="0.5"} 2.0',
        'h_seconds_bucket{le="1.0"} 4.0',
        'h_seconds_bucket{le="60.0"} 5.0',
        'h_seconds_bucket{le="+Inf"} 6.0',
        "h_seconds_count 6.0",
        "h_seconds_sum 64.75",
    ]
    assert recorder.value(histogram) == 6


def test_a_new_guest_brings_all_its_series() -> None:
    recorder = Recorder()
    assert only(recorder, "l2_guest_cycles_total") == []
    recorder.inc(GUEST_CYCLES, 15_181, guest="sha256", type="paging")
    recorder.inc(GUEST_CYCLES, 32_768, guest="fibonacci", type="total")
    assert only(recorder, "l2_guest_cycles_total") == [
        'l2_guest_cycles_total{guest="fibonacci",type="user"} 0.0',
        'l2_guest_cycles_total{guest="fibonacci",type="paging"} 0.0',
        'l2_guest_cycles_total{guest="fibonacci",type="total"} 32768.0',
        'l2_guest_cycles_total{guest="sha256",type="user"} 0.0',
        'l2_guest_cycles_total{guest="sha256",type="paging"} 15181.0',
        'l2_guest_cycles_total{guest="sha256",type="total"} 0.0',
    ]


def test_label_values_are_escaped() -> None:
    recorder = Recorder()
    odd = 'a"b\\c\nd'
    recorder.set(BUILD_INFO, 1, version=odd, zkvm="risc0", zkvm_version="3.0.6", receipt_kind="x")
    families = text_string_to_metric_families(recorder.render().decode())
    info = next(family for family in families if family.name == "l2_build_info")
    assert [(sample.labels["version"], sample.value) for sample in info.samples] == [(odd, 1)]


@pytest.mark.parametrize("value", [1, 0.1, 123_456_789, 1e15 + 1, 2.0**70, 1e-9, 1234567.25])
def test_numbers_survive_the_text(value: float) -> None:
    recorder = Recorder()
    recorder.inc(SEGMENTS, value)
    families = text_string_to_metric_families(recorder.render().decode())
    got = [f.samples[0].value for f in families if f.name == "l2_segments"]
    assert got == [value]


# -- what is refused -------------------------------------------------------------------------------


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
        Total("l2_aggregation_duration_seconds", {}, 1),
        Total("l2_aggregation_duration_seconds", {}, 1, (0.1, 1.0), (0, 0, 1)),
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

    def work() -> None:
        for _ in range(10):
            recorder.inc(ERRORS, Slow(1))
            recorder.observe(AGGREGATION_DURATION_SECONDS, Slow(2))
            recorder.merge([Total("l2_segments_total", {}, Slow(3))])
            recorder.render()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert recorder.value(ERRORS) == 40
    assert "l2_aggregation_duration_seconds_sum 80.0" in lines(recorder)
    assert recorder.value(SEGMENTS) == 120
