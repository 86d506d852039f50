"""What one run did, as figures: every metric that is counted while a batch is run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.errors import ProverError
from runner.model import ReceiptKind

if TYPE_CHECKING:
    from runner.errors import JobFailedError
    from runner.executor import Observer
    from runner.metrics import Recorder
    from runner.model import Guest, Outcome, ProofJob

__all__ = ["Recording", "RecordingObserver"]

_PROOF_TIMES = "l2_proof_generation_duration_seconds"


class Recording:
    """Counts for one run. What look-ups call is safe from any thread, as the recorder is.

    Args:
        recorder: this run's metrics.
        strategy: as resolved.
        zkvm: that proves.

    Attributes:
        retries: attempts that failed and were tried again.
        verify_s: seconds spent verifying receipts that count.
    """

    def __init__(self, recorder: Recorder, strategy: str, zkvm: str) -> None:
        self._recorder = recorder
        self._zkvm = zkvm
        # Any kind brings all of them.
        recorder.expect(_PROOF_TIMES, zkvm=zkvm, kind=ReceiptKind.SUCCINCT.value)
        self._strategy = strategy
        self.retries = 0
        self.verify_s = 0.0

    # -- receipts and outcomes: from the deciding thread --------------------------------------

    def verified(self, count: int, seconds: float) -> None:
        """Receipts were verified, and hold."""
        self.verify_s += seconds
        self._count_verified(count, seconds)

    def outcome(self, outcome: Outcome, guest: Guest, *, aggregates: bool) -> None:
        """A job is finished."""
        self.verified(outcome.verifications, outcome.verify_s)
        if outcome.cached:
            return
        recorder = self._recorder
        for kind in ("user", "paging", "total"):
            cycles = getattr(outcome.cycles, kind)
            recorder.inc("l2_guest_cycles_total", cycles, guest=guest.name, type=kind)
        recorder.inc("l2_segments_total", outcome.cycles.segments)
        if outcome.kind is ReceiptKind.EXECUTE:
            recorder.inc("l2_executions_total")
        else:
            recorder.inc("l2_proof_generation_total")
            recorder.inc("l2_proof_generation_duration_ms_total", outcome.prove_s * 1000)
            recorder.observe(
                _PROOF_TIMES,
                outcome.prove_s,
                zkvm=self._zkvm,
                kind=outcome.kind.value,
            )
        if aggregates:
            recorder.inc("l2_aggregation_total")
            recorder.inc("l2_aggregation_strategy_total", strategy=self._strategy)
            recorder.inc("l2_aggregation_duration_ms_total", outcome.prove_s * 1000)
            recorder.observe("l2_aggregation_duration_seconds", outcome.prove_s)

    # -- the cache: look-ups from any thread --------------------------------------------------

    def hit(self) -> None:
        """The cache had a proof, and it verified."""
        self._recorder.inc("l2_cache_hits_total")

    def missed(self) -> None:
        """The cache had no proof."""
        self._recorder.inc("l2_cache_misses_total")

    def rejected(self, seconds: float) -> None:
        """The cache had a proof, and it did not hold."""
        self._count_verified(1, seconds)
        self._recorder.inc("l2_cache_misses_total")
        self._recorder.inc("l2_errors_total")

    def kept(self, evicted: int) -> None:
        """The cache took a proof, and others had to go."""
        self._recorder.inc("l2_cache_evictions_total", evicted)

    # -- what goes wrong -----------------------------------------------

    def error(self, cause: BaseException | None = None) -> None:
        """Something failed that the run may survive."""
        self._recorder.inc("l2_errors_total")
        if isinstance(cause, ProverError) and cause.code == "cuda_failed":
            self._recorder.inc("l2_cuda_errors_total")

    def retrying(self, cause: BaseException) -> None:
        """A job failed and is tried again."""
        self.retries += 1
        self._recorder.inc("l2_job_retries_total")
        self.error(cause)

    def _count_verified(self, count: int, seconds: float) -> None:
        if count:
            self._recorder.inc("l2_proof_verification_total", count)
            self._recorder.inc("l2_proof_verification_duration_ms_total", seconds * 1000)
            self._recorder.observe("l2_proof_verification_duration_seconds", seconds)


class RecordingObserver:
    """Records what it is told, and passes everything on.

    Args:
        recording: of the run.
        observer: is told next.
    """

    def __init__(self, recording: Recording, observer: Observer) -> None:
        self._recording = recording
        self._observer = observer
        self.started = observer.started
        self.finished = observer.finished
        self.load = observer.load  # the live file has these; in the textfile they end at 0

    def retrying(self, job: ProofJob, error: BaseException, wait_s: float) -> None:
        """See :class:`runner.executor.Observer`; likewise the others."""
        self._recording.retrying(error)
        self._observer.retrying(job, error, wait_s)

    def failed(self, job: ProofJob, error: JobFailedError) -> None:  # noqa: D102
        self._recording.error(error.__cause__)
        self._observer.failed(job, error)
