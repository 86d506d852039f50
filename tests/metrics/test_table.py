"""The metrics contract: names and types, and which series are there from the start."""

from __future__ import annotations

import re

import pytest

from runner import metric_table
from runner.metric_kinds import Histogram, Metric
from runner.metric_table import CONTRACT, METRICS
from tests.metrics.recorders import EXTRA_NAMES, NAMES


def test_names_and_types_are_the_contract() -> None:
    assert {metric.name: metric.type for metric in CONTRACT} == NAMES
    assert {metric.name: metric.type for metric in METRICS} == {**NAMES, **EXTRA_NAMES}
    assert len(METRICS) == len(NAMES) + len(EXTRA_NAMES)
    assert len(NAMES) == 19


def test_series_names_do_not_meet() -> None:
    series = [name for metric in METRICS for name in metric.series()]
    assert len(series) == len(set(series))
    assert "l2_aggregation_proof_generation_duration_seconds_bucket" in series


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
