"""The contents of ``result.json``, which is the record of a run."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from runner.batch.identity import made_from
from runner.engines.machine import machine, packages
from runner.files import text_of
from runner.folder import FORMAT
from runner.limits import peak_memory_mib

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from runner.audit.log import Head
    from runner.batch.batch import Batch, Root
    from runner.batch.batch_run import BatchRun
    from runner.batch.run_info import RunInfo
    from runner.batch.summary import Summary
    from runner.model import GpuUse
    from runner.monitoring.gpu import GpuFigures

__all__ = ["audit_seal", "job_rows", "result_rows", "run_record"]


def run_record(  # noqa: PLR0913  # all that the record says
    batch: Batch,
    batch_run: BatchRun,
    info: RunInfo,
    *,
    status: str,
    error: str | None,
    config: dict[str, Any],
    gpus: Sequence[GpuFigures],
    seal: dict[str, Any] | None,
    failures: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """The record of a run that has ended, whatever became of it.

    Args:
        batch: the batch that was run.
        batch_run: the run of the batch, with the outcomes of the finished jobs.
        info: what was known of the run before its first job.
        status: how the run ended: ``ok``, ``partial`` (a result without the leaves that failed),
            ``failed`` or ``interrupted``.
        error: why the status is not ``ok``; None if it is.
        config: the config as the user composed it.
        gpus: the figures of the GPUs over the run.
        seal: what :func:`audit_seal` returned; None for a run without an audit log.
        failures: what :func:`runner.batch.partial.failure_rows` returned.
    """
    return {
        "format": FORMAT,
        "run_id": info.run_id,
        "status": status,
        "error": error,
        "command": sys.argv,
        "started": info.started,
        "finished": time.time(),
        "config": config,
        "made_from": made_from(config, batch.guests, batch.leaves, info.versions).to_json(),
        "kind": batch.prover.kind.value,
        "prover_settings": dict(batch.prover.settings),
        "guests": {
            guest.name: {"image_id": guest.image_id.hex(), "elf_sha256": guest.elf_sha256}
            for guest in batch.guests
        },
        "versions": {**packages(), **asdict(info.versions)},
        "machine": machine(),
        "peak_memory_mib": _peak_memory_mib(batch_run),
        "gpus": [asdict(gpu) for gpu in gpus],
        "plan": batch.plan.to_json(),
        "jobs": job_rows(batch, batch_run),
        "audit": seal,
        **({"failures": list(failures)} if failures else {}),
    }


def result_rows(
    batch: Batch, root: Root | None, summary: Summary, receipts: Sequence[str]
) -> dict[str, Any]:
    """What the record says of a verified result, in addition to :func:`run_record`.

    Args:
        batch: the batch that was run.
        root: the verified root; None for strategy ``none``.
        summary: the summary of the run.
        receipts: the names of the receipts in the output folder.
    """
    rows: dict[str, Any] = {"summary": summary.to_json()}
    if root is not None:
        rows["root"] = {
            "image_id": batch.aggregator.image_id.hex(),
            "journal": root.journal.hex(),
            "verified_count": root.result.verified_count,
            "combined_hash": root.result.combined_hash.hex(),
            "proved": bool(root.receipt_bytes),
        }
    return {**rows, "receipts": list(receipts)}


def audit_seal(log: Path, folder: Path, head: Head) -> dict[str, Any]:
    """What the record says of the audit log: its file, and the line that seals the run's events.

    The file is named relative to the output folder where it is inside it, because the folder may be
    moved as a whole.

    Args:
        log: the file of the audit log.
        folder: the output folder of the run.
        head: the last line of the run in the log.
    """
    file, folder = log.absolute(), folder.absolute()
    name = file.relative_to(folder) if file.is_relative_to(folder) else file
    return {"file": text_of(name), **asdict(head)}


def job_rows(batch: Batch, batch_run: BatchRun) -> Iterator[dict[str, Any]]:
    """The figures of every finished job, in the order of the job ids.

    Args:
        batch: the batch that was run.
        batch_run: the run of the batch.
    """
    for job_id, outcome in batch_run.outcomes.items():
        aggregates = job_id >= batch.plan.leaf_jobs
        yield {
            "id": job_id,
            "name": batch.name(job_id),
            "guest": batch.program(job_id).name,
            "level": batch.plan.aggregation(job_id).level if aggregates else 0,
            "kind": outcome.kind.value,
            "cached": outcome.cached,
            "attempts": outcome.attempts,
            "worker": outcome.worker,
            "started": outcome.started,
            "finished": outcome.finished,
            "prove_s": outcome.prove_s,
            "verify_s": outcome.verify_s,
            "verifications": outcome.verifications,
            "user_cycles": outcome.cycles.user,
            "paging_cycles": outcome.cycles.paging,
            "total_cycles": outcome.cycles.total,
            "segments": outcome.cycles.segments,
            "segments_proved_apart": outcome.parts,
            "segments_halved": outcome.halvings,
            "lifts_and_joins": outcome.joins,
            "receipt_bytes": batch_run.outcomes.receipt_bytes.get(job_id, 0),
            "peak_memory_mib": outcome.peak_memory_mib,
            **_gpu_fields(outcome.gpu),
        }


def _peak_memory_mib(batch_run: BatchRun) -> dict[str, int]:
    """The peak memory of this process, and of the worker of this run that took the most.

    The latter is not there if no worker has finished a job. The workers say it themselves: the
    system knows only the largest of all children of this process, which a sweep has of many runs.
    """
    workers = max((one.peak_memory_mib for one in batch_run.outcomes.values()), default=0)
    return {"runner": peak_memory_mib(), **({"largest_worker": workers} if workers else {})}


def _gpu_fields(gpu: GpuUse | None) -> dict[str, Any]:
    """What a job's row says in addition if a GPU had a part in the proof."""
    if gpu is None:
        return {}
    return {"gpu": gpu.uuid, "gpu_s": gpu.seconds, "gpu_error": gpu.error}
