"""What a batch leaves in its output folder, and how it is read back.

======================== =====================================================================
``root.receipt``         the aggregated receipt (``receipts/`` instead for strategy ``none``)
``leaves.jsonl``         one line a leaf: guest, image id, input, journal; what a verifier needs
``result.json``          config, plan, figures of every job, versions, image ids, machine
``SHA256SUMS``           of the files above, for ``sha256sum -c`` and the verifier
``report.html``          where ``report=true``, or in a sweep's folder: a page for people
======================== =====================================================================

A failed run leaves ``result.json`` and, in ``receipts/``, every receipt that was finished.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from runner.files import atomic_write
from runner.journal import show_journal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from runner.batch import Batch, BatchRun

__all__ = [
    "FORMAT",
    "LEAVES",
    "RECEIPTS",
    "REPORT",
    "RESULT",
    "ROOT",
    "SUMS",
    "job_rows",
    "leaf_lines",
    "write_json",
    "write_sums",
]

FORMAT = 1
RESULT = "result.json"
REPORT = "report.html"
LEAVES = "leaves.jsonl"
ROOT = "root.receipt"
RECEIPTS = "receipts"
SUMS = "SHA256SUMS"


def leaf_lines(batch: Batch, run: BatchRun, journal_type: str) -> bytes:
    """The leaf list: one JSON object a batch position, in order.

    ``input`` is what the run was asked for; only what the journal says is proved.
    """
    lines = []
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
        lines.append(json.dumps(line, ensure_ascii=False))
    return ("\n".join(lines) + "\n").encode()


def job_rows(batch: Batch, run: BatchRun) -> list[dict[str, Any]]:
    """Figures of every finished job, by id."""
    rows = []
    for job_id, outcome in sorted(run.outcomes.items()):
        aggregates = job_id >= batch.plan.leaf_jobs
        rows.append(
            {
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
        )
    return rows


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write JSON durably and readably. Raises OSError."""
    atomic_write(path, (json.dumps(data, indent=1, ensure_ascii=False) + "\n").encode())


def write_sums(folder: Path, names: Iterable[str]) -> None:
    """Write ``SHA256SUMS`` over files in ``folder``, named relative to it. Raises OSError."""
    lines = [
        f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n"
        for name in sorted(names)
    ]
    atomic_write(folder / SUMS, "".join(lines).encode())
