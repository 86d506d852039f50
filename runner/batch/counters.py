"""Counts what a run does: all metrics that change while a batch runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.errors import ProverError
from runner.events import Event, JobFailed, JobFinished, JobRetried, JobSplit
from runner.metric_table import (
    AGGREGATION_PROOF_GENERATION,
    AGGREGATION_PROOF_GENERATION_DURATION_SECONDS,
    CACHE_EVICTIONS,
    CACHE_HITS,
    CACHE_MISSES,
    CUDA_ERRORS,
    ERRORS,
    EXECUTED_AGGREGATION_RUNS,
    EXECUTED_CYCLES,
    EXECUTED_ERRORS,
    EXECUTED_RETRIES,
    EXECUTED_SEGMENTS,
    EXECUTIONS,
    GPU_PROOFS,
    GPUS_SET_ASIDE,
    GUEST_CYCLES,
    HOST_JOBS,
    JOB_RETRIES,
    LONG_RUNS,
    PROOF_GENERATION,
    PROOF_GENERATION_DURATION_MS,
    PROOF_GENERATION_DURATION_SECONDS,
    PROOF_VERIFICATION,
    PROOF_VERIFICATION_DURATION_MS,
    PROOF_VERIFICATION_DURATION_SECONDS,
    SEGMENT_JOIN_DURATION_SECONDS,
    SEGMENT_JOINS,
    SEGMENT_PROOF_DURATION_SECONDS,
    SEGMENT_PROOFS,
    SEGMENTS,
    STORE_BYTES,
    STORE_ERRORS,
)
from runner.model import ReceiptKind, Step
from runner.monitoring.hosts import HostTally

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runner.metrics import Recorder
    from runner.model import GpuUse, Outcome, Part, ProofJob, Visit
    from runner.plan.plan import Plan

__all__ = ["RunCounters"]


class RunCounters:
    """Counts what happens in one run. It is an observer, and look-ups tell it of the cache.

    A batch that only executes counts under names of its own, so that it moves no counter of what
    was proved.

    Any thread may call the methods that look-ups call, because any thread may call those of the
    recorder. Only the thread that runs the plan may call the others.

    Args:
        recorder: the metrics of this run.
        plan: the plan that is run.
        zkvm: the name of the zkVM that proves.
        kind: the kind of the batch's receipts, or EXECUTE for a batch that proves nothing.
        guests: the names of the guests that the batch runs.

    Attributes:
        retries: the number of failed attempts that are followed by another one.
        verify_s: the seconds spent on verifying receipts that hold.
        segments_proved: the number of segments that were proved one by one.
        segments_cached: the number of segments whose receipts came from the cache.
    """

    def __init__(
        self,
        recorder: Recorder,
        plan: Plan,
        *,
        zkvm: str,
        kind: ReceiptKind,
        guests: Iterable[str],
    ) -> None:
        self._recorder = recorder
        self._plan = plan
        self._zkvm = zkvm
        executes = self._executes = kind is ReceiptKind.EXECUTE
        self._errors = EXECUTED_ERRORS if executes else ERRORS
        self._retries = EXECUTED_RETRIES if executes else JOB_RETRIES
        self._cycles = EXECUTED_CYCLES if executes else GUEST_CYCLES
        self._segments = EXECUTED_SEGMENTS if executes else SEGMENTS
        # The series of all kinds are made when one is expected, because the kinds are known.
        recorder.expect(
            PROOF_GENERATION_DURATION_SECONDS, zkvm=zkvm, kind=ReceiptKind.SUCCINCT.value
        )
        recorder.set(GPUS_SET_ASIDE, 0)
        # Those of both modes are there, so that the first run of the other one is a rise as well.
        for guest in guests:
            for cycles in (GUEST_CYCLES, EXECUTED_CYCLES):
                recorder.expect(cycles, guest=guest, type="total")
        self._hosts = HostTally()
        self.retries = 0
        self.verify_s = 0.0
        self.segments_proved = 0
        self.segments_cached = 0
        self._failed_gpus: set[str] = set()

    def notice(self, event: Event) -> None:
        """Count an event; see :class:`runner.events.Observer`.

        The load of the executor is not counted. The live figures show the load, and the textfile
        shows 0 because the run has ended when it is written.
        """
        match event:
            case JobFinished():
                self._finished(event.job, event.outcome)
            case JobSplit():
                self.verified(event.outcome.verifications, event.outcome.verify_s)
                self._recorder.inc(LONG_RUNS)
            case JobRetried():
                self.retries += 1
                self._recorder.inc(self._retries)
                self.error(event.error)
            case JobFailed():
                self.error(event.error.__cause__)
            case _:
                pass

    def go_on(self, plan: Plan) -> None:
        """Count another plan of the same run."""
        self._plan = plan

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
        self._recorder.inc(self._errors)
        if isinstance(cause, ProverError) and cause.code == "cuda_failed":
            self._recorder.inc(CUDA_ERRORS)

    def visited(self, visit: Visit) -> None:
        """Count a job that a worker elsewhere has finished, and the bytes on its way."""
        self._hosts.count(visit)
        self._recorder.inc(STORE_BYTES, visit.fetched, way="fetched")
        self._recorder.inc(STORE_BYTES, visit.kept, way="kept")
        self._recorder.inc(STORE_BYTES, visit.sent, way="sent")
        if visit.trouble:
            self._recorder.inc(STORE_ERRORS)
        for share in self._hosts.shares():
            self._recorder.set(HOST_JOBS, share.jobs, host=share.host)

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
        self.error()

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
        if not outcome.parts:  # those of a long run's parts are counted with each of them
            self.verified(outcome.verifications, outcome.verify_s)
        if outcome.cached:
            self.segments_cached += job.part is not None and job.part.step is Step.SEGMENT
            return
        recorder = self._recorder
        if job.part is not None:
            self._part_finished(job.part, outcome)
            return
        if outcome.gpu is not None:
            self._used(outcome.gpu)
        cycles, guest = outcome.cycles, job.guest.name
        recorder.inc(self._cycles, cycles.user, guest=guest, type="user")
        recorder.inc(self._cycles, cycles.paging, guest=guest, type="paging")
        recorder.inc(self._cycles, cycles.total, guest=guest, type="total")
        recorder.inc(self._segments, cycles.segments)
        aggregates = job.id >= self._plan.leaf_jobs
        if self._executes:
            recorder.inc(EXECUTIONS)
            if aggregates:
                recorder.inc(EXECUTED_AGGREGATION_RUNS)
            return
        recorder.inc(PROOF_GENERATION)
        recorder.inc(PROOF_GENERATION_DURATION_MS, outcome.prove_s * 1000)
        recorder.observe(
            PROOF_GENERATION_DURATION_SECONDS,
            outcome.prove_s,
            zkvm=self._zkvm,
            kind=outcome.kind.value,
        )
        if aggregates:
            recorder.inc(AGGREGATION_PROOF_GENERATION)
            recorder.observe(AGGREGATION_PROOF_GENERATION_DURATION_SECONDS, outcome.prove_s)

    def _part_finished(self, part: Part, outcome: Outcome) -> None:
        """Count a part of a long run. The run itself counts as one proof when all are there."""
        if part.last:
            return
        if part.step is Step.SEGMENT:
            self.segments_proved += 1
            self._recorder.inc(SEGMENT_PROOFS)
            self._recorder.observe(SEGMENT_PROOF_DURATION_SECONDS, outcome.prove_s)
        else:
            self._recorder.inc(SEGMENT_JOINS)
            self._recorder.observe(SEGMENT_JOIN_DURATION_SECONDS, outcome.prove_s)
        if outcome.gpu is not None:
            self._used(outcome.gpu)

    def _count_verified(self, count: int, seconds: float) -> None:
        if count:
            self._recorder.inc(PROOF_VERIFICATION, count)
            self._recorder.inc(PROOF_VERIFICATION_DURATION_MS, seconds * 1000)
            self._recorder.observe(PROOF_VERIFICATION_DURATION_SECONDS, seconds)
