"""Which failures are worth another attempt, how many attempts a job gets, and how long they wait.

The decisions are made by a policy of the library tenacity.
"""

from __future__ import annotations

from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.errors import (
    JobTimeoutError,
    ProverError,
    ReceiptRejectedError,
    SegmentLostError,
    StoreError,
    WorkerDiedError,
)

if TYPE_CHECKING:
    import tenacity

__all__ = ["Attempts", "RetryPolicy", "is_transient"]

_TRANSIENT_CODES = frozenset({"internal", "prover_failed", "cuda_failed"})
_TRANSIENT = (
    WorkerDiedError,
    JobTimeoutError,
    ReceiptRejectedError,
    SegmentLostError,
    StoreError,
    BrokenExecutor,
)


def is_transient(error: BaseException, engines: tuple[type[BaseException], ...] = ()) -> bool:
    """Whether the same job may succeed elsewhere or later.

    The failure of a guest is not transient, because it would fail in the same way again.

    Args:
        error: The exception that the job failed with.
        engines: The exceptions that the engine calls transient (:attr:`Engine.transient`).
    """
    if isinstance(error, ProverError):
        return error.code in _TRANSIENT_CODES
    return isinstance(error, (*_TRANSIENT, *engines))


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The rules by which a failed job is tried again.

    Attributes:
        attempts: The largest number of attempts at one job, including the first.
        wait_initial_s: The seconds to wait before the second attempt. Each later wait is twice as
            long as the one before.
        wait_max_s: The longest wait in seconds, before jitter.
        jitter_s: The largest random number of seconds that is added to each wait.
    """

    attempts: int = 3
    wait_initial_s: float = 0.5
    wait_max_s: float = 30.0
    jitter_s: float = 0.5

    def tenacity(self, engines: tuple[type[BaseException], ...] = ()) -> tenacity.Retrying:
        """The policy as an object of tenacity. Only its decisions are used, and it never sleeps.

        Args:
            engines: The exceptions that the engine calls transient.
        """
        # Importing tenacity also imports asyncio, and most runs have no failure to judge.
        import tenacity

        return tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self.attempts),
            wait=tenacity.wait_exponential(self.wait_initial_s, self.wait_max_s)
            + tenacity.wait_random(0, self.jitter_s),
            retry=tenacity.retry_if_exception(lambda error: is_transient(error, engines)),
        )


class Attempts:
    """The attempts at one job, judged by a policy of tenacity. No method waits.

    Args:
        retrying: The policy, shared by all jobs of a batch.

    Attributes:
        memory_was_short: Whether the last attempt had not the memory that it needed. The system may
            say so, or the worker has ended itself. Somebody may also kill a worker by hand, so that
            one kill alone says nothing, but the second one in a row does.
    """

    __slots__ = ("_before", "_killed", "_retrying", "_state", "memory_was_short")

    def __init__(self, retrying: tenacity.Retrying) -> None:
        import tenacity

        self._retrying = retrying
        self._state = tenacity.RetryCallState(retrying, None, (), {})
        self._before = 0
        self._killed = False
        self.memory_was_short = False

    @property
    def number(self) -> int:
        """The number of the current attempt, counted from 1."""
        return self._before + self._state.attempt_number

    def made_smaller(self, before: int) -> None:
        """Note that the job needs less memory from now on. So its attempts are limited anew.

        Args:
            before: The number of attempts that were made. Those to come are counted from there.
        """
        self._before = before
        self._state.attempt_number = 1
        self._killed = self.memory_was_short = False

    def failed(self, error: BaseException) -> float | None:
        """Record that the current attempt failed.

        Returns:
            The seconds to wait before the next attempt, or None if there is to be none.
        """
        died = error if isinstance(error, WorkerDiedError) else None
        sure = died is not None and (died.out_of_memory or died.aborted)
        killed = died is not None and died.killed
        self.memory_was_short = sure or (killed and self._killed)
        self._killed = killed
        self._state.set_exception((type(error), error, error.__traceback__))
        if not self._retrying.retry(self._state) or self._retrying.stop(self._state):
            return None
        wait_s = float(self._retrying.wait(self._state))
        self._state.attempt_number += 1
        return wait_s
