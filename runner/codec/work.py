"""The unit in which a guest's work is counted, e.g. transfers: a field of the journal counts it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.errors import InputError

if TYPE_CHECKING:
    from runner.codec.reads import Layout

__all__ = ["WorkUnit", "unit_of"]

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


@dataclass(frozen=True, slots=True)
class WorkUnit:
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


def unit_of(given: object, journal: Layout, field: str) -> WorkUnit | None:
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
    return WorkUnit(name, str(counted), journal)
