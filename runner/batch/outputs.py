"""Writes what one run leaves: its record, its receipts and its metrics, also when it failed."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from runner.audit.events import Submitted
from runner.audit.observer import short
from runner.batch.last_run import count_batch, set_gauges
from runner.batch.leaf_list import write_leaf_list
from runner.batch.partial import failure_rows, missing_leaves
from runner.batch.record import audit_seal, result_rows, run_record
from runner.batch.summary import Summary, summarise
from runner.errors import (
    AuditError,
    BatchFailedError,
    InterruptedBatchError,
    JobFailedError,
    PartialBatchError,
    shown_line,
)
from runner.files import atomic_write
from runner.folder import (
    LEAVES,
    MOST_INLINE_BYTES,
    RESULT,
    ROOT,
    compact,
    sha256,
    write_json,
    write_sums,
)
from runner.model import ReceiptKind
from runner.monitoring.publish import publish

if TYPE_CHECKING:
    from collections.abc import Callable

    from runner.audit.log import Head
    from runner.audit.trail import Trail
    from runner.batch.batch import Batch, Root
    from runner.batch.batch_run import BatchRun
    from runner.batch.partial import Rest
    from runner.batch.run_info import RunInfo
    from runner.batch.settings import Settings
    from runner.batch.spool import Spool
    from runner.metrics import Recorder
    from runner.model import Leaf
    from runner.monitoring.gpu import GpuFigures

__all__ = ["Outputs"]

_SHOWN = 3
"""The leaves whose journals the closing table shows."""


class Outputs:
    """Writes the outputs of one run, whatever became of it.

    Args:
        settings: the settings of the run.
        batch: the batch that is run.
        batch_run: the run of the batch.
        info: what is known of the run before its first job.
        recorder: the metrics of the run, which are published when it has ended.
        trail: the audit trail of the run, which is finished before the record is written.
        gpus: a function that returns the figures of the GPUs over the run.
    """

    def __init__(  # noqa: PLR0913  # the wiring of one run, all by keyword
        self,
        *,
        settings: Settings,
        batch: Batch,
        batch_run: BatchRun,
        info: RunInfo,
        recorder: Recorder,
        trail: Trail,
        gpus: Callable[[], list[GpuFigures]],
    ) -> None:
        self._settings = settings
        self._batch = batch
        self._batch_run = batch_run
        self._info = info
        self._recorder = recorder
        self._trail = trail
        self._gpus = gpus
        self._missing: list[tuple[Leaf, str]] = []
        self._failures: list[dict[str, Any]] = []

    def go_on(self, rest: Rest) -> None:
        """Take note that the batch goes on without the leaves that have failed.

        It is called before the run of the batch goes on itself.
        """
        self._note_failures()
        self._missing = missing_leaves(
            self._batch, self._batch_run.outcomes, self._batch_run.failures
        )
        self._batch = rest.batch

    def done(self, root: Root | None, spool: Spool) -> Summary:
        """Write everything that a verified batch leaves.

        The record is written after all that it names, and the checksums are written last.

        Args:
            root: the verified root; None for strategy ``none``.
            spool: the receipts of the run. They are removed if the root's receipt carries them.

        Returns:
            The summary of the run.

        Raises:
            AuditError: the audit log could not be written.
            OSError: an output could not be written.
        """
        folder, batch, batch_run = self._settings.output, self._batch, self._batch_run
        summary = summarise(
            batch,
            batch_run,
            root,
            requested=self._settings.strategy.name,
            wall_s=self._info.elapsed_s(),
            units=self._settings.units,
        )
        missing = self._missing
        written = write_leaf_list(folder, batch, batch_run, self._settings.journals, missing)
        listed, receipts = written.copy(), []
        if root is not None and root.receipt_bytes:
            assert batch.plan.root is not None  # noqa: S101  # there is a Root
            atomic_write(folder / ROOT, spool.get(batch.plan.root))
            receipts = [ROOT]
            written.append(ROOT)
        elif root is None and batch.prover.kind is not ReceiptKind.EXECUTE:
            receipts = [
                str(spool.path(job).relative_to(folder)) for job in range(batch.plan.leaf_jobs)
            ]
        digests = {name: sha256(folder / name) for name in written if name in (LEAVES, ROOT)}
        self._trail.add(Submitted(files=digests, receipts=len(receipts)))
        status, error = ("partial", self.missing_says()) if missing else ("ok", None)
        record = self._record(status, error, self._trail.finish(status, error))
        write_json(folder / RESULT, record | result_rows(batch, root, summary, receipts))
        write_sums(folder, [*listed, RESULT, *receipts])
        if receipts == [ROOT]:
            spool.clear()  # the root's receipt carries them, and everything else is written
        count_batch(self._recorder, summary)
        self._publish(summary, PartialBatchError.exit_code if missing else 0)
        return summary

    def journals_say(self) -> str:
        """What the journals of the first leaves show, in words."""
        batch, done, layouts = self._batch, self._batch_run.outcomes, self._settings.journals
        shown = []
        for leaf, job in zip(batch.leaves[:_SHOWN], batch.plan.leaves, strict=False):
            journal = done[job].journal
            if len(journal) > MOST_INLINE_BYTES:
                shown.append(f"{len(journal):,} bytes")
                continue
            value = layouts[leaf.guest or batch.guest.name].show(journal)
            line = shown_line(value if isinstance(value, str) else compact(value))
            shown.append(line if len(line) <= 80 else f"{line[:77]}...")
        more = len(batch.leaves) - len(shown)
        return ", ".join(shown) + (f" and {more:,} more" if more else "")

    def missing_says(self) -> str | None:
        """What is missing from the result, in words; None if nothing is."""
        if not self._missing:
            return None
        (leaf, reason), *others = self._missing
        more = f", and {len(others)} more" if others else ""
        asked = len(self._missing) + len(self._batch.leaves)
        words = f"{len(self._missing)} of {asked} leaves failed: leaf {leaf.index}: {reason}{more}"
        return short(words)

    def failed(self, error: BaseException) -> BatchFailedError:
        """Write what there is of a batch that failed.

        Args:
            error: the error that ended the run.

        Returns:
            The error that is to be raised in its place.
        """
        folder = self._settings.output
        interrupted = isinstance(error, KeyboardInterrupt)
        done, jobs = len(self._batch_run.outcomes), self._batch.plan.jobs
        self._note_failures()
        reason = "stopped" if interrupted else str(error)
        if (others := len(self._failures) - 1) > 0:
            reason = f"{reason}; {others} more failed, see {RESULT}"
        message = f"{reason}; {done} of {jobs} jobs were finished"
        raised: BatchFailedError = (
            InterruptedBatchError(message, str(folder))
            if interrupted
            else BatchFailedError(message, str(folder))
        )
        # The counters have counted a failed job, and a run that someone stopped is no error.
        if not isinstance(error, KeyboardInterrupt | JobFailedError):
            self._batch_run.counters.error()
        # What ended the run matters more than a disk that takes no record of it either.
        status, head = "interrupted" if interrupted else "failed", None
        with contextlib.suppress(AuditError):
            head = self._trail.finish(status, short(reason))
        with contextlib.suppress(OSError):
            self._write_finished_leaves()
        with contextlib.suppress(OSError):
            write_json(folder / RESULT, self._record(status, reason, head))
        self._publish(None, raised.exit_code)
        return raised

    def _note_failures(self) -> None:
        self._failures += failure_rows(self._batch, self._batch_run.failures)

    def _write_finished_leaves(self) -> None:
        """Write the leaf list of a batch that failed, if any of its leaves has a journal."""
        batch, done = self._batch, self._batch_run.outcomes
        if any(job < batch.plan.leaf_jobs for job in done):
            missing = [*self._missing, *missing_leaves(batch, done, self._batch_run.failures)]
            missing.sort(key=lambda row: row[0].index)
            write_leaf_list(
                self._settings.output, batch, self._batch_run, self._settings.journals, missing
            )

    def _record(self, status: str, error: str | None, head: Head | None) -> dict[str, Any]:
        settings, seal = self._settings, None
        if head is not None and settings.audit is not None:
            seal = audit_seal(settings.audit, settings.output, head)
        return run_record(
            self._batch,
            self._batch_run,
            self._info,
            status=status,
            error=error,
            config=settings.config,
            gpus=self._gpus(),
            seal=seal,
            failures=self._failures,
        )

    def _publish(self, summary: Summary | None, exit_status: int) -> None:
        set_gauges(
            self._recorder,
            self._batch,
            self._info,
            gpus=self._gpus(),
            summary=summary,
            exit_status=exit_status,
        )
        publish(self._settings.metrics, self._info.run_id, self._recorder)
