"""What leaves need of each other: the leaves whose receipts their guests verify."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Needs", "check_needs", "needed_by", "stuck_leaf", "waves"]

Needs: TypeAlias = "Sequence[Sequence[int]]"
"""For each leaf job, the leaf jobs that it needs; empty if no leaf needs any."""


def needed_by(needs: Needs) -> dict[int, list[int]]:
    """The leaf jobs that need each leaf job, where there are any."""
    found: dict[int, list[int]] = {}
    for leaf, needed in enumerate(needs):
        for other in needed:
            found.setdefault(other, []).append(leaf)
    return found


def waves(needs: Needs) -> list[list[int]]:
    """The leaf jobs in waves: those of each need leaves of the waves before it only.

    Leaves that need each other in a cycle are in none.
    """
    parents = needed_by(needs)
    missing = [len(needed) for needed in needs]
    found = [[leaf for leaf, count in enumerate(missing) if not count]]
    while found[-1]:
        found.append([])
        for done in found[-2]:
            for leaf in parents.get(done, ()):
                missing[leaf] -= 1
                if not missing[leaf]:
                    found[-1].append(leaf)
    return found[:-1]


def stuck_leaf(needs: Needs) -> int | None:
    """A leaf job that needs itself, by way of those that it needs; None if there is none."""
    fine = {leaf for wave in waves(needs) for leaf in wave}
    return next((leaf for leaf in range(len(needs)) if leaf not in fine), None)


def check_needs(needs: Needs, leaf_jobs: int) -> None:
    """Check what a plan says that leaves need of each other, which may be anybody's word.

    Raises:
        ValueError: it is not said of each leaf job, once and of leaf jobs only, or it is a cycle.
    """
    if not needs:
        return
    if len(needs) != leaf_jobs or not any(needs):
        raise ValueError("needs are not those of each leaf job")
    for leaf, needed in enumerate(needs):
        if len(set(needed)) != len(needed) or not all(0 <= one < leaf_jobs for one in needed):
            raise ValueError(f"leaf {leaf} needs a leaf twice, or one that there is not")
    if (stuck := stuck_leaf(needs)) is not None:
        raise ValueError(f"leaf {stuck} needs itself, by way of the leaves that it needs")
