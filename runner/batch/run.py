"""Wires one run from its settings: it prepares the batch, runs it and leaves the outputs."""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import time
import uuid
from typing import TYPE_CHECKING

import runner
from runner import stopping
from runner.audit.events import RunStarted
from runner.audit.trail import AuditTrail, NoTrail
from runner.batch.batch_run import BatchRun
from runner.batch.check_command import check_command
from runner.batch.closing import print_end
from runner.batch.elsewhere import ready_engine
from runner.batch.outputs import Outputs
from runner.batch.partial import rest_of
from runner.batch.prepare import plan_for, prepare
from runner.batch.printed import Printed
from runner.batch.run_info import RunInfo
from runner.batch.run_store import RunStore, cache_of
from runner.batch.seed import user_secret
from runner.batch.segment_store import SegmentStore, segments_folder
from runner.batch.spool import Spool
from runner.batch.trial import too_large
from runner.cache.cache import NoCache
from runner.engines.engine import jobs_at_once
from runner.errors import (
    InputError,
    JobFailedError,
    PartialBatchError,
    RunnerError,
    WorkerDiedError,
)
from runner.folder import RECEIPTS, SEGMENTS, clear_result
from runner.gpus import nvml
from runner.limits import fitting, memory_bytes
from runner.locks import RUN_LOCK, owned
from runner.metrics import Recorder
from runner.model import ReceiptKind
from runner.monitoring import logs
from runner.monitoring.gpu import GpuMonitor
from runner.monitoring.live_file import LiveFile
from runner.monitoring.progress import BarProgress, LineProgress, SilentProgress
from runner.monitoring.tally import Tally
from runner.provers.prover import load_prover
from runner.provers.segments import Sized

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from runner.audit.trail import Trail
    from runner.batch.batch import Batch, Root
    from runner.batch.settings import Settings
    from runner.batch.summary import Summary
    from runner.cache.cache import Cache
    from runner.engines.engine import Engine, Host
    from runner.gpus import Gpu
    from runner.model import Versions
    from runner.provers.prover import Prover

__all__ = ["run"]

log = logging.getLogger(__name__)


def run(settings: Settings) -> Summary:
    """Run one batch to its verified result.

    It leaves the files of :mod:`runner.folder` in the output folder, and the metrics textfile, also
    when the batch fails.

    Raises:
        InputError: something in the settings is not usable, or another run is at work in the output
            folder. Nothing was proved.
        BatchFailedError: the batch has no verified result. What was finished is kept.
        PartialBatchError: some leaves failed, and the verified result is that of the others.
        InterruptedBatchError: the same, because someone stopped it.
    """
    batch = prepare(settings)
    prover = load_prover(batch.prover)
    run_id = uuid.uuid4().hex
    trail = NoTrail() if settings.audit is None else AuditTrail(settings.audit, run_id)
    executes = batch.prover.kind is ReceiptKind.EXECUTE
    output, store = settings.output, RunStore.of(settings)
    with (
        owned(output, RUN_LOCK, "output"),
        NoCache() if executes else cache_of(settings, store) as cache,
        trail,
    ):
        # An engine may have to reach a cluster first, which is part of the run's time.
        started, clock = time.time(), time.monotonic()
        engine, hosts, site = ready_engine(settings, batch, prover, store)
        info = RunInfo(
            run_id,
            prover.versions,
            jobs_at_once(hosts),
            started,
            clock,
            prover_settings=batch.prover.settings,
            check=check_command(settings, batch),
        )
        spool = Spool(output / RECEIPTS, None if store is None else store.artifacts)
        segments = SegmentStore(
            segments_folder(os.environ, output / SEGMENTS),
            run_id,
            None if site is None or store is None else store.artifacts,
        )
        recorder = Recorder()
        batch_run = BatchRun(
            batch,
            cache=cache,
            spool=spool,
            segments=segments,
            secret=user_secret(os.environ),
            recorder=recorder,
            prover=prover,
            trail=trail,
            printed=Printed(output),
            site=site,
            wrote=None if store is None else store.sweeper.wrote,
        )
        gpus = GpuMonitor(nvml if prover.gpus else _no_driver)
        outputs = Outputs(
            settings=settings,
            batch=batch,
            batch_run=batch_run,
            info=info,
            recorder=recorder,
            trail=trail,
            gpus=gpus.figures,
        )
        logs.name_run(run_id)
        _announce(batch, output, hosts, prover.gpus)
        _check_memory(prover, hosts)
        _clear(output)
        tally = Tally(batch.plan, info.workers, _earlier(batch, cache))
        # The live figures stay until the textfile says how the run has ended.
        with _live(settings.metrics.textfile, batch, info, tally), gpus:
            try:
                # What the log says has started ends in the log too, so this may be interrupted.
                _run_started(trail, batch, prover.versions)
                root = _prove(settings, batch, batch_run, outputs, engine=engine, tally=tally)
                with stopping.closing():  # the batch has been proved, and nothing stops it now
                    summary = outputs.done(root, spool)
            except (RunnerError, OSError, KeyboardInterrupt) as error:
                with stopping.closing():
                    failure = outputs.failed(error)
                    print_end(settings, info, error=failure)
                raise failure from error
            except Exception as error:
                # This is a bug. It is recorded like any failure, and raised as what it is.
                with stopping.closing():
                    outputs.failed(error)
                raise
            finally:
                segments.clear()
    missing = outputs.missing_says()
    partial = None if missing is None else PartialBatchError(missing, str(output))
    with stopping.closing():
        if store is not None:
            store.sweeper.finish()
        print_end(settings, info, summary=summary, error=partial, journals=outputs.journals_say())
    if partial is not None:
        raise partial
    return summary


def _clear(output: Path) -> None:
    """Remove what an earlier run has left in the output folder. Raises InputError."""
    try:
        clear_result(output)
    except OSError as error:
        raise InputError(
            "output",
            str(output),
            f"{error.filename} cannot be replaced ({error.strerror})",
            "remove it, or choose another folder",
        ) from None


def _check_memory(prover: Prover, hosts: Sequence[Host]) -> None:
    """Warn of workers on this machine, or of segments, for which there is too little memory."""
    here = sum(host.workers for host in hosts if host.name == platform.node())
    worker_bytes, memory = prover.worker_bytes, memory_bytes()
    if isinstance(prover, Sized) and (warning := too_large(prover, here, memory)):
        log.warning("%s", warning)
    fit = fitting(worker_bytes, memory, here) if worker_bytes else None
    if fit is not None:
        log.warning(
            "%d workers take %.1f GB of memory at least, and there are %.1f GB: the system may kill"
            " some of them; executor.workers=%d fits",
            *(here, here * worker_bytes / 1e9, memory / 1e9, fit),
        )


def _no_driver() -> None:
    """The GPU driver for a prover that uses no GPU: there is none."""


def _live(textfile: Path | None, batch: Batch, info: RunInfo, tally: Tally) -> LiveFile:
    return LiveFile(
        textfile,
        tally,
        guest=batch.guest_names,
        strategy=batch.plan.strategy,
        kind=batch.prover.kind.value,
        leaves=len(batch.leaves),
        run_id=info.run_id,
        started=info.started,
    )


def _announce(batch: Batch, output: Path, hosts: Sequence[Host], gpus: Sequence[Gpu]) -> None:
    """Log what is to be done, on which machines and GPUs, and where the outputs will be."""
    workers, cores = jobs_at_once(hosts), sum(host.cores for host in hosts)
    for guest in batch.guests:
        if not guest.pinned:
            log.info(
                "%s",
                f"guest {guest.name} is {guest.elf_path}, which no manifest pins; its image id is"
                f" {guest.image_id.hex()}",
                extra={"event": "guest", "guest": guest.name, "image_id": guest.image_id.hex()},
            )
    where = f" of {len(hosts)} machines" if len(hosts) > 1 else ""
    where += f" and {len(gpus)} x {gpus[0].name}" if gpus else ""
    plan, kind = batch.plan, batch.prover.kind
    what = (
        "executing only, nothing is proved"
        if kind is ReceiptKind.EXECUTE
        else f"{kind.value} receipts"
    )
    log.info(
        "%s",
        f"{len(batch.leaves)} leaves of {batch.guest_names} ({plan.leaf_jobs} distinct),"
        f" strategy {plan.strategy}: {plan.jobs} jobs in {plan.levels + 1} levels; {what};"
        f" {workers} workers on {cores} cores{where}; outputs in {output}",
        extra={
            "event": "batch_started",
            "guest": batch.guest_names,
            "leaves": len(batch.leaves),
            "distinct": plan.leaf_jobs,
            "strategy": plan.strategy,
            "jobs": plan.jobs,
            "aggregation_levels": plan.levels,
            "kind": kind.value,
            "workers": workers,
            "cores": cores,
            "hosts": len(hosts),
            "gpus": len(gpus),
            "folder": str(output),
        },
    )


def _earlier(batch: Batch, cache: Cache) -> dict[int, float]:
    """The mean seconds that a job took in earlier runs, by level, where the cache knows them."""
    earlier = {}
    for level in range(batch.plan.levels + 1):
        guest = batch.aggregator if level else batch.guest
        mean = cache.mean_prove_s(guest.image_id, batch.prover.kind)
        if mean is not None:
            earlier[level] = mean
    return earlier


def _prove(  # noqa: PLR0913  # the wiring of one run
    settings: Settings,
    batch: Batch,
    batch_run: BatchRun,
    outputs: Outputs,
    *,
    engine: Engine,
    tally: Tally,
) -> Root | None:
    """Run the batch, and where leaves have failed, what is left of it if the settings say so."""
    try:
        return _execute(settings, batch_run, engine=engine, tally=tally)
    except JobFailedError:
        if settings.aggregate != "succeeded":
            raise
        prover = load_prover(batch.prover)
        rest = rest_of(batch, batch_run.outcomes, lambda leaves: plan_for(settings, prover, leaves))
        if rest is None:
            raise
    outputs.go_on(rest)
    batch_run.go_on(rest)
    tally.go_on(rest.batch.plan)
    log.warning("%s; the batch goes on with the other %d", outputs.missing_says(),
                len(rest.batch.leaves))  # fmt: skip
    again, _, _ = ready_engine(settings, batch, prover, RunStore.of(settings))
    return _execute(settings, batch_run, engine=again, tally=tally)


def _execute(
    settings: Settings, batch_run: BatchRun, *, engine: Engine, tally: Tally
) -> Root | None:
    """Run the batch while its progress is shown, and shut the engine down."""
    try:
        with _progress(settings, tally) as progress:
            root = batch_run.run(
                engine=engine,
                observers=(tally, progress),  # the tally comes first, because the progress shows it
                policy=settings.retry,
                hosts=engine.hosts(),
                on_failure=settings.executor.on_failure,
            )
    except BaseException:
        _stop(engine)
        raise
    engine.shutdown()
    return root


def _progress(settings: Settings, tally: Tally) -> SilentProgress:
    """The display of the progress that the settings ask for and the terminal can show."""
    chosen = settings.progress
    verb = "executed" if settings.prover.kind is ReceiptKind.EXECUTE else "proved"
    machine = settings.log_format == "json"
    if settings.quiet or chosen == "none":
        return SilentProgress(tally, verb)
    if chosen == "bar" or (chosen == "auto" and logs.terminal().is_terminal and not machine):
        return BarProgress(tally, verb, logs.terminal())
    return LineProgress(tally, verb, every=machine)


def _stop(engine: Engine) -> None:
    """Shut an engine down without waiting for proofs that nobody will use."""
    engine.kill()
    with contextlib.suppress(WorkerDiedError):
        engine.shutdown(cancel_futures=True)


def _run_started(trail: Trail, batch: Batch, versions: Versions) -> None:
    """Tell the audit trail what is to be done, with which versions, and who does it where."""
    trail.add(
        RunStarted(
            kind=batch.prover.kind.value,
            strategy=batch.plan.strategy,
            leaves=len(batch.leaves),
            jobs=batch.plan.jobs,
            image_ids={guest.name: guest.image_id.hex() for guest in batch.guests},
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
