"""Which failures are worth another try, how often, and after what wait: a tenacity policy."""

from __future__ import annotations

from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.errors import JobTimeoutError, ProverError, ReceiptRejectedError, WorkerDiedError

if TYPE_CHECKING:
    import tenacity

__all__ = ["Attempts", "RetryPolicy", "is_transient"]

_TRANSIENT_CODES = frozenset({"internal", "prover_failed", "cuda_failed"})


def is_transient(error: BaseException) -> bool:
    """Whether the same job may well succeed elsewhere or later.

    A guest that fails fails again: that is no accident of the machine.
    """
    if isinstance(error, ProverError):
        return error.code in _TRANSIENT_CODES
    kinds = (WorkerDiedError, JobTimeoutError, ReceiptRejectedError, BrokenExecutor)
    # Dask's word for a dead worker, by name: distributed is an optional dependency.
    return isinstance(error, kinds) or type(error).__name__ == "KilledWorker"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How a failed job is tried again.

    Attributes:
        attempts: starts of one job at most, the first included.
        wait_initial_s: seconds before the second attempt; doubles each time.
        wait_max_s: longest wait.
        jitter_s: up to this many random seconds are added.
    """

    attempts: int = 3
    wait_initial_s: float = 0.5
    wait_max_s: float = 30.0
    jitter_s: float = 0.5

    def tenacity(self) -> tenacity.Retrying:
        """The policy as tenacity's object; only its decisions are used, never its sleep."""
        # Not at the top: it brings asyncio, and most runs never need it.
        import tenacity

        return tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self.attempts),
            wait=tenacity.wait_exponential(self.wait_initial_s, self.wait_max_s)
            + tenacity.wait_random(0, self.jitter_s),
            retry=tenacity.retry_if_exception(is_transient),
        )


class Attempts:
    """The attempts of one job, judged by a tenacity policy without blocking anyone.

    Args:
        retrying: the policy; shared by all jobs of a batch.
    """

    __slots__ = ("_retrying", "_state")

    def __init__(self, retrying: tenacity.Retrying) -> None:
        import tenacity

        self._retrying = retrying
        self._state = tenacity.RetryCallState(retrying, None, (), {})

    @property
    def number(self) -> int:
        """Of the attempt now under way, from 1."""
        return self._state.attempt_number

    def failed(self, error: BaseException) -> float | None:
        """Record a failure; seconds to wait before the next attempt, or None to give up."""
        self._state.set_exception((type(error), error, error.__traceback__))
        if not self._retrying.retry(self._state) or self._retrying.stop(self._state):
            return None
        wait_s = float(self._retrying.wait(self._state))
        self._state.attempt_number += 1
        return wait_s
