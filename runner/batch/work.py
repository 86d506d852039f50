"""The work that the leaves of a batch do, in the units of their guests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runner.batch.batch import Batch
    from runner.codec.work import WorkUnit
    from runner.model import Outcome

__all__ = ["WorkDone", "work_done"]


@dataclass(frozen=True, slots=True)
class WorkDone:
    """The work of a batch in one unit.

    Attributes:
        count: the units of all leaves.
        per_s: the units of the leaves that this run has made, each distinct one once, for each
            second of wall time. Those from the cache do not count.
    """

    count: int
    per_s: float


def work_done(
    batch: Batch, outcomes: Mapping[int, Outcome], units: Mapping[str, WorkUnit], wall_s: float
) -> dict[str, WorkDone]:
    """The work of a finished batch, by the name of the unit.

    Args:
        batch: the batch.
        outcomes: the outcomes of all its jobs.
        units: the unit of each guest that has one, by the guest's name.
        wall_s: the seconds from the start of the run to the verified result.
    """
    total = {unit.name: 0 for unit in units.values()}
    made = dict(total)
    seen: set[int] = set()
    for leaf, job in zip(batch.leaves, batch.plan.leaves, strict=True) if units else ():
        unit = units.get(leaf.guest or batch.guest.name)
        if unit is None:
            continue
        outcome = outcomes[job]
        count = unit.count(outcome.journal)
        total[unit.name] += count
        if job not in seen and not outcome.cached:
            made[unit.name] += count
        seen.add(job)
    return {name: WorkDone(count, made[name] / wall_s) for name, count in total.items()}
