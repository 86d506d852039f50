"""A trial of leaves: their guests are executed, and nothing is proved."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runner.errors import ProverError, shown_line
from runner.model import Cycles, ReceiptKind
from runner.provers.segments import Sized
from runner.text import duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.batch.batch import Batch
    from runner.provers.prover import Prover

__all__ = ["NEEDED_FAILED", "Executed", "Machine", "too_large", "try_leaves", "words"]

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


def too_large(prover: Sized, workers: int, memory: int, cycles: int | None = None) -> str:
    """What to warn of where the segments do not fit into memory; empty where they do.

    Args:
        prover: the prover, whose model of memory is asked.
        workers: the number of proofs that are made side by side.
        memory: the bytes of memory that there are; 0 if that is not known.
        cycles: the padded cycles of the largest segment, or None if that is not known.
    """
    each = prover.proof_bytes(cycles)
    if not memory or each * workers <= memory:
        return ""
    known = "the largest segment takes" if cycles else "a segment of full size takes"
    return (
        f"{known} about {each / 1e9:.1f} GB of memory by the model, {each * workers / 1e9:.1f} GB"
        f" with {workers} workers, and there are {memory / 1e9:.1f} GB: the system may kill some of"
        f" them; lower prover.{prover.size_setting} or executor.workers"
    )


@dataclass(frozen=True, slots=True)
class Machine:
    """What a trial knows of the machine that would prove.

    Attributes:
        prover: the prover.
        workers: the number of proofs that are made side by side.
        memory: the bytes of memory that there are; 0 if that is not known.
        cost: the measured seconds for each padded cycle, and the number of proofs that they were
            measured on; None if none was.
    """

    prover: Prover
    workers: int
    memory: int
    cost: tuple[float, int] | None


def words(batch: Batch, executed: Sequence[Executed], machine: Machine | None) -> list[str]:
    """What a trial has found, one line for each thing.

    Args:
        batch: the batch.
        executed: what the leaves did.
        machine: the machine that would prove, where anything was executed.
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
        if machine is not None:
            lines += [*_memory(most.cycles, machine), _time(total, machine)]
    lines += [f"fails: {batch.name(one.job_id)}: {one.failure}" for one in failed[:_SHOWN]]
    if len(failed) > _SHOWN:
        lines.append(f"fails: {len(failed) - _SHOWN} leaves more, see dry_run.json")
    return lines


def _memory(cycles: Cycles, machine: Machine) -> list[str]:
    """What a proof of the largest run takes, and whether that fits."""
    prover = machine.prover
    if not isinstance(prover, Sized):
        least = prover.worker_bytes
        return [f"a worker takes at least {least / 2**30:.1f} GiB for a proof"] if least else []
    # The segments of a run of several are as large as the settings allow, but for the last one.
    segment = cycles.total if cycles.segments == 1 else None
    each = prover.proof_bytes(segment)
    if not each:
        return []
    warning = too_large(prover, machine.workers, machine.memory, segment)
    fits = f"{machine.workers} workers {each * machine.workers / 2**30:.1f} GiB"
    said = f"a proof of its largest segment takes about {each / 2**30:.1f} GiB by the model, {fits}"
    return [said, *([f"warning: {warning}"] if warning else [])]


def _time(cycles: int, machine: Machine) -> str:
    """What the proofs of so many padded cycles would take, by a model over measured times."""
    if machine.cost is None:
        return "the time of their proofs: not known, since the cache has no measured proof"
    each, proofs = machine.cost
    seconds = cycles * each / machine.workers
    return (
        f"their proofs take about {duration(seconds)} with {machine.workers} workers by a model, in"
        f" which each cycle takes {each * 1e6:.2f} microseconds of a worker, the mean of the newest"
        f" {proofs} proofs of any guest in the cache"
    )
