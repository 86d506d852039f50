"""What crosses a process boundary comes out as it went in, exceptions too, and prints on a line."""

from __future__ import annotations

import copy
import inspect
import pickle
from pathlib import Path

import pytest

from runner import errors
from runner.engines.retry import RetryPolicy
from runner.errors import RunnerError
from runner.model import (
    Aggregation,
    Child,
    Cycles,
    Guest,
    Leaf,
    Outcome,
    ProofJob,
    ReceiptInfo,
    ReceiptKind,
    Versions,
)
from runner.plan.journal import AggregationResult
from runner.plan.savings_model import estimate
from runner.plan.strategy import make_plan
from runner.provers.prover import Proof, ProverSpec

SAMPLES: list[RunnerError] = [
    errors.RunnerError("plain"),
    errors.InputError("guest.inputs[3].n", -1, "is below 0", "give an integer from 0 to 93"),
    errors.ProverError("guest_failed", "guest panicked: n is above 93"),
    errors.ReceiptRejectedError("job 7", "bad seal"),
    errors.SegmentLostError(3, 56, "not what was kept"),
    errors.JobTimeoutError(2.5),
    errors.WorkerDiedError("signal SIGKILL"),
    errors.JobFailedError("leaf 3", 2, "worker died (signal SIGKILL)"),
    errors.BatchFailedError("leaf 3 failed", "outputs/1"),
    errors.PartialBatchError("1 of 8 leaves failed", "outputs/1"),
    errors.InterruptedBatchError("SIGTERM", "outputs/1"),
    errors.CacheError("/proc/no", "read-only file system"),
    errors.VerificationFailedError("combined_hash", "expected 00, found 01"),
    errors.AuditError("audit.jsonl", "no space left on device"),
    errors.AuditBrokenError(17, "it was changed"),
    errors.UnexpectedError("ValueError: no", "outputs/1/traceback.txt"),
    errors.LedgerCorruptError("the checksum is another"),
    errors.LedgerNewerError(7, 1),
    errors.OperatingSystemError("", "Resource temporarily unavailable"),
    errors.L1Error("reverted", "the contract reverted", "0x08c379a0"),
    errors.ArtifactLostError("s3://bucket", "blobs/00/00 is not there"),
    errors.StoreError("s3://bucket", "no answer within 60 s"),
]

ids = pytest.mark.parametrize("error", SAMPLES, ids=lambda error: type(error).__name__)


def test_every_exception_is_here() -> None:
    defined = {
        cls
        for _, cls in inspect.getmembers(errors, inspect.isclass)
        if issubclass(cls, Exception) and cls.__module__ == errors.__name__
    }
    assert {type(sample) for sample in SAMPLES} == defined
    public = [name for name in errors.__all__ if inspect.isclass(getattr(errors, name))]
    assert sorted(cls.__name__ for cls in defined) == sorted(public)
    assert all(issubclass(cls, RunnerError) for cls in defined)


@ids
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_exceptions_come_out_as_they_went_in(error: RunnerError, protocol: int) -> None:
    found = pickle.loads(pickle.dumps(error, protocol))
    assert type(found) is type(error)
    assert vars(found) == vars(error)
    assert found.args == error.args
    assert str(found) == str(error)
    assert found.exit_code == error.exit_code


@ids
def test_exceptions_can_be_copied(error: RunnerError) -> None:
    assert str(copy.copy(error)) == str(copy.deepcopy(error)) == str(error)


def test_every_field_is_an_attribute() -> None:
    for sample in SAMPLES[1:]:
        init = inspect.signature(type(sample).__init__)
        names = [name for name in init.parameters if name != "self"]
        assert [getattr(sample, name) for name in names] == list(sample.args)


@ids
def test_exit_codes(error: RunnerError) -> None:
    usage = (errors.InputError, errors.CacheError)
    stopped = errors.InterruptedBatchError
    assert error.exit_code == (130 if isinstance(error, stopped) else 1 + isinstance(error, usage))


def test_messages() -> None:
    assert [str(sample) for sample in SAMPLES] == [
        "plain",
        "guest.inputs[3].n = -1: is below 0; give an integer from 0 to 93",
        "guest panicked: n is above 93 [guest_failed]",
        "job 7: receipt rejected: bad seal",
        "segment 57 of job 3: not what was kept",
        "no result within 2.5 s, worker ended; raise executor.timeout_s",
        (
            "worker died (signal SIGKILL); if memory was short, lower executor.workers, or"
            " prover.segment_po2 where the prover has it"
        ),
        "leaf 3 failed after 2 attempts: worker died (signal SIGKILL)",
        "batch failed: leaf 3 failed (finished receipts and figures: outputs/1)",
        "batch done in part: 1 of 8 leaves failed (the verified result of the rest: outputs/1)",
        "batch interrupted: SIGTERM (the same command continues from here)",
        "cache.folder = '/proc/no': read-only file system; choose another or use cache=off",
        "NOT VERIFIED: combined_hash: expected 00, found 01",
        "audit log audit.jsonl: no space left on device; see docs/audit.md",
        "line 17: it was changed",
        "a bug, please report it: ValueError: no (traceback in outputs/1/traceback.txt)",
        "damaged metrics ledger: the checksum is another",
        "metrics ledger of format 7, known up to 1: update, or choose another metrics.ledger",
        "the operating system: Resource temporarily unavailable",
        "L1: the contract reverted [reverted]",
        "store.url = 's3://bucket': blobs/00/00 is not there",
        "store.url = 's3://bucket': no answer within 60 s",
    ]


HOSTILE = {
    "newline": "a\nb",
    "carriage return": "a\r\nb",
    "line separator": "a\u2028b\u2029c\x85d",
    "feeds": "a\x0bb\x0cc\x1cd",
    "long": "x" * 100_000,
    "long lines": "x\n" * 10_000,
    "surrogate": "\udcff",
    "number": 10**5000,
    "list": ["a\nb", 1],
    "nothing": None,
}


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_input_errors_are_one_short_line_whatever_the_value(value: object) -> None:
    error = errors.InputError("field", value, "is not usable", "give another")
    line = str(error)
    assert line.splitlines() == [line]
    assert len(line) < 250
    assert line.startswith("field = ")
    assert line.endswith(": is not usable; give another")
    assert str(pickle.loads(pickle.dumps(error))) == line


@pytest.mark.parametrize(
    "error",
    [sample for sample in SAMPLES[2:] if any(isinstance(arg, str) for arg in sample.args)],
    ids=lambda error: type(error).__name__,
)
def test_every_message_is_one_line_whatever_the_words(error: RunnerError) -> None:
    words = [HOSTILE["feeds"] if isinstance(arg, str) else arg for arg in error.args]
    line = str(type(error)(*words))
    assert line.splitlines() == [line]


def test_a_list_of_numbers_too_large_to_print() -> None:
    assert "\n" not in str(
        errors.InputError("guest.inputs", [10**5000], "is too large", "use less")
    )


GUEST = Guest("fibonacci", bytes(32), Path("guests/elfs/fibonacci.bin"), "00" * 32)
CHILD = Child(bytes(32), b"journal", b"receipt")
JOB = ProofJob(3, "leaf 3", GUEST, b"stdin", (CHILD,), ReceiptKind.SUCCINCT, 2)
VALUES = [
    *ReceiptKind,
    GUEST,
    Leaf(0, {"n": 10, "flag": True, "data": "x"}, b"\x0a\0\0\0"),
    Aggregation(6, 1, (0, 1, 0)),
    CHILD,
    Child(bytes(32), b"journal", None),
    JOB,
    Cycles(1, 2, 3, 4),
    Outcome(
        3, bytes(32), b"j", b"r", ReceiptKind.GROTH16, Cycles(), 1.0, 0.1, 2, 99, 0.0, 1.0, True, 0
    ),
    ReceiptInfo("composite", 100, 2, 1, b"j"),
    Versions("risc0", "3.0.6", {"cuda": "false"}),
    ProverSpec("risc0", ReceiptKind.COMPOSITE, (("segment_po2", 21),)),
    Proof(b"j", None, Cycles(), "log"),
    RetryPolicy(attempts=9),
    AggregationResult(bytes(32), 3, bytes(32)),
    make_plan("two_level", range(9)),
    estimate(10, 10),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_come_out_as_they_went_in(value: object) -> None:
    found = pickle.loads(pickle.dumps(value))
    assert type(found) is type(value)
    assert found == value


def test_an_outcome_carries_its_receipt_through() -> None:
    assert pickle.loads(pickle.dumps(JOB)).children[0].receipt == b"receipt"
    assert pickle.loads(pickle.dumps(ReceiptKind.GROTH16)) is ReceiptKind.GROTH16
