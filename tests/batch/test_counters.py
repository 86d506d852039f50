"""What the counters of aggregation count: batches, leaves and proofs, made, cached or executed."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING

import pytest

from runner.batch.closing import print_end
from runner.batch.run import run as run_batch
from runner.batch.run_info import RunInfo
from runner.cache.cache import NoCache
from runner.engines.retry import RetryPolicy
from runner.errors import BatchFailedError
from runner.metric_table import METRICS
from runner.model import ReceiptKind, Versions
from runner.plan.strategy import StrategySettings, Thresholds
from tests import builders
from tests.batch.outcomes import metrics
from tests.builders import stdin

if TYPE_CHECKING:
    from runner.batch.settings import Settings
    from runner.batch.summary import Summary
    from tests.fakes.behaviours import Behaviours

REFERENCE = (6, 25, 150, 800)
"""The leaves of the batches that show what is counted in the system the names come from."""

COUNTED = {
    "l2_aggregation_total": 4,
    'l2_aggregation_strategy_total{strategy="single"}': 2,
    'l2_aggregation_strategy_total{strategy="two_level"}': 1,
    'l2_aggregation_strategy_total{strategy="three_level"}': 1,
    "l2_aggregation_proof_count": 981,
}
"""What that system counts for these batches, from ``strategy=auto``."""

SMALLER = (6, 12, 24, 48)
"""Batches for which the thresholds of ``small_batches`` make ``auto`` pick the same strategies."""


def execute(settings: Settings) -> Settings:
    return dataclasses.replace(settings, prover=builders.prover(ReceiptKind.EXECUTE))


def small_batches(settings: Settings) -> Settings:
    thresholds = Thresholds(minimum=6, two_level_from=20, three_level_from=40)
    return dataclasses.replace(settings, strategy=StrategySettings("auto", thresholds, "auto"))


def run_all(settings: Settings, name: str, sizes: tuple[int, ...] = REFERENCE) -> list[Summary]:
    """Run batches of several sizes one after the other, with the reference's if none are given."""
    return [
        run_batch(
            dataclasses.replace(
                settings, count=leaves, output=settings.output.with_name(f"{name}-{leaves}")
            )
        )
        for leaves in sizes
    ]


def moved(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """By how much each series has changed; those that have not are left out."""
    changes = {name: value - before.get(name, 0) for name, value in after.items()}
    return {name: change for name, change in changes.items() if change}


def counters(found: dict[str, float]) -> dict[str, float]:
    """The counters of batches, leaves and proofs, without what is measured in time."""
    return {
        name: value
        for name, value in found.items()
        if name.startswith(("l2_aggregation_", "l2_execut")) and "_duration_" not in name
    }


def test_the_reference_batches_are_four_aggregations_of_981_proofs(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A disk that is busy would take longer for a thousand receipts than all the rest.
    monkeypatch.setattr(os, "fsync", lambda _: None)
    summaries = run_all(dataclasses.replace(settings, cache=NoCache()), "made")
    found = metrics(settings)
    assert {name: found[name] for name in COUNTED} == COUNTED
    assert found["l2_aggregation_made_leaves_total"] == 981
    assert found["l2_aggregation_cached_leaves_total"] == 0
    assert found["l2_aggregation_cached_batches_total"] == 0
    # The proofs of the trees, which are no aggregations of their own, have a counter of their own.
    proofs = sum(summary.aggregations for summary in summaries)
    assert proofs > 4
    assert found["l2_aggregation_proof_generation_total"] == proofs
    assert found["l2_aggregation_proof_generation_duration_seconds_count"] == proofs
    assert found["l2_proof_generation_total"] == 981 + proofs
    spent = sum(summary.aggregate_s for summary in summaries)
    assert found["l2_aggregation_duration_ms_total"] == pytest.approx(1000 * spent)
    wall_s = sum(summary.wall_s for summary in summaries)
    assert found["l2_aggregation_batch_seconds_total"] == pytest.approx(wall_s)
    assert found["l2_tps_average"] == pytest.approx(981 / wall_s)
    assert found["l2_tps_current"] == pytest.approx(800 / summaries[-1].wall_s)
    assert not [name for name in found if name.startswith("l2_execut") and found[name]]


def test_executed_batches_move_no_counter_of_what_was_proved(settings: Settings) -> None:
    run_batch(settings)
    before = metrics(settings)
    summaries = run_all(execute(settings), "executed")
    changed = moved(before, metrics(settings))
    runs = sum(summary.aggregations for summary in summaries)
    expected = {
        "l2_executed_batches_total": 4,
        "l2_executed_leaves_total": 981,
        "l2_executed_aggregations_total": 4,
        "l2_executed_aggregation_runs_total": runs,
        "l2_executions_total": 981 + runs,
        "l2_executed_segments_total": 981 + runs,
    }
    assert {name: changed.get(name) for name in expected} == expected
    assert changed['l2_executed_cycles_total{guest="sha256",type="total"}'] == 981 * 2**14
    assert not proved(settings, changed)


def proved(settings: Settings, changed: dict[str, float]) -> list[str]:
    """The counters and histograms among the series that are not those of execute mode."""
    assert settings.metrics.textfile is not None
    lines = settings.metrics.textfile.read_text().splitlines()
    types = dict(line.split()[2:] for line in lines if line.startswith("# TYPE"))
    families = {name for name, kind in types.items() if kind != "gauge"}
    names = {name: name.partition("{")[0] for name in changed}
    parts = ("_bucket", "_count", "_sum")
    return [
        name
        for name, bare in names.items()
        if (bare in families or any(bare.removesuffix(part) in families for part in parts))
        and not bare.startswith(("l2_executed_", "l2_executions_"))
    ]


def test_an_executed_batch_that_fails_moves_no_counter_of_what_was_proved_either(
    settings: Settings, behaviours: Behaviours
) -> None:
    run_batch(settings)
    before = metrics(settings)
    behaviours.on("transient", stdin=stdin(2))
    failing = dataclasses.replace(
        execute(settings),
        retry=RetryPolicy(2, 0.0, 0.0, 0.0),
        output=settings.output.with_name("failing"),
    )
    with pytest.raises(BatchFailedError):
        run_batch(failing)
    changed = moved(before, metrics(settings))
    assert changed["l2_executed_errors_total"] == 2
    assert changed["l2_executed_retries_total"] == 1
    assert "l2_executed_batches_total" not in changed
    assert not proved(settings, changed)


@pytest.mark.parametrize("kind", [ReceiptKind.COMPOSITE, ReceiptKind.EXECUTE])
def test_every_counter_is_there_from_the_first_run_on_in_whatever_mode(
    kind: ReceiptKind, settings: Settings, behaviours: Behaviours
) -> None:
    """Also when the run fails, so that the first event of every kind is a rise."""
    behaviours.on("fail")
    with pytest.raises(BatchFailedError):
        run_batch(dataclasses.replace(settings, prover=builders.prover(kind)))
    names = {name.partition("{")[0] for name in metrics(settings)}
    missing = {one for metric in METRICS for one in metric.series()} - names
    assert missing == {
        *("l2_gpu_utilization_ratio", "l2_gpu_memory_used_bytes"),
        *("l2_l1_batches", "l2_l1_failures_total", "l2_l1_rpc_errors_total"),  # not without an L1
        "l2_host_jobs",  # not without a cluster
        "l2_last_run_work_per_second",  # not without a guest's unit of work
    }


def test_executed_batches_without_a_root_are_no_aggregations(settings: Settings) -> None:
    run_batch(dataclasses.replace(execute(settings), count=5))
    found = metrics(settings)
    assert (found["l2_executed_batches_total"], found["l2_executed_leaves_total"]) == (1, 5)
    assert found["l2_executed_aggregations_total"] == 0


def test_batches_from_the_cache_are_told_apart_from_those_that_were_made(
    settings: Settings,
) -> None:
    """Each batch has the leaves of the one before it, which are in the cache by then."""
    small = small_batches(settings)
    summaries = run_all(small, "first", SMALLER)
    first = metrics(settings)
    counted = {**COUNTED, "l2_aggregation_proof_count": sum(SMALLER)}
    assert {name: first[name] for name in counted} == counted
    assert first["l2_aggregation_made_leaves_total"] == 48
    assert first["l2_aggregation_cached_leaves_total"] == 6 + 12 + 24
    assert first["l2_tps_current"] == pytest.approx((48 - 24) / summaries[-1].wall_s)
    average = 48 / sum(summary.wall_s for summary in summaries)
    assert first["l2_tps_average"] == pytest.approx(average)

    again = run_all(small, "again", SMALLER)
    assert [summary.made for summary in again] == [0] * 4
    second = metrics(settings)
    assert counters(moved(first, second)) == {"l2_aggregation_cached_batches_total": 4}
    assert second["l2_tps_current"] == 0
    assert second["l2_tps_average"] == pytest.approx(average)
    # The gauges of the result describe it, whoever made it.
    for name in ("l2_gas_savings_percent", 'l2_receipt_bytes{stage="after"}'):
        assert second[name] == first[name] != 0


def test_a_batch_mostly_from_the_cache_shows_the_speed_of_what_it_made(settings: Settings) -> None:
    run_batch(dataclasses.replace(settings, count=29))
    before = metrics(settings)
    one_more = dataclasses.replace(settings, count=30, output=settings.output.with_name("one-more"))
    summary = run_batch(one_more)
    assert (summary.made_leaves, summary.root_made) == (1, True)
    changed, found = moved(before, metrics(settings)), metrics(settings)
    assert found["l2_tps_current"] == pytest.approx(1 / summary.wall_s)
    assert changed["l2_aggregation_total"] == 1
    assert changed["l2_aggregation_proof_count"] == 30
    assert changed["l2_aggregation_made_leaves_total"] == 1
    assert changed["l2_aggregation_cached_leaves_total"] == 29


def test_leaves_that_are_the_same_are_one_proof_made(settings: Settings) -> None:
    same = dataclasses.replace(settings, inputs=["a", "b", "a", "a", "b", "c"], count=None)
    summary = run_batch(same)
    found = metrics(settings)
    assert found["l2_aggregation_proof_count"] == 6
    assert found["l2_aggregation_made_leaves_total"] == 3
    assert found["l2_tps_current"] == pytest.approx(3 / summary.wall_s)


def test_a_batch_that_failed_after_an_aggregation_proof_is_no_aggregation(
    settings: Settings, behaviours: Behaviours
) -> None:
    behaviours.on("fail", stdin=stdin(5))
    failing = dataclasses.replace(
        settings,
        strategy=builders.strategy("two_level", 2),
        executor=builders.executor("continue"),
    )
    with pytest.raises(BatchFailedError):
        run_batch(failing)
    found = metrics(settings)
    assert found["l2_aggregation_proof_generation_total"] == 2
    assert found["l2_aggregation_duration_ms_total"] == 0
    assert not [name for name in COUNTED if found[name]]


@pytest.mark.parametrize(
    ("earlier", "said"),
    [
        (None, "leaf proofs made, measured"),
        (6, "leaf proofs made, measured; 6 more from the cache"),
        (7, "nothing: the root came from the cache"),
    ],
)
def test_the_closing_table_tells_what_was_made(
    earlier: int | None,
    said: str,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    if earlier is not None:
        run_batch(dataclasses.replace(settings, count=earlier))
    last = dataclasses.replace(settings, count=7, output=settings.output.with_name("last"))
    summary = run_batch(last)
    capsys.readouterr()
    print_end(last, RunInfo("r", Versions("fake", "1"), 1, 0.0, 0.0), summary=summary)
    (line,) = [x for x in capsys.readouterr().out.splitlines() if "aggregated per second" in x]
    assert line.rstrip("│ ").endswith(said)
