"""The leaf list, ``leaves.jsonl``, and the files of journals that are too large for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.files import atomic_write
from runner.folder import JOURNALS, LEAVES, MOST_INLINE_BYTES, JournalFile, compact

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runner.batch.batch import Batch
    from runner.batch.batch_run import BatchRun
    from runner.codec.reads import Layout

__all__ = ["leaf_lines", "write_leaf_list"]


def write_leaf_list(folder: Path, batch: Batch, batch_run: BatchRun, journal: Layout) -> list[str]:
    """Write the leaf list, and each journal that is too large for it as a file of its own.

    Args:
        folder: the output folder of the run.
        batch: the batch that was run.
        batch_run: the run of the batch, with the outcomes of all leaves.
        journal: what the guest's journal consists of, by which it is shown.

    Returns:
        The names of the files that were written, relative to the folder.

    Raises:
        OSError: a file could not be written.
    """
    files: dict[int, JournalFile] = {}
    for job in range(batch.plan.leaf_jobs):
        data = batch_run.outcomes[job].journal
        if len(data) > MOST_INLINE_BYTES:
            (folder / JOURNALS).mkdir(exist_ok=True)
            name = f"{JOURNALS}/job-{job}.bin"
            atomic_write(folder / name, data)
            files[job] = JournalFile.of(name, data)
    atomic_write(folder / LEAVES, leaf_lines(batch, batch_run, journal, files))
    return [LEAVES, *(file.file for file in files.values())]


def leaf_lines(
    batch: Batch, batch_run: BatchRun, journal: Layout, files: dict[int, JournalFile]
) -> Iterator[bytes]:
    """The leaf list: one line of JSON for each position in the batch, in order.

    ``input`` is the input that the run was asked for. Only what the journal says is proved.

    Args:
        batch: the batch that was run.
        batch_run: the run of the batch, with the outcomes of all leaves.
        journal: what the guest's journal consists of, by which it is shown.
        files: the files of the large journals, by job id.
    """
    for leaf, job in zip(batch.leaves, batch.plan.leaves, strict=True):
        outcome, file = batch_run.outcomes[job], files.get(job)
        line = {
            "index": leaf.index,
            "job": job,
            "guest": batch.guest.name,
            "image_id": outcome.image_id.hex(),
            "input": leaf.value,
            "journal": outcome.journal.hex() if file is None else file.to_json(),
            "shows": journal.show(outcome.journal) if file is None else file.shows,
        }
        yield compact(line).encode() + b"\n"
