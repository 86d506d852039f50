"""Wires one run from plain settings: checks everything, runs the batch, leaves the outputs."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
import uuid
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console

import runner
from runner import results
from runner.batch import Batch, BatchRun
from runner.cache import NoCache, ProofCache
from runner.engines import ProcessExecutor
from runner.errors import (
    BatchFailedError,
    InputError,
    InterruptedBatchError,
    RunnerError,
    WorkerDiedError,
)
from runner.files import atomic_write
from runner.guests import AGGREGATOR, Manifest, read_elf
from runner.inputs import leaves
from runner.machine import cores, machine, packages, peak_memory_mib
from runner.metrics import Recorder
from runner.model import ReceiptKind
from runner.plan import distinct
from runner.progress import BarProgress, LineProgress
from runner.prover import load_prover
from runner.spool import Spool
from runner.strategy import make_plan
from runner.summary import Summary, summarise, table
from runner.textfile import write_textfile

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from pathlib import Path

    from runner.batch import Root
    from runner.cache import Cache
    from runner.model import Guest
    from runner.prover import Prover
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
    batch = _prepare(settings)
    prover = load_prover(batch.prover)
    _writable(settings)
    with _open_cache(settings, batch) as cache:
        spool = Spool(settings.output / results.RECEIPTS)
        recorder = Recorder()
        attempt = BatchRun(batch, cache=cache, spool=spool, recorder=recorder, prover=prover)
        report = _Report(settings, batch, attempt, prover, recorder)
        engine = settings.make_engine()
        log.info("%s", _announcement(batch, settings))
        try:
            root = _execute(settings, batch, attempt, cache, engine)
        except (RunnerError, OSError, KeyboardInterrupt) as error:
            raise report.failed(error) from error
        summary = report.done(root, spool)
    Console().print(table(summary, report.outputs()))
    return summary


def _prepare(settings: Settings) -> Batch:
    """Everything that can be wrong is found here, before any proof."""
    manifest = Manifest.load(settings.guests)
    guest = manifest.get(settings.guest)
    aggregator = manifest.get(AGGREGATOR)
    prover = load_prover(settings.prover)
    prover.require(settings.prover.kind)
    for program in (guest, aggregator):
        _check_image_id(prover, program)
    batch_leaves = leaves(
        settings.spec,
        inputs=settings.inputs,
        count=settings.count,
        inputs_file=settings.inputs_file,
    )
    positions, _ = distinct(leaf.stdin for leaf in batch_leaves)
    chosen = settings.strategy
    plan = make_plan(chosen.name, positions, chosen.thresholds, chosen.fan_in)
    return Batch(guest, aggregator, batch_leaves, plan, settings.prover)


def _check_image_id(prover: Prover, guest: Guest) -> None:
    found = prover.image_id(read_elf(guest))
    if found != guest.image_id:
        raise InputError(
            f"guests.{guest.name}.image_id",
            guest.image_id.hex(),
            f"the program's image id is {found.hex()}",
            "run scripts/compile_guests.sh, or restore the manifest from git",
        )


def _writable(settings: Settings) -> None:
    """A proof of minutes must not end at a folder that takes no file."""
    folders = [("output", settings.output)]
    if settings.textfile is not None:
        folders.append(("metrics.textfile", settings.textfile.parent))
    for field, folder in folders:
        probe = folder / f".probe-{uuid.uuid4().hex}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise InputError(
                field,
                str(folder),
                f"cannot be written ({error.strerror})",
                "choose a folder that this user can write",
            ) from None


def _open_cache(settings: Settings, batch: Batch) -> Cache:
    if settings.cache is None or batch.prover.kind is ReceiptKind.EXECUTE:
        return NoCache()
    bounds = settings.cache
    return ProofCache(bounds.folder, bounds.max_entries, bounds.max_bytes)


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


def _execute(
    settings: Settings, batch: Batch, attempt: BatchRun, cache: Cache, engine: Executor
) -> Root | None:
    kind, workers = batch.prover.kind, settings.executor.workers
    earlier = {}
    for level in range(batch.plan.levels + 1):
        guest = batch.aggregator if level else batch.guest
        mean = cache.mean_prove_s(guest.image_id, kind)
        if mean is not None:
            earlier[level] = mean
    console = Console(stderr=True)
    bars = settings.progress == "bar" or (settings.progress == "auto" and console.is_terminal)
    verb = "executed" if kind is ReceiptKind.EXECUTE else "proved"
    progress = (
        BarProgress(batch.plan, workers, earlier, verb, console)
        if bars
        else LineProgress(batch.plan, workers, earlier, verb)
    )
    try:
        with progress:
            root = attempt.run(
                engine=engine,
                observer=progress,
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


def _end(engine: Executor) -> None:
    """Stop without waiting for proofs nobody will use."""
    if isinstance(engine, ProcessExecutor):
        engine.kill()
    with contextlib.suppress(WorkerDiedError):
        engine.shutdown(cancel_futures=True)


class _Report:
    """The outputs of one run, whatever became of it."""

    def __init__(
        self,
        settings: Settings,
        batch: Batch,
        attempt: BatchRun,
        prover: Prover,
        recorder: Recorder,
    ) -> None:
        self._settings = settings
        self._batch = batch
        self._attempt = attempt
        self._prover = prover
        self._recorder = recorder
        self._run_id = uuid.uuid4().hex
        self._started = time.time()
        self._clock = time.monotonic()

    def outputs(self) -> dict[str, str]:
        """Where things are, for the closing table."""
        shown = {"outputs": str(self._settings.output)}
        if self._settings.textfile is not None:
            shown["metrics"] = str(self._settings.textfile)
        if self._batch.prover.kind is not ReceiptKind.EXECUTE:
            shown["check it with"] = f"python -m runner.verify {self._settings.output}"
        return shown

    def done(self, root: Root | None, spool: Spool) -> Summary:
        """Write everything a verified batch leaves."""
        folder, attempt = self._settings.output, self._attempt
        summary = summarise(
            self._batch,
            attempt,
            root,
            requested=self._settings.strategy.name,
            wall_s=time.monotonic() - self._clock,
        )
        names = [results.LEAVES, results.RESULT]
        lines = results.leaf_lines(self._batch, attempt, self._settings.journal)
        atomic_write(folder / results.LEAVES, lines)
        receipts = []
        if root is not None and root.receipt_bytes:
            assert self._batch.plan.root is not None  # noqa: S101  # there is a Root
            atomic_write(folder / results.ROOT, spool.get(self._batch.plan.root))
            spool.clear()
            receipts = [results.ROOT]
        elif root is None and self._batch.prover.kind is not ReceiptKind.EXECUTE:
            receipts = [
                str(spool.path(job).relative_to(folder))
                for job in range(self._batch.plan.leaf_jobs)
            ]
        record = self._record("ok", None)
        record["summary"] = summary.to_json()
        if root is not None:
            record["root"] = {
                "image_id": self._batch.aggregator.image_id.hex(),
                "journal": root.journal.hex(),
                "verified_count": root.result.verified_count,
                "combined_hash": root.result.combined_hash.hex(),
                "proved": bool(root.receipt_bytes),
            }
        record["receipts"] = receipts
        results.write_json(folder / results.RESULT, record)
        results.write_sums(folder, [*names, *receipts])
        self._metrics(summary, 0)
        return summary

    def failed(self, error: BaseException) -> BatchFailedError:
        """Write what there is, and say what to raise."""
        folder = self._settings.output
        interrupted = isinstance(error, KeyboardInterrupt)
        done, jobs = len(self._attempt.outcomes), self._batch.plan.jobs
        reason = "stopped" if interrupted else str(error)
        message = f"{reason}; {done} of {jobs} jobs were finished"
        raised: BatchFailedError = (
            InterruptedBatchError(message, str(folder))
            if interrupted
            else BatchFailedError(message, str(folder))
        )
        if not interrupted:
            self._recorder.inc("l2_errors_total")
        # The error in hand matters more than a disk that also fails to take its record.
        with contextlib.suppress(OSError):
            status = "interrupted" if interrupted else "failed"
            results.write_json(folder / results.RESULT, self._record(status, reason))
        self._metrics(None, raised.exit_code)
        return raised

    def _record(self, status: str, error: str | None) -> dict[str, Any]:
        batch, settings = self._batch, self._settings
        versions = self._prover.versions
        return {
            "format": results.FORMAT,
            "run_id": self._run_id,
            "status": status,
            "error": error,
            "command": sys.argv,
            "started": self._started,
            "finished": time.time(),
            "config": settings.config,
            "kind": batch.prover.kind.value,
            "guests": {
                guest.name: {"image_id": guest.image_id.hex(), "elf_sha256": guest.elf_sha256}
                for guest in (batch.guest, batch.aggregator)
            },
            "versions": {**packages(), **asdict(versions)},
            "machine": machine(),
            "peak_memory_mib": peak_memory_mib(),
            "plan": batch.plan.to_json(),
            "jobs": results.job_rows(batch, self._attempt),
        }

    def _metrics(self, summary: Summary | None, exit_status: int) -> None:
        recorder, now = self._recorder, time.time()
        recorder.set("l2_parallel_workers_active", 0)
        recorder.set("l2_queue_depth", 0)
        recorder.set("l2_last_run_start_timestamp_seconds", self._started)
        recorder.set("l2_last_run_completion_timestamp_seconds", now)
        recorder.set("l2_last_run_duration_seconds", time.monotonic() - self._clock)
        recorder.set("l2_last_run_exit_status", exit_status)
        recorder.set("l2_last_run_leaves", len(self._batch.leaves))
        if exit_status == 0:
            recorder.set("l2_last_run_success_timestamp_seconds", now)
        versions = self._prover.versions
        recorder.set(
            "l2_build_info",
            1,
            version=runner.__version__,
            zkvm=versions.zkvm,
            zkvm_version=versions.zkvm_version,
            receipt_kind=self._batch.prover.kind.value,
        )
        hits = recorder.value("l2_cache_hits_total")
        looked_up = hits + recorder.value("l2_cache_misses_total")
        rate = hits / looked_up if looked_up else 0.0
        recorder.set("l2_cache_hit_rate", 100 * rate)
        recorder.set("l2_cache_hit_ratio", rate)
        if summary is not None:
            _summary_metrics(recorder, summary)
        if self._settings.textfile is not None:
            self._write_textfile(self._settings.textfile)

    def _write_textfile(self, path: Path) -> None:
        try:
            write_textfile(path, self._recorder.render())
        except OSError as error:
            # The batch's own result stands; a scrape that finds an old file is the alert's job.
            log.warning("metrics textfile %s not written: %s", path, error.strerror)


def _summary_metrics(recorder: Recorder, summary: Summary) -> None:
    if summary.size_savings_percent is None:
        return
    recorder.set("l2_proof_size_savings_percent", summary.size_savings_percent)
    recorder.set("l2_proof_size_savings_ratio", summary.size_savings_percent / 100)
    recorder.set("l2_receipt_bytes", summary.bytes_before, stage="before")
    recorder.set("l2_receipt_bytes", summary.bytes_after, stage="after")
    if summary.levels:
        recorder.inc("l2_aggregation_proof_count", summary.leaves)
        recorder.set("l2_tps_current", summary.tps)
        recorder.set("l2_tps_average", summary.tps)
        recorder.set("l2_gas_savings_percent", summary.model.gas_savings_percent)
        recorder.set("l2_gas_savings_ratio", summary.model.gas_savings_percent / 100)
