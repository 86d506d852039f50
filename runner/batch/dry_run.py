"""The dry run (``dry_run=true``): it says what a run would do.

It says so on the terminal and in ``dry_run.json``. It proves nothing, writes no metrics and no
audit log, and leaves the cache as it is.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from runner.batch.dry_run_report import DryRunReport, sentences, table
from runner.batch.forecast import Forecast, Reason
from runner.batch.prepare import prepare
from runner.batch.run_store import RunStore, cache_of
from runner.batch.trial import Machine, try_leaves
from runner.consoles import make_console
from runner.engines.engine import jobs_at_once
from runner.errors import InputError
from runner.folder import write_json
from runner.limits import cores, memory_bytes
from runner.model import ReceiptKind
from runner.provers.prover import load_prover

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.batch.afterwards import Foresee
    from runner.batch.batch import Batch
    from runner.batch.forecast import Decision
    from runner.batch.settings import Settings
    from runner.batch.trial import Executed
    from runner.provers.prover import Prover

__all__ = ["FILE", "run"]

FILE = "dry_run.json"


def run(settings: Settings, foresee: Foresee | None = None) -> DryRunReport:
    """Say what a run with these settings would do.

    Args:
        settings: the settings of the run.
        foresee: what says what would become of the root afterwards; None if nothing would.

    Raises:
        InputError: something in the settings is not usable.
        CacheError: the cache cannot be read.
    """
    batch = prepare(settings)
    prover = load_prover(batch.prover)
    with settings.make_engine() as engine:
        if prover.workers is not None:
            engine.suggest_workers(prover.workers)
        workers = jobs_at_once(engine.hosts())
    cache = cache_of(settings, RunStore.of(settings))
    with contextlib.ExitStack() as stack:
        view = None if batch.prover.kind is ReceiptKind.EXECUTE else cache.view()
        if view is not None:
            stack.enter_context(view)
        forecast = Forecast(batch, prover, view, min(cores(), 8))
        decisions = forecast.decide()
        report = DryRunReport(
            requested=settings.strategy.name,
            cache=cache,
            workers=workers,
            batch=batch,
            versions=prover.versions,
            decisions=decisions,
            measured=[forecast.measured(job) for job in range(batch.plan.jobs)],
            without_origin=view.without_origin() if view is not None else 0,
            executed=_trial(settings, batch, prover, decisions),
            machine=Machine(
                prover,
                workers,
                memory_bytes(),
                None if view is None else view.cycle_cost(batch.kind(0)),
            ),
        )
    if foresee is not None:
        root = batch.plan.root is not None
        report = replace(report, afterwards=foresee(len(batch.leaves), root=root))
    path = settings.output / FILE
    try:
        write_json(path, report.to_json())
    except OSError as error:
        problem = f"cannot be written ({error.strerror})"
        raise InputError("output", str(path), problem, "choose another folder") from None
    console = make_console()
    console.print(table(report))
    for line in sentences(report):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    return report


def _trial(
    settings: Settings, batch: Batch, prover: Prover, decisions: Sequence[Decision]
) -> list[Executed]:
    """Execute the leaves that are no hits, if the settings say so."""
    if not settings.dry_run_executes:
        return []
    leaves = decisions[: batch.plan.leaf_jobs]
    jobs = [one.job_id for one in leaves if one.reason is not Reason.HIT]
    return try_leaves(batch, prover, jobs, min(cores(), 8))
