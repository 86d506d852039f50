"""Wires one run from plain settings: prepares the batch, runs it, leaves the outputs."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import platform
import sys
import uuid
from typing import TYPE_CHECKING, Any

from rich.console import Console

import runner
from runner.audit.events import RunStarted
from runner.audit.trail import AuditTrail, NoTrail
from runner.batch.attempt import BatchRun
from runner.batch.outputs import Outputs
from runner.batch.prepare import prepare
from runner.batch.spool import Spool
from runner.batch.summary import Summary, table
from runner.cache.cache import NoCache
from runner.engines.engine import jobs_at_once
from runner.errors import RunnerError, WorkerDiedError
from runner.folder import RECEIPTS
from runner.metrics import Recorder
from runner.model import ReceiptKind
from runner.monitoring import logs
from runner.monitoring.gpu import GpuMonitor, nvml
from runner.monitoring.live_file import LiveFile
from runner.monitoring.progress import BarProgress, LineProgress, SilentProgress
from runner.monitoring.tally import Tally
from runner.provers.prover import load_prover

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from runner.audit.trail import Trail
    from runner.batch.batch import Batch, Root
    from runner.batch.settings import Settings
    from runner.cache.cache import Cache
    from runner.engines.engine import Engine, Host
    from runner.model import Versions

__all__ = ["run"]

log = logging.getLogger(__name__)


def run(settings: Settings) -> Summary:
    """Run one batch to its verified result.

    Leaves the files of :mod:`runner.folder` in the output folder and the metrics textfile, also
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
    executes = batch.prover.kind is ReceiptKind.EXECUTE
    with NoCache() if executes else settings.cache as cache, trail:
        spool = Spool(settings.output / RECEIPTS)
        recorder = Recorder()
        attempt = BatchRun(
            batch, cache=cache, spool=spool, recorder=recorder, prover=prover, trail=trail
        )
        on_gpu = prover.versions.extra.get("cuda") == "true"
        gpus = GpuMonitor(nvml if on_gpu else _no_driver)
        outputs = Outputs(
            settings,
            batch,
            attempt,
            prover,
            recorder,
            run_id=run_id,
            trail=trail,
            gpus=gpus.figures,
        )
        engine = settings.make_engine()
        hosts = engine.hosts()
        outputs.workers = jobs_at_once(hosts)
        logs.name_run(outputs.run_id)
        _announce(batch, settings, hosts)
        _run_started(trail, batch, prover.versions)
        tally = Tally(batch.plan, outputs.workers, _earlier(batch, cache))
        # Until the textfile says how the run ended, the live figures say that it is there.
        with _live(settings, batch, outputs, tally), gpus:
            try:
                root = _execute(settings, batch, attempt, engine=engine, hosts=hosts, tally=tally)
                summary = outputs.done(root, spool)
            except (RunnerError, OSError, KeyboardInterrupt) as error:
                failure = outputs.failed(error)
                _say_end(settings, outputs.last_word(None, failure))
                raise failure from error
            except Exception as error:
                outputs.failed(error)  # a bug: recorded like any failure, and shown as what it is
                raise
    _say_end(settings, outputs.last_word(summary, None), table(summary, outputs.places()))
    return summary


def _no_driver() -> None:
    """For provers that use no GPU."""


def _live(settings: Settings, batch: Batch, outputs: Outputs, tally: Tally) -> LiveFile:
    return LiveFile(
        settings.metrics.textfile,
        tally,
        guest=batch.guest.name,
        strategy=batch.plan.strategy,
        kind=batch.prover.kind.value,
        leaves=len(batch.leaves),
        run_id=outputs.run_id,
        started=outputs.started,
    )


def _announce(batch: Batch, settings: Settings, hosts: Sequence[Host]) -> None:
    workers, cores = jobs_at_once(hosts), sum(host.cores for host in hosts)
    where = f" of {len(hosts)} machines" if len(hosts) > 1 else ""
    plan, kind = batch.plan, batch.prover.kind
    what = (
        "executing only, nothing is proved"
        if kind is ReceiptKind.EXECUTE
        else f"{kind.value} receipts"
    )
    log.info(
        "%s",
        f"{len(batch.leaves)} leaves of {batch.guest.name} ({plan.leaf_jobs} distinct),"
        f" strategy {plan.strategy}: {plan.jobs} jobs in {plan.levels + 1} levels; {what};"
        f" {workers} workers on {cores} cores{where}; outputs in {settings.output}",
        extra={
            "event": "batch_started",
            "guest": batch.guest.name,
            "leaves": len(batch.leaves),
            "distinct": plan.leaf_jobs,
            "strategy": plan.strategy,
            "jobs": plan.jobs,
            "aggregation_levels": plan.levels,
            "kind": kind.value,
            "workers": workers,
            "cores": cores,
            "hosts": len(hosts),
            "folder": str(settings.output),
        },
    )


def _say_end(settings: Settings, last_word: dict[str, Any], shown: Table | None = None) -> None:
    """The summary on standard output: a table for people, a JSON line for machines."""
    if settings.quiet:
        return
    if settings.log_format == "json":
        sys.stdout.write(json.dumps(last_word, ensure_ascii=False) + "\n")
        sys.stdout.flush()
    elif shown is not None:
        Console().print(shown)


def _earlier(batch: Batch, cache: Cache) -> dict[int, float]:
    """Mean seconds a job took in earlier runs, by level, as far as the cache knows."""
    earlier = {}
    for level in range(batch.plan.levels + 1):
        guest = batch.aggregator if level else batch.guest
        mean = cache.mean_prove_s(guest.image_id, batch.prover.kind)
        if mean is not None:
            earlier[level] = mean
    return earlier


def _execute(  # noqa: PLR0913  # the wiring of one run
    settings: Settings,
    batch: Batch,
    attempt: BatchRun,
    *,
    engine: Engine,
    hosts: Sequence[Host],
    tally: Tally,
) -> Root | None:
    try:
        with _progress(settings, batch, tally) as progress:
            root = attempt.run(
                engine=engine,
                observers=(tally, progress),  # the progress shows what the tally says by then
                policy=settings.retry,
                hosts=hosts,
                on_failure=settings.executor.on_failure,
            )
    except BaseException:
        _end(engine)
        raise
    engine.shutdown()
    return root


def _progress(settings: Settings, batch: Batch, tally: Tally) -> SilentProgress:
    chosen = settings.progress
    verb = "executed" if batch.prover.kind is ReceiptKind.EXECUTE else "proved"
    machine = settings.log_format == "json"
    if settings.quiet or chosen == "none":
        return SilentProgress(tally, verb)
    if chosen == "bar" or (chosen == "auto" and logs.terminal().is_terminal and not machine):
        return BarProgress(tally, verb, logs.terminal())
    return LineProgress(tally, verb, every=machine)


def _end(engine: Engine) -> None:
    """Stop without waiting for proofs that nobody will use."""
    engine.kill()
    with contextlib.suppress(WorkerDiedError):
        engine.shutdown(cancel_futures=True)


def _run_started(trail: Trail, batch: Batch, versions: Versions) -> None:
    """Tell the audit trail what is to be done, with which versions, and who does it where."""
    guests = (batch.guest, batch.aggregator)
    trail.add(
        RunStarted(
            kind=batch.prover.kind.value,
            strategy=batch.plan.strategy,
            leaves=len(batch.leaves),
            jobs=batch.plan.jobs,
            image_ids={guest.name: guest.image_id.hex() for guest in guests},
            versions={
                "runner": runner.__version__,
                "zkvm": versions.zkvm,
                "zkvm_version": versions.zkvm_version,
            },
            host=platform.node(),
            uid=os.getuid(),
            pid=os.getpid(),
        )
    )
