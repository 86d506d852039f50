"""What has become of the totals of earlier versions of the ledger.

Up to version 1 the counters of aggregations counted the proofs of the trees and not the batches,
and those that were executed as well as those that were proved. What they hold is no number of
aggregations, so it goes on as a number of aggregation proofs, and aggregations start from zero.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runner.metric_kinds import Histogram, Metric, NoLabels
from runner.metric_table import (
    AGGREGATION,
    AGGREGATION_BATCH_SECONDS,
    AGGREGATION_DURATION_MS,
    AGGREGATION_PROOF_GENERATION,
    AGGREGATION_PROOF_GENERATION_DURATION_SECONDS,
    AGGREGATION_STRATEGY,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runner.metrics import Total

__all__ = ["METRICS_OF_1", "from_1", "is_of_1", "totals_from_1"]

METRICS_OF_1: tuple[Metric, ...] = (
    Histogram(
        NoLabels,
        "l2_aggregation_duration_seconds",
        "Wall time of making one aggregation.",
        "wall clock of the prover call in the worker",
        "seconds",
    ),
)
"""The metrics of version 1 that the table has no longer."""

_NAMES_SINCE_1: dict[str, str | None] = {
    AGGREGATION.name: AGGREGATION_PROOF_GENERATION.name,
    METRICS_OF_1[0].name: AGGREGATION_PROOF_GENERATION_DURATION_SECONDS.name,
    # Nothing tells how many batches these were, nor how many of the leaf proofs were made.
    AGGREGATION_STRATEGY.name: None,
    AGGREGATION_DURATION_MS.name: None,
    AGGREGATION_BATCH_SECONDS.name: None,
}
"""The name under which a total of version 1 goes on; None for one that starts again from zero. The
others keep their names."""


def from_1(content: dict[str, Any]) -> dict[str, Any]:
    """Return the content of version 2 for the content of a ledger of version 1."""
    totals = [
        {**row, "name": name}
        for row in content["totals"]
        if (name := _NAMES_SINCE_1.get(row["name"], row["name"])) is not None
    ]
    return {**content, "totals": totals}


def is_of_1(series: Iterable[Total]) -> bool:
    """Say whether a textfile is one of version 1. A textfile has every metric of its version."""
    return AGGREGATION_PROOF_GENERATION.name not in {one.name for one in series}


def totals_from_1(series: Iterable[Total]) -> tuple[Total, ...]:
    """Return the series of version 2 for those of a textfile of version 1."""
    return tuple(
        replace(one, name=name)
        for one in series
        if (name := _NAMES_SINCE_1.get(one.name, one.name)) is not None
    )
