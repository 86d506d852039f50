"""What one run leaves: its record, its receipts and its metrics, also when it failed."""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import runner
from runner.audit.events import Submitted
from runner.audit.observer import short
from runner.batch.identity import made_from
from runner.batch.last_run import record_result
from runner.batch.record import job_rows, leaf_lines
from runner.batch.summary import Summary, summarise
from runner.engines.machine import machine, packages, peak_memory_mib
from runner.errors import AuditError, BatchFailedError, InterruptedBatchError, JobFailedError
from runner.files import atomic_write
from runner.folder import FORMAT, LEAVES, RESULT, ROOT, sha256, write_json, write_sums
from runner.metric_table import (
    BUILD_INFO,
    CACHE_HIT_RATE,
    CACHE_HIT_RATIO,
    CACHE_HITS,
    CACHE_MISSES,
    ERRORS,
    GPU_MEMORY_USED_BYTES,
    GPU_UTILIZATION_RATIO,
    LAST_RUN_COMPLETION_TIMESTAMP_SECONDS,
    LAST_RUN_DURATION_SECONDS,
    LAST_RUN_EXIT_STATUS,
    LAST_RUN_LEAVES,
    LAST_RUN_START_TIMESTAMP_SECONDS,
    LAST_RUN_SUCCESS_TIMESTAMP_SECONDS,
    PARALLEL_WORKERS_ACTIVE,
    PARALLEL_WORKERS_LIMIT,
    QUEUE_DEPTH,
)
from runner.model import ReceiptKind
from runner.monitoring.publish import publish

if TYPE_CHECKING:
    from collections.abc import Callable

    from runner.audit.log import Head
    from runner.audit.trail import Trail
    from runner.batch.attempt import BatchRun
    from runner.batch.batch import Batch, Root
    from runner.batch.settings import Settings
    from runner.batch.spool import Spool
    from runner.metrics import Recorder
    from runner.monitoring.gpu import GpuFigures
    from runner.provers.prover import Prover

__all__ = ["Outputs"]


class Outputs:
    """The outputs of one run, whatever became of it.

    Args:
        settings: of the run.
        batch: that is run.
        attempt: at it.
        prover: for its versions.
        recorder: what is published.
        run_id: tells this run from all others.
        trail: for the audit log.
        gpus: what the GPUs did, once the run has ended.

    Attributes:
        run_id: The id of the run, as given.
        started: When the run started, in Unix time.
        workers: How many jobs the engine runs side by side, once that is known.
    """

    def __init__(  # noqa: PLR0913  # the wiring of one run
        self,
        settings: Settings,
        batch: Batch,
        attempt: BatchRun,
        prover: Prover,
        recorder: Recorder,
        *,
        run_id: str,
        trail: Trail,
        gpus: Callable[[], list[GpuFigures]] = list,
    ) -> None:
        self._settings = settings
        self.workers = 0
        self._batch = batch
        self._attempt = attempt
        self._prover = prover
        self._recorder = recorder
        self._made_from = made_from(settings, batch.leaves)
        self.run_id = run_id
        self._trail = trail
        self._gpus = gpus
        self.started = time.time()
        self._clock = time.monotonic()

    def places(self) -> dict[str, str]:
        """Where things are, for the closing table; and how secure, where the zkVM says so."""
        folder = _short(self._settings.output)
        shown = {}
        versions = self._prover.versions
        if bits := versions.extra.get("security_bits"):
            shown["security"] = f"{bits} bits, {versions.zkvm} {versions.zkvm_version}"
        shown["outputs"] = folder
        metrics = self._settings.metrics
        if metrics.textfile is not None:
            shown["metrics"] = _short(metrics.textfile)
        if metrics.gateway is not None:
            shown["pushed to"] = metrics.gateway.url
        if self._settings.audit is not None:
            shown["audit log"] = _short(self._settings.audit)
        if self._batch.prover.kind is not ReceiptKind.EXECUTE:
            shown["check it with"] = f"python -m runner.verify {folder}"
        return shown

    def last_word(self, summary: Summary | None, error: BatchFailedError | None) -> dict[str, Any]:
        """How the run ended, for machines: the line on standard output with log_format=json."""
        status = "ok" if error is None else "failed" if error.exit_code == 1 else "interrupted"
        textfile = self._settings.metrics.textfile
        return {
            "event": "batch_finished",
            "run_id": self.run_id,
            "status": status,
            "exit_code": 0 if error is None else error.exit_code,
            "error": None if error is None else str(error),
            "folder": str(self._settings.output),
            "textfile": None if textfile is None else str(textfile),
            "summary": None if summary is None else summary.to_json(),
        }

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
        names = [LEAVES, RESULT]
        lines = leaf_lines(self._batch, attempt, self._settings.journal)
        atomic_write(folder / LEAVES, lines)
        receipts, written = [], [LEAVES]
        if root is not None and root.receipt_bytes:
            assert self._batch.plan.root is not None  # noqa: S101  # there is a Root
            atomic_write(folder / ROOT, spool.get(self._batch.plan.root))
            receipts = [ROOT]
            written.append(ROOT)
        elif root is None and self._batch.prover.kind is not ReceiptKind.EXECUTE:
            receipts = [
                str(spool.path(job).relative_to(folder))
                for job in range(self._batch.plan.leaf_jobs)
            ]
        digests = {name: sha256(folder / name) for name in written}
        self._trail.add(Submitted(files=digests, receipts=len(receipts)))
        record = self._record("ok", None, self._trail.finish("ok", None))
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
        write_json(folder / RESULT, record)
        write_sums(folder, [*names, *receipts])
        if receipts == [ROOT]:
            spool.clear()  # the root carries them, and everything else is written
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
        if not isinstance(error, KeyboardInterrupt | JobFailedError):  # that one is counted
            self._recorder.inc(ERRORS)
        # The error in hand matters more than a disk that also fails to take its record.
        status, head = "interrupted" if interrupted else "failed", None
        with contextlib.suppress(AuditError):
            head = self._trail.finish(status, short(reason))
        with contextlib.suppress(OSError):
            write_json(folder / RESULT, self._record(status, reason, head))
        self._metrics(None, raised.exit_code)
        return raised

    def _record(self, status: str, error: str | None, head: Head | None) -> dict[str, Any]:
        batch, settings = self._batch, self._settings
        seal = None
        if head is not None and settings.audit is not None:
            seal = {"file": _within(settings.audit, settings.output), **asdict(head)}
        versions = self._prover.versions
        return {
            "format": FORMAT,
            "run_id": self.run_id,
            "status": status,
            "error": error,
            "command": sys.argv,
            "started": self.started,
            "finished": time.time(),
            "config": settings.config,
            "made_from": self._made_from.to_json(),
            "kind": batch.prover.kind.value,
            "guests": {
                guest.name: {"image_id": guest.image_id.hex(), "elf_sha256": guest.elf_sha256}
                for guest in (batch.guest, batch.aggregator)
            },
            "versions": {**packages(), **asdict(versions)},
            "machine": machine(),
            "peak_memory_mib": peak_memory_mib(),
            "gpus": [asdict(gpu) for gpu in self._gpus()],
            "plan": batch.plan.to_json(),
            "jobs": job_rows(batch, self._attempt),
            "audit": seal,
        }

    def _metrics(self, summary: Summary | None, exit_status: int) -> None:
        recorder, now = self._recorder, time.time()
        recorder.set(PARALLEL_WORKERS_ACTIVE, 0)
        for index, gpu in enumerate(self._gpus()):
            recorder.set(GPU_UTILIZATION_RATIO, gpu.utilization, gpu=str(index))
            recorder.set(GPU_MEMORY_USED_BYTES, gpu.memory_bytes, gpu=str(index))
        recorder.set(QUEUE_DEPTH, 0)
        recorder.set(PARALLEL_WORKERS_LIMIT, self.workers)
        recorder.set(LAST_RUN_START_TIMESTAMP_SECONDS, self.started)
        recorder.set(LAST_RUN_COMPLETION_TIMESTAMP_SECONDS, now)
        recorder.set(LAST_RUN_DURATION_SECONDS, time.monotonic() - self._clock)
        recorder.set(LAST_RUN_EXIT_STATUS, exit_status)
        recorder.set(LAST_RUN_LEAVES, len(self._batch.leaves))
        if exit_status == 0:
            recorder.set(LAST_RUN_SUCCESS_TIMESTAMP_SECONDS, now)
        versions = self._prover.versions
        recorder.set(
            BUILD_INFO,
            1,
            version=runner.__version__,
            zkvm=versions.zkvm,
            zkvm_version=versions.zkvm_version,
            receipt_kind=self._batch.prover.kind.value,
        )
        hits = recorder.value(CACHE_HITS)
        looked_up = hits + recorder.value(CACHE_MISSES)
        rate = hits / looked_up if looked_up else 0.0
        recorder.set(CACHE_HIT_RATE, 100 * rate)
        recorder.set(CACHE_HIT_RATIO, rate)
        if summary is not None:
            record_result(recorder, summary)
        publish(self._settings.metrics, self.run_id, recorder)


def _within(file: Path, folder: Path) -> str:
    """A file's name in a folder, which may be moved with it; elsewhere its full path."""
    file, folder = file.absolute(), folder.absolute()
    return str(file.relative_to(folder) if file.is_relative_to(folder) else file)


def _short(path: Path) -> str:
    """Relative to where the user stands, if it is below."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
