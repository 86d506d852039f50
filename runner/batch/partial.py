"""A batch of which some leaves have failed: what is missing, and the batch of what is left."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from runner.plan.plan import distinct

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from runner.batch.batch import Batch
    from runner.errors import JobFailedError
    from runner.model import Leaf
    from runner.plan.plan import Plan

__all__ = ["Rest", "failure_rows", "missing_leaves", "rest_of"]


@dataclass(frozen=True, slots=True)
class Rest:
    """What is left of a batch without the leaves that have failed.

    Attributes:
        batch: the batch of the other leaves, which keep their numbers.
        jobs: the job id in the first plan of each leaf job of this batch, by its id. The ids keep
            their order, and none is larger than it was.
    """

    batch: Batch
    jobs: tuple[int, ...]


def rest_of(
    batch: Batch, done: Collection[int], plan: Callable[[Sequence[int]], Plan]
) -> Rest | None:
    """Return what is left of a batch, or None where no leaf has failed or none is left.

    Args:
        batch: the batch.
        done: the ids of the jobs that have finished.
        plan: a function that makes the plan over the leaf job ids of the positions in a batch.
    """
    rows = list(zip(batch.leaves, batch.plan.leaves, strict=True))
    kept = [(leaf, job) for leaf, job in rows if job in done]
    if not kept or len(kept) == len(rows):
        return None
    positions, _ = distinct(job for _, job in kept)
    jobs = tuple(dict.fromkeys(job for _, job in kept))
    new = {old: job for job, old in enumerate(jobs)}
    # What has finished needed only what has finished.
    needs = tuple(tuple(new[need] for need in batch.plan.children(old)) for old in jobs)
    left = replace(plan(positions), needs=needs if any(needs) else ())
    received = {new[old]: one for old, one in batch.assumptions.items() if old in new}
    leaves = [leaf for leaf, _ in kept]
    return Rest(replace(batch, leaves=leaves, plan=left, assumptions=received), jobs)


def missing_leaves(
    batch: Batch, done: Collection[int], failures: Mapping[int, JobFailedError]
) -> list[tuple[Leaf, str]]:
    """The leaves of a batch that have no journal, each with the reason.

    Args:
        batch: the batch as it was asked for.
        done: the ids of the jobs that have finished.
        failures: the failures of the jobs that have failed for good, by job id.
    """
    return [
        (leaf, failures[job].reason if job in failures else "not run")
        for leaf, job in zip(batch.leaves, batch.plan.leaves, strict=True)
        if job not in done
    ]


def failure_rows(batch: Batch, failures: Mapping[int, JobFailedError]) -> list[dict[str, Any]]:
    """What the record says of the jobs that have failed for good.

    Args:
        batch: the batch whose jobs they are.
        failures: their failures, by job id.
    """
    leaves: dict[int, list[int]] = {job: [] for job in failures}
    for leaf, job in zip(batch.leaves, batch.plan.leaves, strict=True):
        if job in leaves:
            leaves[job].append(leaf.index)
    return [
        {
            "name": failure.job,
            "leaves": leaves[job],
            "attempts": failure.attempts,
            "reason": failure.reason,
        }
        for job, failure in sorted(failures.items())
    ]
