"""The figures of a finished batch: those that were measured, and the model's beside them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from runner.batch.work import WorkDone, work_done
from runner.model import ReceiptKind
from runner.plan.savings_model import ModelEstimate, estimate, savings_percent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runner.batch.batch import Batch, Root
    from runner.batch.batch_run import BatchRun
    from runner.codec.work import WorkUnit
    from runner.model import Outcome

__all__ = ["Summary", "summarise"]


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of one batch. All of them are measured, but for those of the model.

    Attributes:
        leaves: the number of leaves in the batch.
        distinct: the number of distinct runs among the leaves, each of which is proved once.
        requested: the name of the strategy as the user asked for it, e.g. ``auto``.
        strategy: the name of the strategy after ``auto`` was resolved.
        levels: the number of aggregation levels that the plan really has.
        aggregations: the number of aggregation jobs.
        kind: the kind of receipts, or ``execute`` when nothing was proved.
        made: the number of jobs that were done in this run.
        cached: the number of jobs whose receipts came from the cache.
        made_leaves: the number of distinct leaves that were done in this run.
        root_made: whether the root was made in this run. It is False for a root from the cache, and
            without one.
        retries: the number of failed attempts that were followed by another one.
        cut_smaller: the number of jobs whose segments were made smaller than the settings say,
            because a worker did not have the memory for them.
        wall_s: the seconds from the start of the run to the verified result.
        prove_s: the seconds spent on leaf proofs, summed over the workers.
        aggregate_s: the seconds spent on aggregations, summed over the workers.
        verify_s: the seconds spent on verifying receipts, whoever verified them.
        root_verify_s: the seconds that the verification of the root took.
        user_cycles: the user cycles of the jobs that were done in this run.
        paging_cycles: the paging cycles of these jobs.
        total_cycles: all cycles of these jobs, with the padding.
        bytes_before: the size of all distinct leaf receipts together.
        bytes_after: the size of the receipts that are left to be handed over.
        size_savings_percent: by how much the second size is smaller than the first. It is negative
            if the second is larger, and None in execute mode, where there is nothing to measure.
        tps: the number of leaf proofs made and aggregated per second of wall time, or 0.0 where
            this run did not prove a root. Leaf proofs from the cache do not count.
        model: the model's figures for the same batch.
        work: the work of the leaves by the name of its unit, where guests have one.
    """

    leaves: int
    distinct: int
    requested: str
    strategy: str
    levels: int
    aggregations: int
    kind: str
    made: int
    cached: int
    made_leaves: int
    root_made: bool
    retries: int
    cut_smaller: int
    wall_s: float
    prove_s: float
    aggregate_s: float
    verify_s: float
    root_verify_s: float
    user_cycles: int
    paging_cycles: int
    total_cycles: int
    bytes_before: int
    bytes_after: int
    size_savings_percent: float | None
    tps: float
    model: ModelEstimate
    work: dict[str, WorkDone] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON values, with the model's under ``model``."""
        return asdict(self)


def summarise(  # noqa: PLR0913  # all that a batch is summed up from
    batch: Batch,
    batch_run: BatchRun,
    root: Root | None,
    *,
    requested: str,
    wall_s: float,
    units: Mapping[str, WorkUnit],
) -> Summary:
    """Sum a finished batch up.

    Args:
        batch: the batch that was run.
        batch_run: the run of the batch, with all outcomes.
        root: the verified root; None for strategy ``none``.
        requested: the name of the strategy as the user asked for it.
        wall_s: the seconds from the start of the run to the verified result.
        units: the unit of work of each guest that has one, by the guest's name.
    """
    plan = batch.plan
    outcomes, made = batch_run.outcomes, _Made()
    for job_id, outcome in outcomes.items():
        if not outcome.cached:
            made.add(outcome, leaf=job_id < plan.leaf_jobs)
    proved = batch.prover.kind is not ReceiptKind.EXECUTE
    before = sum(outcomes.receipt_bytes.get(job, 0) for job in range(plan.leaf_jobs))
    after = before if root is None else root.receipt_bytes
    root_made = plan.root is not None and not outcomes[plan.root].cached
    return Summary(
        leaves=len(batch.leaves),
        distinct=plan.leaf_jobs,
        requested=requested,
        strategy=plan.strategy,
        levels=plan.levels,
        aggregations=len(plan.aggregations),
        kind=batch.prover.kind.value,
        made=made.jobs,
        cached=len(outcomes) - made.jobs,
        made_leaves=made.leaves,
        root_made=root_made,
        retries=batch_run.counters.retries,
        cut_smaller=made.cut_smaller,
        wall_s=wall_s,
        prove_s=made.prove_s,
        aggregate_s=made.aggregate_s,
        verify_s=batch_run.counters.verify_s,
        root_verify_s=root.verify_s if root else 0.0,
        user_cycles=made.user_cycles,
        paging_cycles=made.paging_cycles,
        total_cycles=made.total_cycles,
        bytes_before=before,
        bytes_after=after,
        size_savings_percent=savings_percent(before, after) if proved else None,
        tps=made.leaves / wall_s if proved and root_made else 0.0,
        model=estimate(len(batch.leaves), 1 if root is None else len(batch.leaves)),
        work=work_done(batch, outcomes, units, wall_s),
    )


@dataclass(slots=True)
class _Made:
    """Sums over the jobs that were done in this run."""

    jobs: int = 0
    leaves: int = 0
    cut_smaller: int = 0
    prove_s: float = 0.0
    aggregate_s: float = 0.0
    user_cycles: int = 0
    paging_cycles: int = 0
    total_cycles: int = 0

    def add(self, outcome: Outcome, *, leaf: bool) -> None:
        self.jobs += 1
        self.leaves += leaf
        self.cut_smaller += outcome.halvings > 0
        if leaf:
            self.prove_s += outcome.prove_s
        else:
            self.aggregate_s += outcome.prove_s
        self.user_cycles += outcome.cycles.user
        self.paging_cycles += outcome.cycles.paging
        self.total_cycles += outcome.cycles.total
