"""A batch under a strategy that somebody adds runs to its end, and is counted like the others."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from runner.batch.run import run as run_batch
from runner.metric_table import AGGREGATION, AGGREGATION_PROOF_GENERATION, AGGREGATION_STRATEGY
from runner.model import Aggregation
from runner.monitoring.ledger import Ledger
from runner.plan.plan import Plan
from runner.plan.strategy import STRATEGIES, Strategy
from tests import builders

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from runner.batch.settings import Settings


def halves(name: str, leaves: Sequence[int], sizes: Sequence[int]) -> Plan:
    """The first half and the second half of the batch, and a root over both."""
    first, middle = max(leaves) + 1, len(leaves) // 2
    root = Aggregation(first + 2, 2, (first, first + 1))
    made = (
        Aggregation(first, 1, tuple(leaves[:middle])),
        Aggregation(first + 1, 1, tuple(leaves[middle:])),
        root,
    )
    return Plan(name, tuple(leaves), first, made, root.id)


def counted(settings: Settings) -> list[str]:
    """The lines of the textfile that count aggregations by strategy, in order."""
    assert settings.metrics.textfile is not None
    lines = settings.metrics.textfile.read_text().splitlines()
    return [line for line in lines if line.startswith("l2_aggregation_strategy_total{")]


def test_an_added_strategy_is_counted_and_its_total_is_kept(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = dataclasses.replace(settings, strategy=builders.strategy("halves"))
    with monkeypatch.context() as patch:
        patch.setitem(STRATEGIES, "halves", Strategy(grouping_levels=1, shape=halves))
        summary = run_batch(added)
    assert (summary.strategy, summary.leaves, summary.made) == ("halves", 6, 9)
    # Those that are there from the start come first, as before.
    single, two_level, three_level = (
        f'l2_aggregation_strategy_total{{strategy="{name}"}}'
        for name in ("single", "two_level", "three_level")
    )
    last = 'l2_aggregation_strategy_total{strategy="halves"} 1.0'
    assert counted(settings) == [f"{single} 0.0", f"{two_level} 0.0", f"{three_level} 0.0", last]

    # A later run of an installation without it keeps and shows what was counted.
    later = dataclasses.replace(settings, output=settings.output.with_name("later"))
    assert run_batch(later).strategy == "single"
    assert counted(settings) == [f"{single} 1.0", f"{two_level} 0.0", f"{three_level} 0.0", last]
    assert settings.metrics.ledger is not None
    totals = Ledger(settings.metrics.ledger).read()
    assert totals.value(AGGREGATION_STRATEGY, strategy="halves") == 1
    assert totals.value(AGGREGATION) == 2
    assert totals.value(AGGREGATION_PROOF_GENERATION) == 4
