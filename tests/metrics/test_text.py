"""The text that a recorder renders, as Prometheus' own parsers read it."""

from __future__ import annotations

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from runner.metric_kinds import Histogram, NoLabels
from runner.metric_table import (
    AGGREGATION_PROOF_COUNT,
    BUILD_INFO,
    GUEST_CYCLES,
    L1_SUBMISSION_GAS_USED,
    METRICS,
    SEGMENTS,
)
from runner.metrics import Recorder
from tests.metrics.recorders import DURATION, NAMES, lines, only


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
    for name in (
        "l2_aggregation_proof_generation_duration_seconds",
        "l2_proof_verification_duration_seconds",
    ):
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
