"""What a batch leaves in its output folder, and how it is read back.

======================== =====================================================================
``root.receipt``         the aggregated receipt (``receipts/`` instead for strategy ``none``)
``leaves.jsonl``         one line a leaf: guest, image id, input, journal; what a verifier needs
``result.json``          config, plan, figures of every job, versions, image ids, machine
``SHA256SUMS``           of the files above, for ``sha256sum -c`` and the verifier
``report.html``          where ``report=true``, or in a sweep's folder: a page for people
======================== =====================================================================

The second and third are written as they are made: with a million leaves they are gigabytes.

A failed run leaves ``result.json`` and, in ``receipts/``, every receipt that was finished.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeGuard

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
    "sha256",
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
        yield _compact(line).encode() + b"\n"


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


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write JSON durably and readably. Raises OSError.

    Args:
        path: target in an existing folder.
        data: JSON values; iterators become lists, one item at a time.
    """
    atomic_write(path, (piece.encode() for piece in itertools.chain(_pieces({**data}), "\n")))


def _pieces(value: object, margin: str = "\n") -> Iterator[str]:
    """Objects and lists of them with an entry a line; everything else, and each row, on one line.

    `json.dumps(indent=...)` would be slower by far: only its other form is written in C.
    """
    inner = margin + " "
    if isinstance(value, dict) and value and all(isinstance(key, str) for key in value):
        for number, (key, entry) in enumerate(value.items()):
            yield f"{',' if number else '{'}{inner}{_compact(key)}: "
            yield from _pieces(entry, inner)
        yield margin + "}"
    elif _is_rows(value):
        yield "["
        for number, row in enumerate(value):
            yield f"{',' if number else ''}{inner}{_compact(row)}"
        yield margin + "]"
    else:
        yield _compact(value)


def _is_rows(value: object) -> TypeGuard[Iterable[object]]:
    rows = isinstance(value, list) and bool(value) and isinstance(value[0], dict)
    return rows or isinstance(value, Iterator)


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def write_sums(folder: Path, names: Iterable[str]) -> None:
    """Write ``SHA256SUMS`` over files in ``folder``, named relative to it. Raises OSError."""
    lines = [f"{sha256(folder / name)}  {name}\n" for name in sorted(names)]
    atomic_write(folder / SUMS, "".join(lines).encode())


def sha256(path: Path) -> str:
    """A file's SHA-256 in hex. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
