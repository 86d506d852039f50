"""The check finds what is wrong with expressions that Prometheus itself would take."""

from __future__ import annotations

import pytest

from runner.alerts.promql import Matcher, Reference, problems, read
from runner.metric_table import METRICS


def test_every_kind_of_use_is_seen() -> None:
    found = read(
        "sum by (job) (rate(l2_errors_total{job=~\"a|b\", instance!='x'}[5m])) # rate(no)\n"
        " / on (instance) group_left l2_tps_current offset 5m > bool 1e3 or vector(0)"
    )
    matchers = (Matcher("job", "=~", "a|b"), Matcher("instance", "!=", "x"))
    assert found.references == (
        Reference("l2_errors_total", matchers, "[5m]", "rate"),
        Reference("l2_tps_current", (), "", ""),
    )
    assert found.grouping == {"job", "instance"}
    assert found.functions == {"sum", "rate", "vector"}


@pytest.mark.parametrize(
    "good",
    [
        "increase(l2_errors_total[1m]) > 10",
        "avg_over_time(l2_tps_current[5m]) < 100",
        "last_over_time(l2_errors_total[5m])",
        'l2_receipt_bytes{stage="before",job="node"}',
        'l2_guest_cycles_total{guest="anything"}',
        "sum(l2_errors_total) by (job)",
        "sum without (instance) (l2_aggregation_proof_count)",
        "histogram_quantile(0.9, sum by (le) (l2_proof_verification_duration_seconds_bucket))",
        "rate(l2_proof_verification_duration_seconds_bucket[5m])",
        "rate(l2_proof_verification_duration_seconds_count[5m])",
    ],
)
def test_right_expressions(good: str) -> None:
    assert problems(good, METRICS) == []


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        ("rate(l2_tps_current[5m])", "l2_tps_current is a gauge: rate() is for counters"),
        ("increase(l2_cache_hit_rate[5m])", "is a gauge"),
        ("avg_over_time(l2_errors_total[5m])", "is a counter: avg_over_time() is for gauges"),
        ("deriv(l2_proof_verification_duration_seconds_sum[5m])", "is a histogram"),
        ("rate(l2_errors_total)", "rate without a range"),
        ("l2_errors_total[5m]", "no function with a range"),
        ("sum(l2_errors_total[5m])", "sum with a range"),
        ("l2_error_total", "no metric l2_error_total in the table"),
        (
            "l2_proof_verification_duration_seconds",
            "no metric l2_proof_verification_duration_seconds",
        ),
        ('l2_errors_total{strategy="single"}', "l2_errors_total has no label strategy"),
        ('l2_errors_total{le="1"}', "has no label le"),
        ('l2_aggregation_strategy_total{strategy="auto"}', "strategy is never 'auto'"),
        ("sum by (strategy) (l2_errors_total)", "groups by strategy"),
        (
            "histogram_quantile(0.9, sum by (job) (l2_proof_verification_duration_seconds_bucket))",
            "needs the label le",
        ),
        ("time()", "names no metric"),
        ("sum(l2_errors_total", "a bracket is not closed"),
        ("sum(l2_errors_total))", "a bracket is closed"),
        ('{job="a"}', "need a metric's name"),
        ("l2_errors_total{job}", "cannot be read"),
        ('l2_errors_total{job="a"', "cannot be read"),
        ("sum by (job", "not closed"),
        ("l2_errors_total ; drop", "cannot be read from"),
    ],
)
def test_wrong_expressions(bad: str, problem: str) -> None:
    assert any(problem in found for found in problems(bad, METRICS)), problems(bad, METRICS)
