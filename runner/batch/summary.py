"""Figures of a finished batch: what was measured, and the model's beside it; the closing table."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich.table import Table

from runner.model import ReceiptKind
from runner.plan.savings_model import ModelEstimate, estimate, savings_percent
from runner.text import duration

if TYPE_CHECKING:
    from runner.batch.attempt import BatchRun
    from runner.batch.batch import Batch, Root

__all__ = ["Summary", "summarise", "table"]


@dataclass(frozen=True, slots=True)
class Summary:
    """Measured figures of one batch, and the model's in ``model``.

    Attributes:
        leaves: batch positions; ``distinct`` of them differ.
        strategy: as resolved; ``requested`` as asked for.
        levels: aggregation levels the plan really has.
        aggregations: aggregation jobs.
        kind: receipt kind, ``execute`` when nothing was proved.
        made: jobs done in this run; ``cached`` came from the cache.
        retries: attempts that failed and were tried again.
        wall_s: seconds from start to the verified result.
        prove_s: seconds in leaf proofs, summed over workers; ``aggregate_s`` in aggregations.
        verify_s: seconds spent verifying receipts, all of them.
        root_verify_s: seconds the root's verification took.
        user_cycles: of the jobs made in this run; likewise ``paging_cycles``, ``total_cycles``.
        bytes_before: all distinct leaf receipts; ``bytes_after`` what is left to ship.
        size_savings_percent: from the one to the other; below 0 when it grew; None in execute
            mode, where there is nothing to measure.
        tps: leaf proofs aggregated per second of wall time; 0.0 in execute mode and for none.
        model: the model's figures for the same batch.
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
    retries: int
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

    def to_json(self) -> dict[str, Any]:
        """JSON values; the model's figures under ``model``."""
        return asdict(self)


def summarise(
    batch: Batch, run: BatchRun, root: Root | None, *, requested: str, wall_s: float
) -> Summary:
    """Add a finished batch up."""
    plan = batch.plan
    made = [outcome for outcome in run.outcomes.values() if not outcome.cached]
    proved = batch.prover.kind is not ReceiptKind.EXECUTE
    before = sum(run.receipt_bytes.get(job, 0) for job in range(plan.leaf_jobs))
    after = before if root is None else root.receipt_bytes
    return Summary(
        leaves=len(batch.leaves),
        distinct=plan.leaf_jobs,
        requested=requested,
        strategy=plan.strategy,
        levels=plan.levels,
        aggregations=len(plan.aggregations),
        kind=batch.prover.kind.value,
        made=len(made),
        cached=len(run.outcomes) - len(made),
        retries=run.recording.retries,
        wall_s=wall_s,
        prove_s=sum(o.prove_s for o in made if o.job_id < plan.leaf_jobs),
        aggregate_s=sum(o.prove_s for o in made if o.job_id >= plan.leaf_jobs),
        verify_s=run.recording.verify_s,
        root_verify_s=root.verify_s if root else 0.0,
        user_cycles=sum(o.cycles.user for o in made),
        paging_cycles=sum(o.cycles.paging for o in made),
        total_cycles=sum(o.cycles.total for o in made),
        bytes_before=before,
        bytes_after=after,
        size_savings_percent=savings_percent(before, after) if proved else None,
        tps=len(batch.leaves) / wall_s if proved and root is not None else 0.0,
        model=estimate(len(batch.leaves), 1 if root is None else len(batch.leaves)),
    )


def table(summary: Summary, outputs: dict[str, str]) -> Table:
    """The closing table: figures measured, the model's figures named so, where the outputs are."""
    s, model = summary, summary.model
    executed = s.kind == ReceiptKind.EXECUTE.value
    title = "Batch executed: NOTHING PROVED (prover=execute)" if executed else "Batch verified"
    grid = Table(title=title, title_justify="left", show_header=False, pad_edge=False)
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    same = "" if s.distinct == s.leaves else f" ({s.distinct} distinct)"
    grid.add_row("leaves", f"{s.leaves}{same}")
    picked = f" (picked by {s.requested})" if s.requested != s.strategy else ""
    grid.add_row("strategy", f"{s.strategy}{picked}, {_shape(s)}")
    what = "runs" if executed else f"{s.kind} receipts"
    grid.add_row(what, f"{s.made} made, {s.cached} from cache, {s.retries} retries")
    grid.add_row("wall time", duration(s.wall_s))
    grid.add_row(
        "time in execution" if executed else "prover time",
        f"leaves {duration(s.prove_s)}, aggregations {duration(s.aggregate_s)},"
        f" verification {duration(s.verify_s)} (summed over workers)",
    )
    grid.add_row(
        f"cycles {'executed' if executed else 'proved'}",
        f"{s.total_cycles:,} (user {s.user_cycles:,}, paging {s.paging_cycles:,})",
    )
    if not executed:
        grid.add_row("receipt bytes", f"{s.bytes_before:,} before, {s.bytes_after:,} after")
        grid.add_row("size savings", f"{s.size_savings_percent:.1f} % measured")
        grid.add_row("", f"{model.size_savings_percent:.1f} % by the model (not measured)")
        if s.levels:
            grid.add_row("root verification", f"{s.root_verify_s * 1000:.0f} ms measured")
            grid.add_row("", f"{model.verification_ms_after:.1f} ms by the model (not measured)")
            helped = f" ({s.cached} receipts from cache)" if s.cached else ""
            grid.add_row("aggregated per second", f"{s.tps:.3g} leaf proofs measured{helped}")
            grid.add_row("", f"{model.tps:.3g} by the model (not measured)")
        grid.add_row("L1 gas savings", f"{model.gas_savings_percent:.1f} % by the model; no L1")
    for name, path in outputs.items():
        grid.add_row(name, path)
    return grid


def _shape(s: Summary) -> str:
    if not s.levels:
        return "nothing aggregated"
    jobs = "1 aggregation" if s.aggregations == 1 else f"{s.aggregations} aggregations"
    return f"{jobs} in {s.levels} level{'s' if s.levels > 1 else ''}"
