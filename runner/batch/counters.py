"""Counts what a run does: all metrics that change while a batch runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.errors import ProverError
from runner.events import Event, JobFailed, JobFinished, JobRetried
from runner.metric_table import (
    AGGREGATION,
    AGGREGATION_DURATION_MS,
    AGGREGATION_DURATION_SECONDS,
    AGGREGATION_STRATEGY,
    CACHE_EVICTIONS,
    CACHE_HITS,
    CACHE_MISSES,
    CUDA_ERRORS,
    ERRORS,
    EXECUTIONS,
    GPU_PROOFS,
    GPUS_SET_ASIDE,
    GUEST_CYCLES,
    JOB_RETRIES,
    PROOF_GENERATION,
    PROOF_GENERATION_DURATION_MS,
    PROOF_GENERATION_DURATION_SECONDS,
    PROOF_VERIFICATION,
    PROOF_VERIFICATION_DURATION_MS,
    PROOF_VERIFICATION_DURATION_SECONDS,
    SEGMENTS,
)
from runner.model import ReceiptKind

if TYPE_CHECKING:
    from runner.metrics import Recorder
    from runner.model import GpuUse, Outcome, ProofJob
    from runner.plan.plan import Plan

__all__ = ["RunCounters"]


class RunCounters:
    """Counts what happens in one run. It is an observer, and look-ups tell it of the cache.

    Any thread may call the methods that look-ups call, because any thread may call those of the
    recorder. Only the thread that runs the plan may call the others.

    Args:
        recorder: the metrics of this run.
        plan: the plan that is run.
        zkvm: the name of the zkVM that proves.

    Attributes:
        retries: the number of failed attempts that are followed by another one.
        verify_s: the seconds spent on verifying receipts that hold.
    """

    def __init__(self, recorder: Recorder, plan: Plan, zkvm: str) -> None:
        self._recorder = recorder
        self._plan = plan
        self._zkvm = zkvm
        # The series of all kinds are made when one is expected, because the kinds are known.
        recorder.expect(
            PROOF_GENERATION_DURATION_SECONDS, zkvm=zkvm, kind=ReceiptKind.SUCCINCT.value
        )
        recorder.set(GPUS_SET_ASIDE, 0)
        self.retries = 0
        self.verify_s = 0.0
        self._failed_gpus: set[str] = set()

    def notice(self, event: Event) -> None:
        """Count an event; see :class:`runner.events.Observer`.

        The load of the executor is not counted. The live figures show the load, and the textfile
        shows 0 because the run has ended when it is written.
        """
        match event:
            case JobFinished():
                self._finished(event.job, event.outcome)
            case JobRetried():
                self.retries += 1
                self._recorder.inc(JOB_RETRIES)
                self.error(event.error)
            case JobFailed():
                self.error(event.error.__cause__)
            case _:
                pass

    def verified(self, count: int, seconds: float) -> None:
        """Count receipts that were verified and hold.

        Args:
            count: the number of receipts.
            seconds: the seconds that their verification took.
        """
        self.verify_s += seconds
        self._count_verified(count, seconds)

    def error(self, cause: BaseException | None = None) -> None:
        """Count an error that the run may survive.

        Args:
            cause: the error that ended an attempt at a job; None if no attempt failed.
        """
        self._recorder.inc(ERRORS)
        if isinstance(cause, ProverError) and cause.code == "cuda_failed":
            self._recorder.inc(CUDA_ERRORS)

    # -- the cache; look-ups call these methods from any thread ------------------------------------

    def hit(self) -> None:
        """Count a proof that the cache had and that did verify."""
        self._recorder.inc(CACHE_HITS)

    def missed(self) -> None:
        """Count a proof that the cache did not have."""
        self._recorder.inc(CACHE_MISSES)

    def rejected(self, seconds: float) -> None:
        """Count a proof that the cache had and that did not verify.

        Args:
            seconds: the seconds that its verification took.
        """
        self._count_verified(1, seconds)
        self._recorder.inc(CACHE_MISSES)
        self._recorder.inc(ERRORS)

    def kept(self, evicted: int) -> None:
        """Count a proof that the cache has kept.

        Args:
            evicted: the number of proofs that the cache removed to make room for it.
        """
        self._recorder.inc(CACHE_EVICTIONS, evicted)

    # -- GPUs -------------------------------------------------------------------------------------

    def _used(self, gpu: GpuUse) -> None:
        """Count what a GPU has done in a job that has finished."""
        if not gpu.error:
            self._recorder.inc(GPU_PROOFS)
            return
        self._failed_gpus.add(gpu.uuid)
        self._recorder.inc(ERRORS)
        self._recorder.inc(CUDA_ERRORS)
        self._recorder.set(GPUS_SET_ASIDE, len(self._failed_gpus))

    # -- finished jobs ----------------------------------------------------------------------------

    def _finished(self, job: ProofJob, outcome: Outcome) -> None:
        self.verified(outcome.verifications, outcome.verify_s)
        if outcome.cached:
            return
        recorder = self._recorder
        if outcome.gpu is not None:
            self._used(outcome.gpu)
        cycles, guest = outcome.cycles, job.guest.name
        recorder.inc(GUEST_CYCLES, cycles.user, guest=guest, type="user")
        recorder.inc(GUEST_CYCLES, cycles.paging, guest=guest, type="paging")
        recorder.inc(GUEST_CYCLES, cycles.total, guest=guest, type="total")
        recorder.inc(SEGMENTS, cycles.segments)
        if outcome.kind is ReceiptKind.EXECUTE:
            recorder.inc(EXECUTIONS)
        else:
            recorder.inc(PROOF_GENERATION)
            recorder.inc(PROOF_GENERATION_DURATION_MS, outcome.prove_s * 1000)
            recorder.observe(
                PROOF_GENERATION_DURATION_SECONDS,
                outcome.prove_s,
                zkvm=self._zkvm,
                kind=outcome.kind.value,
            )
        if job.id >= self._plan.leaf_jobs:
            recorder.inc(AGGREGATION)
            recorder.inc(AGGREGATION_STRATEGY, strategy=self._plan.strategy)
            recorder.inc(AGGREGATION_DURATION_MS, outcome.prove_s * 1000)
            recorder.observe(AGGREGATION_DURATION_SECONDS, outcome.prove_s)

    def _count_verified(self, count: int, seconds: float) -> None:
        if count:
            self._recorder.inc(PROOF_VERIFICATION, count)
            self._recorder.inc(PROOF_VERIFICATION_DURATION_MS, seconds * 1000)
            self._recorder.observe(PROOF_VERIFICATION_DURATION_SECONDS, seconds)
