"""The figures of runs side by side, and the settings in which the runs differ.

These are pure values. Figures are added up from the rows of the jobs wherever possible, so that a
run that failed has figures too.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from runner.model import is_placement
from runner.report.checked_json import one_line
from runner.text import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.report.find import LostRun
    from runner.report.read import RunRecord, WorkFigures

__all__ = ["Figures", "Runs", "compare", "figures", "units"]

_CHOSEN = ("guest.name", "guest.elf", "guest.count", "guest.inputs", "guest.inputs_file")
"""The settings of a guest that the user chooses."""

_LEAVES = ("guest.count", "guest.inputs", "guest.inputs_file", "guest.default_count")
"""The settings that decide how many leaves there are, which the runs' leaves say already."""


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one run; seconds by phase are summed over workers.

    Attributes:
        name: the path of the run's folder, without the part that all runs have in common.
        run: the run's record.
        settings: the settings in which the run differs from those beside it, by dotted path.
        leaves: the number of leaves, which are the positions of the batch.
        distinct: how many of the leaves differ from each other.
        wall_s: the seconds from the start to the verified result, or to the failure.
        per_s: leaves per second of wall time; None if the run did not succeed.
        level_s: seconds in the prover by level, leaves first; cached jobs count 0.
        lookup_s: seconds in cache look-ups that found a receipt, without its verification.
        verify_s: seconds spent on verifying all receipts.
        leaf_verify_s: seconds that it takes to verify every distinct leaf receipt once.
        made: the number of jobs that were done by a worker.
        cached: the number of jobs whose receipt came from the cache.
        retries: attempts after the first; a failed run knows only those of finished jobs.
        user_cycles: the guest's own cycles in the jobs that were made.
        paging_cycles: the paging cycles in those jobs.
        total_cycles: all cycles in those jobs, with padding.
        bytes_before: the size of all distinct leaf receipts; None without receipts or a result.
        bytes_after: the size of the receipts that are left to ship; None likewise.
        memory_mib: the peak memory of the worker that took the most; None if it is not known.
        workers: the number of workers that did a job.
        busy: the share of the time, from the first job to the last, in which workers had a job.
        gpu_proofs: the number of jobs whose proof a GPU made.
        gpu_s: the seconds for which these jobs had a GPU, summed.
        gpu_errors: the number of jobs in which a GPU failed, so that the CPU made the proof.
    """

    name: str
    run: RunRecord
    settings: dict[str, str]
    leaves: int
    distinct: int
    wall_s: float
    per_s: float | None
    level_s: tuple[float, ...]
    lookup_s: float
    verify_s: float
    leaf_verify_s: float
    made: int
    cached: int
    retries: int
    user_cycles: int
    paging_cycles: int
    total_cycles: int
    bytes_before: int | None
    bytes_after: int | None
    memory_mib: int | None
    workers: int
    busy: float
    gpu_proofs: int
    gpu_s: float
    gpu_errors: int

    @property
    def used_gpus(self) -> bool:
        """Whether a GPU had a part in any of the jobs."""
        return self.gpu_proofs + self.gpu_errors > 0

    @property
    def work(self) -> dict[str, WorkFigures]:
        """The work of the batch by the name of its unit, where its guests count any."""
        return self.run.summary.work if self.run.summary else {}

    @property
    def series(self) -> tuple[tuple[str, str], ...]:
        """The strategy and the differing settings, except those that give the number of leaves."""
        others = [
            (name, value)
            for name, value in self.settings.items()
            if name not in _LEAVES and name != "strategy.name"
        ]
        return ("strategy.name", self.run.plan.strategy), *others

    @property
    def series_name(self) -> str:
        """The series as a text for people."""
        return one_line(", ".join(_spoken(*pair) for pair in self.series), 40)

    @property
    def label(self) -> str:
        """A text that tells the run from the others, for people."""
        return f"{self.leaves:,} leaves, {self.series_name}"


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs side by side. Proved and executed runs are never compared with each other.

    Attributes:
        proved: the runs that make receipts.
        executed: the runs in execute mode, which prove nothing.
        differing: the settings in which any of the runs differ, by dotted path.
        lost: the runs that left no result.
    """

    proved: tuple[Figures, ...]
    executed: tuple[Figures, ...]
    differing: tuple[str, ...]
    lost: tuple[LostRun, ...] = ()

    @property
    def all(self) -> tuple[Figures, ...]:
        """All runs with a result, proved ones first."""
        return self.proved + self.executed


def compare(records: Sequence[RunRecord], lost: Sequence[LostRun] = ()) -> Runs:
    """Put runs side by side, in the order given.

    Args:
        records: the records of the runs that left a result.
        lost: the runs that left none.
    """
    folders = [*(run.folder for run in records), *(run.folder for run in lost)]
    names = _names([str(folder.absolute()) for folder in folders])
    rows: dict[bool, tuple[Figures, ...]] = {}
    for executed in (False, True):
        own = [i for i, record in enumerate(records) if record.executed is executed]
        keys = _differing([records[i].config for i in own])
        rows[executed] = tuple(
            figures(records[i], names[i], {key: records[i].config.get(key, "") for key in keys})
            for i in own
        )
    differing = _differing([record.config for record in records])
    named = [replace(run, name=name) for run, name in zip(lost, names[len(records) :], strict=True)]
    return Runs(rows[False], rows[True], differing, tuple(named))


def units(rows: Sequence[Figures]) -> list[str]:
    """The names of all units of work that any of these runs has, in their order."""
    return list(dict.fromkeys(name for row in rows for name in row.work))


def figures(run: RunRecord, name: str = "", settings: dict[str, str] | None = None) -> Figures:
    """Add up the figures of one run.

    Args:
        run: the run's record.
        name: the name that tells the run from others; empty takes the name of its folder.
        settings: the settings in which the run differs from others.
    """
    plan, jobs, summary = run.plan, run.jobs, run.summary
    made = [job for job in jobs if not job.cached]
    level_s = [0.0] * (plan.levels + 1)
    for job in made:
        level_s[job.level] += job.prove_s
    wall_s = summary.wall_s if summary else max(0.0, run.finished - run.started)
    shipped = None if run.executed or summary is None else summary
    workers = len({job.worker for job in made})
    on_gpus = [job.gpu for job in made if job.gpu is not None]
    return Figures(
        name=name or visible(run.folder.name),
        run=run,
        settings=settings or {},
        leaves=len(plan.leaves),
        distinct=plan.leaf_jobs,
        wall_s=wall_s,
        per_s=len(plan.leaves) / wall_s if summary and wall_s else None,
        level_s=tuple(level_s),
        lookup_s=sum(max(0.0, j.finished - j.started - j.verify_s) for j in jobs if j.cached),
        verify_s=summary.verify_s if summary else sum(job.verify_s for job in jobs),
        leaf_verify_s=sum(
            job.verify_s / job.verifications for job in jobs if not job.level and job.verifications
        ),
        made=len(made),
        cached=len(jobs) - len(made),
        retries=summary.retries if summary else sum(max(0, j.attempts - 1) for j in jobs),
        user_cycles=sum(job.user_cycles for job in made),
        paging_cycles=sum(job.paging_cycles for job in made),
        total_cycles=sum(job.total_cycles for job in made),
        bytes_before=shipped.bytes_before if shipped else None,
        bytes_after=shipped.bytes_after if shipped else None,
        memory_mib=_whole(run.peak_memory_mib.get("largest_worker", "")),
        workers=workers,
        busy=_busy([(job.started, job.finished) for job in made], workers),
        gpu_proofs=sum(not gpu.error for gpu in on_gpus),
        gpu_s=sum(gpu.seconds for gpu in on_gpus),
        gpu_errors=sum(bool(gpu.error) for gpu in on_gpus),
    )


def _whole(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) < 16 else None


def _busy(spans: Sequence[tuple[float, float]], workers: int) -> float:
    if not spans:
        return 0.0
    whole = (max(end for _, end in spans) - min(start for start, _ in spans)) * workers
    return min(1.0, sum(max(0.0, end - start) for start, end in spans) / whole) if whole else 0.0


def _differing(configs: Sequence[dict[str, str]]) -> tuple[str, ...]:
    """The settings that differ between the runs and affect what was done."""
    names = dict.fromkeys(name for config in configs for name in config)
    found = [
        name
        for name in names
        if len({config.get(name, "") for config in configs}) > 1 and not is_placement(name)
    ]
    if "prover.adapter" in found:  # a zkVM's own settings come with it
        own = ("prover.adapter", "prover.kind")
        found = [name for name in found if not name.startswith("prover.") or name in own]
    if "guest.name" in found:  # Its fields, series and journal follow from it.
        found = [name for name in found if not name.startswith("guest.") or name in _CHOSEN]
    return tuple(found)


def _spoken(name: str, value: str) -> str:
    last = name.rpartition(".")[2]
    if last == "_target_":
        return value.rpartition(".")[2]
    short = one_line(value, 24)
    return short if last in {"name", "kind", "adapter"} else f"{last} {short}"


def _names(folders: Sequence[str]) -> list[str]:
    """The paths of folders without the part that they have in common."""
    if len(folders) == 1:
        return [visible(os.path.basename(folders[0]))]  # noqa: PTH119  # may be another machine's
    common = os.path.commonpath(folders)
    return [visible(os.path.relpath(folder, common)) for folder in folders]
