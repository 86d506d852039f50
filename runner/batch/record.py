"""What a finished run puts on record: the leaf list and the rows of its jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runner.folder import compact
from runner.plan.journal import show_journal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runner.batch.attempt import BatchRun
    from runner.batch.batch import Batch

__all__ = ["job_rows", "leaf_lines"]


def leaf_lines(batch: Batch, run: BatchRun, journal_type: str) -> Iterator[bytes]:
    """The leaf list: one JSON object a batch position, in order.

    ``input`` is what the run was asked for; only what the journal says is proved.
    """
    for leaf, job in zip(batch.leaves, batch.plan.leaves, strict=True):
        outcome = run.outcomes[job]
        line = {
            "index": leaf.index,
            "job": job,
            "guest": batch.guest.name,
            "image_id": outcome.image_id.hex(),
            "input": leaf.value,
            "journal": outcome.journal.hex(),
            "shows": show_journal(journal_type, outcome.journal),
        }
        yield compact(line).encode() + b"\n"


def job_rows(batch: Batch, run: BatchRun) -> Iterator[dict[str, Any]]:
    """Figures of every finished job, by id."""
    for job_id in sorted(run.outcomes):
        outcome = run.outcomes[job_id]
        aggregates = job_id >= batch.plan.leaf_jobs
        yield {
            "id": job_id,
            "name": batch.name(job_id),
            "guest": batch.program(job_id).name,
            "level": batch.plan.aggregation(job_id).level if aggregates else 0,
            "kind": outcome.kind.value,
            "cached": outcome.cached,
            "attempts": outcome.attempts,
            "worker": outcome.worker,
            "started": outcome.started,
            "finished": outcome.finished,
            "prove_s": outcome.prove_s,
            "verify_s": outcome.verify_s,
            "verifications": outcome.verifications,
            "user_cycles": outcome.cycles.user,
            "paging_cycles": outcome.cycles.paging,
            "total_cycles": outcome.cycles.total,
            "segments": outcome.cycles.segments,
            "receipt_bytes": run.receipt_bytes.get(job_id, 0),
        }
