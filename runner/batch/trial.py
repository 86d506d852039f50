"""A dry run's trial: the leaves' guests are executed, and nothing is proved."""

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
    """

    job_id: int
    cycles: Cycles
    seconds: float
    failure: str = ""

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

    Args:
        batch: the batch.
        prover: the prover.
        jobs: the ids of the leaf jobs to execute.
        threads: the number of leaves that are executed side by side.
    """
    firsts = batch.plan.first_positions()

    def run(job_id: int) -> Executed:
        guest, leaf = batch.program(job_id), batch.leaves[firsts[job_id]]
        clock = time.perf_counter()
        try:
            cycles = prover.run(guest, leaf.stdin, (), ReceiptKind.EXECUTE, 0).cycles
        except ProverError as error:
            return Executed(job_id, Cycles(), time.perf_counter() - clock, shown_line(str(error)))
        return Executed(job_id, cycles, time.perf_counter() - clock)

    with ThreadPoolExecutor(threads, "trial") as pool:
        return list(pool.map(run, jobs))


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
