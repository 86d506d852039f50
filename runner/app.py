"""Wires one run from plain settings: prepares the batch, runs it, leaves the outputs."""

from __future__ import annotations

import contextlib
import logging
import uuid
from typing import TYPE_CHECKING

from rich.console import Console

from runner import audit_events, results
from runner.audit_trail import AuditTrail, NoTrail
from runner.batch import BatchRun
from runner.cache import NoCache, ProofCache
from runner.engines import ProcessExecutor
from runner.errors import InputError, RunnerError, WorkerDiedError
from runner.live_file import LiveFile
from runner.machine import cores
from runner.metrics import Recorder
from runner.model import ReceiptKind
from runner.outputs import Outputs
from runner.prepare import prepare
from runner.progress import BarProgress, LineProgress, SilentProgress
from runner.prover import load_prover
from runner.spool import Spool
from runner.summary import Summary, table

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from runner.batch import Batch, Root
    from runner.cache import Cache
    from runner.plan import Plan
    from runner.settings import Settings

__all__ = ["run"]

log = logging.getLogger(__name__)


def run(settings: Settings) -> Summary:
    """Run one batch to its verified result.

    Leaves the files of :mod:`runner.results` in the output folder and the metrics textfile, also
    when the batch fails.

    Raises:
        InputError: something given is not usable; nothing was proved.
        BatchFailedError: the batch has no verified result; what was finished is kept.
        InterruptedBatchError: the same, because someone stopped it.
    """
    batch = prepare(settings)
    prover = load_prover(batch.prover)
    run_id = uuid.uuid4().hex
    trail = NoTrail() if settings.audit is None else AuditTrail(settings.audit, run_id)
    with _open_cache(settings, batch) as cache, trail:
        spool = Spool(settings.output / results.RECEIPTS)
        recorder = Recorder()
        attempt = BatchRun(
            batch, cache=cache, spool=spool, recorder=recorder, prover=prover, trail=trail
        )
        outputs = Outputs(settings, batch, attempt, prover, recorder, run_id=run_id, trail=trail)
        engine = settings.make_engine()
        log.info("%s", _announcement(batch, settings))
        audit_events.run_started(trail, batch, prover.versions)
        try:
            with _live(settings, batch, outputs) as live:
                root = _execute(settings, batch, attempt, cache, engine=engine, live=live)
            summary = outputs.done(root, spool)
        except (RunnerError, OSError, KeyboardInterrupt) as error:
            failed = outputs.failed(error)
            _report(settings)
            raise failed from error
        except Exception as error:
            outputs.failed(error)  # a bug: recorded like any failure, and shown as what it is
            raise
    _report(settings)
    Console().print(table(summary, outputs.places()))
    return summary


def _report(settings: Settings) -> None:
    """The run's page, if it was asked for; one that cannot be made is a warning."""
    if not settings.report:
        return
    from runner.report import write_run

    try:
        write_run(settings.output)
    except InputError as error:
        log.warning("no report of this run: %s", error)


def _open_cache(settings: Settings, batch: Batch) -> Cache:
    if settings.cache is None or batch.prover.kind is ReceiptKind.EXECUTE:
        return NoCache()
    bounds = settings.cache
    return ProofCache(bounds.folder, bounds.max_entries, bounds.max_bytes)


def _live(settings: Settings, batch: Batch, outputs: Outputs) -> LiveFile:
    return LiveFile(
        settings.metrics.textfile,
        plan=batch.plan,
        leaves=len(batch.leaves),
        kind=batch.prover.kind,
        workers=settings.executor.workers,
        run_id=outputs.run_id,
        started=outputs.started,
    )


def _announcement(batch: Batch, settings: Settings) -> str:
    plan = batch.plan
    what = (
        "executing only, nothing is proved"
        if batch.prover.kind is ReceiptKind.EXECUTE
        else f"{batch.prover.kind.value} receipts"
    )
    return (
        f"{len(batch.leaves)} leaves of {batch.guest.name} ({plan.leaf_jobs} distinct),"
        f" strategy {plan.strategy}: {plan.jobs} jobs in {plan.levels + 1} levels; {what};"
        f" {settings.executor.workers} workers on {cores()} cores; outputs in {settings.output}"
    )


def _execute(  # noqa: PLR0913  # the wiring of one run
    settings: Settings,
    batch: Batch,
    attempt: BatchRun,
    cache: Cache,
    *,
    engine: Executor,
    live: LiveFile,
) -> Root | None:
    kind, workers = batch.prover.kind, settings.executor.workers
    earlier = {}
    for level in range(batch.plan.levels + 1):
        guest = batch.aggregator if level else batch.guest
        mean = cache.mean_prove_s(guest.image_id, kind)
        if mean is not None:
            earlier[level] = mean
    verb = "executed" if kind is ReceiptKind.EXECUTE else "proved"
    try:
        with _progress(settings.progress, batch.plan, workers, earlier, verb) as progress:
            root = attempt.run(
                engine=engine,
                observer=live.observing(progress),
                policy=settings.retry,
                workers=workers,
                cores=cores(),
                on_failure=settings.executor.on_failure,
            )
    except BaseException:
        _end(engine)
        raise
    engine.shutdown()
    return root


def _progress(
    chosen: str, plan: Plan, workers: int, earlier: dict[int, float], verb: str
) -> SilentProgress:
    console = Console(stderr=True)
    if chosen == "bar" or (chosen == "auto" and console.is_terminal):
        return BarProgress(plan, workers, earlier, verb, console)
    display = SilentProgress if chosen == "none" else LineProgress
    return display(plan, workers, earlier, verb)


def _end(engine: Executor) -> None:
    """Stop without waiting for proofs nobody will use."""
    if isinstance(engine, ProcessExecutor):
        engine.kill()
    with contextlib.suppress(WorkerDiedError):
        engine.shutdown(cancel_futures=True)
