"""What a dry run says: a table and sentences for people, and JSON for machines."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from rich.table import Table

from runner.batch.forecast import Decision, MeasuredTimes, Reason
from runner.batch.trial import words
from runner.model import ReceiptKind
from runner.plan.time_left import TimeLeft
from runner.text import duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.batch.afterwards import Afterwards
    from runner.batch.batch import Batch
    from runner.batch.trial import Executed, Machine
    from runner.cache.cache import Cache
    from runner.model import Versions

__all__ = ["DryRunReport", "Level", "sentences", "table"]

FORMAT = 1
"""The version of the format of ``dry_run.json``."""

_SHOWN = 8
"""The most jobs that a sentence names."""

_JOINED = {ReceiptKind.SUCCINCT, ReceiptKind.GROTH16}
"""The kinds of receipt for which those of segments are joined."""


@dataclass(frozen=True, slots=True)
class Level:
    """What a dry run says of one level of the plan.

    Attributes:
        number: the number of the level, which is 0 for the leaves.
        jobs: the number of jobs in the level.
        fan_in: the least and the largest number of children of its aggregations; None for leaves.
        hits: the number of jobs whose proofs are in the cache and verify.
        prove: the number of jobs that must be proved, or executed in execute mode.
        open: the number of jobs of which it is not known yet whether they must be proved.
        measured: the times of proofs like those of the jobs that are not hits, one for each number
            of children.
        each_s: the mean seconds that such a job is expected to take, or None if there is a job
            whose like was never measured.
    """

    number: int
    jobs: int
    fan_in: tuple[int, int] | None
    hits: int
    prove: int
    open: int
    measured: tuple[MeasuredTimes, ...]
    each_s: float | None


@dataclass(frozen=True)
class DryRunReport:
    """All that a dry run has found out.

    Attributes:
        requested: the name of the strategy as the user asked for it.
        cache: the cache that the run would use. It is not open.
        workers: the number of jobs that the engine runs side by side.
        batch: the batch that would be run.
        versions: the versions of the zkVM that would prove.
        decisions: what becomes of each job, by job id.
        measured: the times of proofs like each job's, by job id; None where none was measured.
        without_origin: the number of entries in the cache that do not say what they were made from.
        executed: what the leaves did that the dry run has executed.
        machine: the machine that would prove, where leaves were executed.
        afterwards: what would become of the root on an L1; None without one.
    """

    requested: str
    cache: Cache
    workers: int
    batch: Batch
    versions: Versions
    decisions: Sequence[Decision]
    measured: Sequence[MeasuredTimes | None]
    without_origin: int
    executed: Sequence[Executed] = ()
    machine: Machine | None = None
    afterwards: Afterwards | None = None

    @cached_property
    def levels(self) -> list[Level]:
        """The levels of the plan, from the leaves up."""
        plan = self.batch.plan
        jobs: list[list[int]] = [list(range(plan.leaf_jobs))]
        jobs += [[] for _ in range(plan.levels)]
        for aggregation in plan.aggregations:
            jobs[aggregation.level].append(aggregation.id)
        return [self._level(number, ids) for number, ids in enumerate(jobs)]

    @cached_property
    def expected(self) -> tuple[float, bool] | None:
        """The seconds that the run would take, and whether all levels are counted in them.

        It is computed from measured times, and None if nothing is left to prove or nothing of what
        is left was ever measured. A job counts as if it had to be proved where that is not known.
        """
        left = TimeLeft(
            self.batch.plan,
            self.workers,
            {level.number: level.each_s for level in self.levels if level.each_s is not None},
        )
        for decision in self.decisions:
            if decision.reason is Reason.HIT:
                left.finished(decision.job_id, None)
        estimate = left.estimate(0.0)
        if estimate.seconds is None or not estimate.jobs:
            return None
        return estimate.seconds, estimate.complete

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values, as ``dry_run.json`` holds them."""
        batch = self.batch
        executed = {one.job_id: one.to_json() for one in self.executed}
        cost = self.machine.cost if self.machine else None
        return {
            "format": FORMAT,
            "dry_run": True,
            "guest": batch.guest_names,
            "kind": batch.prover.kind.value,
            "image_ids": {g.name: g.image_id.hex() for g in batch.guests},
            "versions": asdict(self.versions),
            "leaves": len(batch.leaves),
            "requested": self.requested,
            "plan": batch.plan.to_json(),
            "cache": self.cache.place,
            "cache_entries_without_origin": self.without_origin,
            "workers": self.workers,
            "prover_settings": dict(batch.prover.settings),
            "levels": [asdict(level) for level in self.levels],
            "expected_s": self.expected[0] if self.expected else None,
            "seconds_per_cycle": cost[0] if cost else None,
            "l1": None if self.afterwards is None else self.afterwards.to_json(),
            "expected_is_all": bool(self.expected and self.expected[1]),
            "jobs": [
                self._row(decision) | executed.get(decision.job_id, {})
                for decision in self.decisions
            ],
        }

    def _row(self, decision: Decision) -> dict[str, Any]:
        measured = self.measured[decision.job_id]
        hit = decision.reason is Reason.HIT
        return {
            "id": decision.job_id,
            "name": self.batch.name(decision.job_id),
            "kind": self.batch.kind(decision.job_id).value,
            "why": decision.reason.value,
            "detail": decision.detail,
            "differs": list(decision.differs),
            "waits_for": list(decision.waits_for),
            "key": decision.key,
            "expected_s": None if hit or measured is None else measured.mean_s,
        }

    def _level(self, number: int, ids: Sequence[int]) -> Level:
        plan = self.batch.plan
        reasons = [self.decisions[job].reason for job in ids]
        sizes = [len(plan.aggregation(job).children) for job in ids] if number else []
        left = [self.measured[job] for job in ids if self.decisions[job].reason is not Reason.HIT]
        known = [measured for measured in left if measured is not None]
        all_known = known and len(known) == len(left)
        hits, later = reasons.count(Reason.HIT), reasons.count(Reason.CHILDREN_FIRST)
        return Level(
            number=number,
            jobs=len(ids),
            fan_in=(min(sizes), max(sizes)) if sizes else None,
            hits=hits,
            prove=len(ids) - hits - later,
            open=later,
            measured=tuple(dict.fromkeys(known)),
            each_s=sum(m.mean_s for m in known) / len(known) if all_known else None,
        )


def table(report: DryRunReport) -> Table:
    """Return a table of the plan and of what is known of each level."""
    executes = report.batch.prover.kind is ReceiptKind.EXECUTE
    grid = Table(title="Dry run: nothing is proved or changed", title_justify="left")
    grid.add_column("")
    for name in ("jobs", "fan-in", "from cache", "to execute" if executes else "to prove"):
        grid.add_column(name, justify="right")
    grid.add_column("not known yet", justify="right")
    for level in report.levels:
        low, high = level.fan_in or (0, 0)
        grid.add_row(
            _name(level),
            str(level.jobs),
            "" if not low else str(low) if low == high else f"{low} to {high}",
            *(str(count) for count in (level.hits, level.prove, level.open)),
        )
    return grid


def sentences(report: DryRunReport) -> list[str]:
    """Return what the table does not say, one line for each thing."""
    lines = _of_jobs(report)
    return lines if report.afterwards is None else [*lines, *report.afterwards.sentences()]


def _of_jobs(report: DryRunReport) -> list[str]:
    batch, plan = report.batch, report.batch.plan
    picked = f" (picked by {report.requested})" if report.requested != plan.strategy else ""
    kind = batch.prover.kind
    what = "executed only" if kind is ReceiptKind.EXECUTE else f"{kind.value} receipts"
    segments = dict(batch.prover.settings).get("segment_po2")
    lines = [f"{_leaves(batch)}, strategy {plan.strategy}{picked}, {plan.jobs} jobs; {what}"]
    lines += words(batch, report.executed, report.machine)
    if segments is not None:
        lines.append(
            f"segments of at most 2^{segments} cycles; how many a run has is known when it has been"
            " executed, and each of several is proved by a job of its own"
            + (", as are the lifts and joins of their receipts" if kind in _JOINED else "")
        )
    reasons: defaultdict[str, list[int]] = defaultdict(list)
    for decision in report.decisions:
        if decision.reason not in {Reason.HIT, Reason.NOT_LOOKED_UP}:
            reasons[_reason_text(decision)].append(decision.job_id)
    for reason, jobs in reasons.items():
        names = [batch.name(job) for job in jobs[:_SHOWN]]
        more = f" and {len(jobs) - _SHOWN} more" if len(jobs) > _SHOWN else ""
        lines.append(f"{reason}: {', '.join(names)}{more}")
    if report.without_origin and any(d.reason is Reason.NO_ENTRY for d in report.decisions):
        lines.append(
            f"{report.without_origin} entries of the cache do not say what they were made from"
            " (an earlier version made them): one of them may be for the same input"
        )
    if kind is ReceiptKind.EXECUTE:
        return [*lines, "nothing is looked up, and how long executions took is not kept"]
    if not report.cache.keeps:
        return [*lines, "nothing is looked up (cache=off), and no earlier times are known"]
    for level in report.levels:
        if level.hits < level.jobs:
            one = f"an aggregation of level {level.number}" if level.number else "a leaf"
            times = "; ".join(_times(measured) for measured in level.measured)
            lines.append(f"{one} takes {times}" if times else f"{one}: not measured yet")
    lines.append(_expected(report))
    return lines


def _leaves(batch: Batch) -> str:
    return f"{len(batch.leaves)} leaves of {batch.guest_names} ({batch.plan.leaf_jobs} distinct)"


def _name(level: Level) -> str:
    return f"level {level.number}" if level.number else "leaves"


def _reason_text(decision: Decision) -> str:
    # Parts of the detail were read from files, and no such text may control the terminal.
    detail = "".join(c if c.isprintable() else " " for c in decision.detail)
    if decision.reason is Reason.CHILDREN_FIRST:
        return f"not known yet, {detail}"
    if decision.reason is Reason.REJECTED:
        return f"to prove, its entry does not verify ({detail})"
    if decision.reason is Reason.DAMAGED:
        return f"to prove, its entry is damaged ({detail})"
    return f"to prove, {detail}"


def _expected(report: DryRunReport) -> str:
    todo = sum(level.prove + level.open for level in report.levels)
    if not todo:
        return "expected: nothing is left to prove"
    if report.expected is None:
        return "expected: not measured yet"
    seconds, complete = report.expected
    workers = report.workers
    with_them = f"with {workers} worker{'' if workers == 1 else 's'}"
    open_jobs = sum(level.open for level in report.levels)
    as_if = ", what is not known yet counted as to prove" if open_jobs else ""
    about = "about" if complete else "at least"
    return f"expected: {about} {duration(seconds)} {with_them}, from measured times{as_if}"


def _times(measured: MeasuredTimes) -> str:
    proofs = f"{measured.proofs} proof{'' if measured.proofs == 1 else 's'}"
    least, most = duration(measured.least_s), duration(measured.most_s)
    spread = f", {least} to {most}" if least != most else ""
    others = "" if measured.exact else " of other fan-ins"
    return f"{duration(measured.mean_s)} (mean of {proofs}{others}{spread})"
