"""The leaves of a batch on disk, because a batch may have a million of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Self, overload

from runner.model import Leaf
from runner.records import Records

__all__ = ["LeafRecords"]


class LeafRecords(Sequence[Leaf]):
    """Leaves in the order in which they were added, each made anew whenever it is asked for."""

    def __init__(self) -> None:
        self._records = Records()

    @classmethod
    def of(cls, leaves: Iterable[Leaf]) -> Self:
        """Keep leaves. Raises OSError."""
        kept = cls()
        for leaf in leaves:
            head = json.dumps([leaf.index, leaf.guest, leaf.assumptions, leaf.value])
            kept._records.append(head.encode() + b"\n" + leaf.stdin)
        return kept

    def __len__(self) -> int:
        """The number of leaves."""
        return len(self._records)

    @overload
    def __getitem__(self, at: int) -> Leaf: ...

    @overload
    def __getitem__(self, at: slice) -> list[Leaf]: ...

    def __getitem__(self, at: int | slice) -> Leaf | list[Leaf]:
        """A leaf, or a list of them. Raises OSError."""
        if isinstance(at, slice):
            return [self[one] for one in range(*at.indices(len(self)))]
        head, _, stdin = self._records[at].partition(b"\n")
        index, guest, assumptions, value = json.loads(head)
        return Leaf(index, value, stdin, guest, assumptions)
