"""The leaf list, ``leaves.jsonl``, and the files of journals that are too large for it."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any, TypeAlias

from runner.files import atomic_write
from runner.folder import JOURNALS, LEAVES, MOST_INLINE_BYTES, JournalFile, compact

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from runner.batch.batch import Batch
    from runner.batch.batch_run import BatchRun
    from runner.codec.reads import Layout
    from runner.model import Leaf

__all__ = ["MissingLeaf", "leaf_lines", "write_leaf_list"]

MissingLeaf: TypeAlias = "tuple[Leaf, str]"
"""A leaf that was asked for and has no journal, and why."""


def write_leaf_list(
    folder: Path,
    batch: Batch,
    batch_run: BatchRun,
    journals: Mapping[str, Layout],
    missing: Sequence[MissingLeaf] = (),
) -> list[str]:
    """Write the leaf list, and each journal that is too large for it as a file of its own.

    Args:
        folder: the output folder of the run.
        batch: the batch that was run.
        batch_run: the run of the batch, with the outcomes of all leaves but the missing ones.
        journals: what the journals of each guest consist of, by the guest's name.
        missing: the leaves that were asked for and have no journal.

    Returns:
        The names of the files that were written, relative to the folder.

    Raises:
        OSError: a file could not be written.
    """
    files: dict[int, JournalFile] = {}
    for job, outcome in batch_run.outcomes.items():
        if job >= batch.plan.leaf_jobs:
            break
        data = outcome.journal
        if len(data) > MOST_INLINE_BYTES:
            (folder / JOURNALS).mkdir(exist_ok=True)
            name = f"{JOURNALS}/job-{job}.bin"
            atomic_write(folder / name, data)
            files[job] = JournalFile.of(name, data)
    lines = leaf_lines(batch, batch_run, journals, files, missing)
    atomic_write(folder / LEAVES, lines)
    return [LEAVES, *(file.file for file in files.values())]


def leaf_lines(
    batch: Batch,
    batch_run: BatchRun,
    journals: Mapping[str, Layout],
    files: dict[int, JournalFile],
    missing: Sequence[MissingLeaf] = (),
) -> Iterator[bytes]:
    """The leaf list: one line of JSON for each leaf that was asked for, in order.

    A leaf without a journal has ``missing``, which says why, in place of what is proved. ``input``
    is the input that the run was asked for. Only what the journal says is proved.

    Args:
        batch: the batch that was run.
        batch_run: the run of the batch, with the outcomes of all leaves.
        journals: what the journals of each guest consist of, by the guest's name.
        files: the files of the large journals, by job id.
        missing: the leaves that were asked for and have no journal.
    """
    lost = {leaf.index for leaf, _ in missing}
    rows = zip(batch.leaves, batch.plan.leaves, strict=True)
    found = ((leaf, job, "") for leaf, job in rows if leaf.index not in lost)
    gaps = ((leaf, -1, reason) for leaf, reason in missing)
    for leaf, job, reason in heapq.merge(found, gaps, key=lambda row: row[0].index):
        line: dict[str, Any] = {
            "index": leaf.index,
            "job": job,
            "guest": leaf.guest or batch.guest.name,
        }
        if job < 0:
            del line["job"]
            line |= {"input": leaf.value, "missing": reason}
        else:
            outcome, file = batch_run.outcomes[job], files.get(job)
            line |= {
                "image_id": outcome.image_id.hex(),
                "input": leaf.value,
                "journal": outcome.journal.hex() if file is None else file.to_json(),
                "shows": (
                    journals[line["guest"]].show(outcome.journal) if file is None else file.shows
                ),
            }
        yield compact(line).encode() + b"\n"
