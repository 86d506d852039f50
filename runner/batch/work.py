"""The work that leaves do, in the user's own unit: a field of the guest's journal counts it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runner.batch.batch import Batch
    from runner.codec.reads import Layout
    from runner.model import Outcome

__all__ = ["Unit", "WorkDone", "unit_of", "work_done"]

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of work, e.g. a transfer between two accounts.

    Attributes:
        name: its name for people and in metrics, in the plural.
        field: the field of the journal that counts it.
        journal: what the guest's journal consists of.
    """

    name: str
    field: str
    journal: Layout

    def count(self, journal: bytes) -> int:
        """The units that a journal counts. It is 0 for a journal that does not fit its layout."""
        shown = self.journal.show(journal)
        found = shown.get(self.field) if isinstance(shown, dict) else None
        # Large integers are shown as texts, which every reader of JSON takes as they are.
        return int(found) if isinstance(found, int | str) and str(found).isdecimal() else 0


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


def unit_of(given: object, journal: Layout, field: str) -> Unit | None:
    """Read what a guest's config says of its work; None if it says nothing.

    Args:
        given: the config's ``work``.
        journal: what the guest's journal consists of.
        field: the setting, for errors.

    Raises:
        InputError: it is no unit, or the journal has no such field.
    """
    if given is None:
        return None
    remedy = "give {name: transfers, field: NAME}, with a field of the guest's journal"
    if not isinstance(given, dict) or given.keys() != {"name", "field"}:
        raise InputError(field, given, "is no unit of work", remedy)
    name, counted = given["name"], given["field"]
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        problem = "not a name of small letters, digits and _"
        raise InputError(f"{field}.name", name, problem, "give one like transfers")
    known = [read.name for read in journal.reads if read.name]
    if counted not in known:
        fields = f"its fields are {', '.join(known)}" if known else "guest.journal names no fields"
        raise InputError(f"{field}.field", counted, f"not in the journal: {fields}", remedy)
    return Unit(name, str(counted), journal)


def work_done(
    batch: Batch, outcomes: Mapping[int, Outcome], units: Mapping[str, Unit], wall_s: float
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
