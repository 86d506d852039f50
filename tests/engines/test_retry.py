"""The retry policy: which failures are worth another attempt, how many, and after what wait."""

from __future__ import annotations

import pickle
from concurrent.futures import CancelledError
from concurrent.futures.process import BrokenProcessPool

import pytest

from runner.engines.retry import Attempts, RetryPolicy, is_transient
from runner.errors import (
    InputError,
    JobTimeoutError,
    ProverError,
    ReceiptRejectedError,
    WorkerDiedError,
)


class MachineGoneError(Exception):
    """An error that somebody else's engine raises when it has lost a machine."""


TRANSIENT = [
    WorkerDiedError("signal SIGKILL"),
    JobTimeoutError(5),
    ReceiptRejectedError("leaf 1", "bad seal"),
    BrokenProcessPool("gone"),
    ProverError("internal", "?"),
    ProverError("prover_failed", "?"),
    ProverError("cuda_failed", "out of memory"),
]
LASTING = [
    ProverError("guest_failed", "panic"),
    ProverError("bad_elf", "no"),
    ProverError("unavailable", "no"),
    InputError("a", 1, "b", "c"),
    ValueError("bug"),
    MemoryError(),
    CancelledError(),
    TypeError("the result does not pickle"),
]


def name(error: BaseException) -> str:
    return f"{type(error).__name__}-{error}"


@pytest.mark.parametrize("error", TRANSIENT, ids=name)
def test_accidents_are_tried_again(error: BaseException) -> None:
    assert is_transient(error)
    assert Attempts(RetryPolicy().tenacity()).failed(error) is not None


def test_an_engine_adds_its_own_accidents() -> None:
    error = MachineGoneError("10.0.0.7")
    assert Attempts(RetryPolicy().tenacity((MachineGoneError,))).failed(error) is not None
    assert Attempts(RetryPolicy().tenacity()).failed(error) is None


@pytest.mark.parametrize("error", LASTING, ids=name)
def test_what_fails_again_is_not(error: BaseException) -> None:
    assert not is_transient(error)
    assert Attempts(RetryPolicy().tenacity()).failed(error) is None


def waits(policy: RetryPolicy, failures: int) -> list[float | None]:
    attempts = Attempts(policy.tenacity())
    return [attempts.failed(WorkerDiedError("x")) for _ in range(failures)]


def test_waits_double_up_to_a_limit() -> None:
    policy = RetryPolicy(attempts=7, wait_initial_s=0.5, wait_max_s=5.0, jitter_s=0.0)
    assert waits(policy, 7) == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0, None]


def test_jitter_adds_up_to_so_much() -> None:
    policy = RetryPolicy(attempts=100, wait_initial_s=1.0, wait_max_s=1e9, jitter_s=0.25)
    firsts = [waits(policy, 1)[0] for _ in range(50)]
    assert all(wait is not None and 1.0 <= wait <= 1.25 for wait in firsts)
    assert len(set(firsts)) > 1


def test_attempts_count_the_first() -> None:
    assert waits(RetryPolicy(attempts=1), 1) == [None]
    assert waits(RetryPolicy(attempts=2, wait_initial_s=3.0, jitter_s=0.0), 2) == [3.0, None]


def test_many_attempts_never_overflow() -> None:
    found = waits(RetryPolicy(attempts=3000, wait_max_s=30.0, jitter_s=0.0), 2999)
    assert found[-1] == 30.0


def test_numbers_count_starts() -> None:
    attempts = Attempts(RetryPolicy(attempts=2).tenacity())
    assert attempts.number == 1
    attempts.failed(WorkerDiedError("x"))
    assert attempts.number == 2
    attempts.failed(WorkerDiedError("x"))
    assert attempts.number == 2  # there is no third attempt


def test_jobs_share_a_policy_and_nothing_else() -> None:
    shared = RetryPolicy(attempts=2, jitter_s=0.0).tenacity()
    first, second = Attempts(shared), Attempts(shared)
    assert first.failed(WorkerDiedError("x")) == 0.5
    assert first.failed(WorkerDiedError("x")) is None
    assert second.failed(WorkerDiedError("x")) == 0.5


def test_a_failure_after_another_kind_of_failure_is_judged_by_itself() -> None:
    attempts = Attempts(RetryPolicy(attempts=3, jitter_s=0.0).tenacity())
    assert attempts.failed(WorkerDiedError("x")) == 0.5
    assert attempts.failed(ProverError("guest_failed", "panic")) is None


def test_the_policy_is_a_value() -> None:
    policy = RetryPolicy(attempts=5)
    assert pickle.loads(pickle.dumps(policy)) == policy
