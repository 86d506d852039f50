"""A trial of leaves: their guests are executed, and nothing is proved."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runner.errors import ProverError, shown_line
from runner.model import Cycles, ReceiptKind
from runner.text import duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.batch.batch import Batch
    from runner.provers.prover import Prover

__all__ = ["Executed", "try_leaves", "words"]

NEEDED_FAILED = "needed_failed"
"""The code of a leaf that was not executed because one that it needs has failed."""

_SHOWN = 8
"""The most failed leaves that are named in words."""


@dataclass(frozen=True, slots=True)
class Executed:
    """What one leaf did when it was executed.

    Attributes:
        job_id: the id of the leaf's job in the plan.
        cycles: the cycle counts of the run; zeros where it failed.
        seconds: the wall seconds that the execution took.
        failure: why the guest failed; empty if it did not.
        code: the failure as a name for machines; empty if it did not fail.
        journal: what the guest committed; None if it failed.
    """

    job_id: int
    cycles: Cycles
    seconds: float
    failure: str = ""
    code: str = ""
    journal: bytes | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what ``dry_run.json`` says of the leaf."""
        return {
            "user_cycles": self.cycles.user,
            "paging_cycles": self.cycles.paging,
            "total_cycles": self.cycles.total,
            "segments": self.cycles.segments,
            "execute_s": self.seconds,
            "failure": self.failure or None,
        }


def try_leaves(batch: Batch, prover: Prover, jobs: Sequence[int], threads: int) -> list[Executed]:
    """Execute leaves of a batch in this process.

    A leaf that needs others gets their claims without receipts. The others are executed as well.

    Args:
        batch: the batch.
        prover: the prover.
        jobs: the ids of the leaf jobs to execute.
        threads: the number of leaves that are executed side by side.

    Returns:
        What each of the jobs did, in their order.
    """
    firsts = batch.plan.first_positions()
    done: dict[int, Executed] = {}

    def run(job_id: int) -> Executed:
        missing = [need for need in batch.plan.children(job_id) if done[need].journal is None]
        if missing:
            needed = f"{batch.name(missing[0])}, which it needs, fails"
            return Executed(job_id, Cycles(), 0.0, needed, NEEDED_FAILED)
        job = batch.job(job_id, firsts, lambda need: done[need].journal or b"")
        clock = time.perf_counter()
        try:
            proof = prover.run(job.guest, job.stdin, job.children, ReceiptKind.EXECUTE, 0)
        except ProverError as error:
            took = time.perf_counter() - clock
            return Executed(job_id, Cycles(), took, shown_line(str(error)), error.code)
        took = time.perf_counter() - clock
        return Executed(job_id, proof.cycles, took, journal=proof.journal)

    wanted = set(jobs)
    waves = batch.plan.leaf_waves()
    for wave in reversed(waves[1:]):
        wanted.update(need for job in wave if job in wanted for need in batch.plan.children(job))
    with ThreadPoolExecutor(threads, "trial") as pool:
        for wave in waves:
            todo = [job for job in wave if job in wanted]
            done.update(zip(todo, pool.map(run, todo), strict=True))
    return [done[job] for job in jobs]


def words(batch: Batch, executed: Sequence[Executed], worker_bytes: int) -> list[str]:
    """What a trial has found, one line for each thing.

    Args:
        batch: the batch.
        executed: what the leaves did.
        worker_bytes: the least memory that a worker takes for a proof; 0 if that is not known.
    """
    done = [one for one in executed if not one.failure]
    failed = [one for one in executed if one.failure]
    lines = []
    if done:
        total = sum(one.cycles.total for one in done)
        segments = sum(one.cycles.segments for one in done)
        seconds = sum(one.seconds for one in done)
        lines.append(
            f"executed: {len(done)} leaves, {total:,} cycles in {segments:,} segments to prove,"
            f" {duration(seconds)} in execution"
        )
        most = max(done, key=lambda one: one.cycles.total)
        lines.append(
            f"the largest: {batch.name(most.job_id)}, {most.cycles.total:,} cycles in"
            f" {most.cycles.segments:,} segments"
        )
    if done and worker_bytes:
        lines.append(f"a worker takes at least {worker_bytes / 2**30:.1f} GiB for a proof")
    lines += [f"fails: {batch.name(one.job_id)}: {one.failure}" for one in failed[:_SHOWN]]
    if len(failed) > _SHOWN:
        lines.append(f"fails: {len(failed) - _SHOWN} leaves more, see dry_run.json")
    return lines
