"""Segments of runs: every run is cut so that it can be proved, and its segments one by one."""

from __future__ import annotations

import hashlib
import itertools
import signal
import subprocess
import sys
import time
from functools import partial

import pytest
import runner_risc0 as native

from runner.model import LongRun, ReceiptKind
from runner.plan.journal import aggregator_stdin, padded
from runner.provers.guests import AGGREGATOR
from runner.provers.prover import ProverSpec
from runner.provers.risc0.adapter import Risc0Prover
from tests.native.receipts import ONE_SEGMENT
from tests.native.risc0 import (
    GUESTS,
    RECURSION,
    aggregate,
    elf,
    failure,
    fibonacci,
    image_id,
    leaf,
)

SEED = bytes(32)

LEAST = 14
"""The smallest segment that can be proved and lifted, as a power of two."""


def letters(length: int) -> bytes:
    return padded(b"a" * length)


def cut(stdin: bytes, po2: int, claims: list[tuple[bytes, bytes]] | None = None) -> list[bytes]:
    """The segments of a run of sha256, or of the aggregator over the claims."""
    segments: list[bytes] = []

    def take(index: int, segment: bytes) -> None:
        assert index == len(segments)
        segments.append(segment)

    program = elf("sha256") if claims is None else elf(AGGREGATOR)
    native.cut(program, stdin, take, claims or [], seed=SEED, segment_po2=po2)
    return segments


def shape(length: int, po2: int) -> list[int]:
    return native.execute(elf("sha256"), letters(length), segment_po2=po2).segment_po2s


def edges(po2: int, lengths: range) -> list[int]:
    """The lengths around which the shape of the run changes, both sides of each change."""
    found: set[int] = set()
    for before, after in itertools.pairwise(lengths):
        wanted = shape(before, po2)
        if shape(after, po2) == wanted:
            continue
        low, high = before, after
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if shape(middle, po2) == wanted else (low, middle)
        found |= {low - 1, low, high, high + 1}
    return sorted(found)


@pytest.mark.parametrize(
    ("po2", "lengths"),
    [
        (14, range(900, 3_000, 300)),
        (15, range(1_000, 16_000, 2_500)),
        (16, range(13_000, 25_000, 1_500)),
        (17, range(36_000, 84_000, 4_000)),
    ],
)
def test_whatever_the_length_every_segment_can_be_proved(po2: int, lengths: range) -> None:
    """Each range goes over the lengths at which a run no longer fits into one segment."""
    changes = edges(po2, lengths)
    assert len(changes) >= 4
    for length in changes:
        run = native.measure(elf("sha256"), letters(length), seed=SEED, segment_po2=po2)
        assert run.segment_po2s == shape(length, po2)
        assert min(run.segment_po2s) >= LEAST, (length, run.segment_po2s)
        # Only where no smaller segments do is one larger than was asked for.
        assert max(run.segment_po2s) <= po2 + 1, (length, run.segment_po2s)
        segments = cut(letters(length), run.segment_po2)
        assert len(segments) == run.segments
        for segment in {segments[0], segments[-1]}:
            native.check_segment(segment)


def test_a_last_segment_that_would_be_too_small_makes_another_cut() -> None:
    length = 19_736  # found by the search above: cut at 2^16, its last segment has 2^13 cycles
    as_it_comes = cut(letters(length), 16)
    code, message = failure(native.check_segment, as_it_comes[-1])
    assert code == "unprovable"
    assert "2^13" in message
    run = native.execute(elf("sha256"), letters(length), segment_po2=16)
    assert run.segment_po2 == 17
    assert run.segment_po2s == [16]  # one segment, of the size that was asked for


def test_a_run_is_cut_into_the_same_bytes_again() -> None:
    first, second = cut(letters(3000), 14), cut(letters(3000), 14)
    assert first == second
    assert len(set(first)) == len(first) > 2
    others: list[bytes] = []
    native.cut(
        elf("sha256"), letters(3000), lambda _, one: others.append(one), seed=b"2", segment_po2=14
    )
    assert not set(first) & set(others)


def test_a_measured_run_is_the_executed_one() -> None:
    claims = [leaf(i) for i in range(5)]
    runs = [
        (elf("sha256"), letters(3000), []),
        (elf(AGGREGATOR), aggregator_stdin(image_id(AGGREGATOR), claims), claims),
    ]
    for program, stdin, assumptions in runs:
        measured = native.measure(program, stdin, assumptions, seed=SEED, segment_po2=14)
        executed = native.execute(program, stdin, assumptions, segment_po2=14)
        for name in ("journal", "user_cycles", "paging_cycles", "segment_po2s", "log"):
            assert getattr(measured, name) == getattr(executed, name), name
    wrong = native.NativeError
    for call in (native.execute, partial(native.measure, seed=SEED)):
        with pytest.raises(wrong, match="no receipt found"):
            call(elf(AGGREGATOR), aggregator_stdin(image_id(AGGREGATOR), claims), [])


def test_what_takes_the_segments_can_end_the_run() -> None:
    taken: list[int] = []

    def take(index: int, _: bytes) -> None:
        taken.append(index)
        if index == 2:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        native.cut(elf("sha256"), letters(60_000), take, seed=SEED, segment_po2=14)
    assert taken == [0, 1, 2]


def test_a_run_that_is_longer_than_it_may_be_fails() -> None:
    run = native.execute(elf("sha256"), letters(5000))
    for call in (native.execute, native.prove, native.prove_if_short):
        code, message = failure(partial(call, elf("sha256"), letters(5000), max_cycles=5000))
        assert code == "guest_failed"
        assert "has not ended after 5000 cycles" in message
    enough = native.execute(elf("sha256"), letters(5000), max_cycles=run.user_cycles + 1)
    assert enough.journal == run.journal


def test_a_segment_that_was_changed_is_refused_or_other_bytes() -> None:
    (segment, *_) = cut(letters(3000), 14)
    for changed in (b"", segment[:-1], segment + b"\0", segment[:100], bytes(1000)):
        assert failure(native.check_segment, changed)[0] == "malformed_receipt"
        assert failure(native.prove_segment, changed)[0] == "malformed_receipt"


INTERRUPTED = """
import sys, time
from pathlib import Path
import runner_risc0 as native
data = Path(sys.argv[1]).read_bytes()
size = 50_000_000
print("running", flush=True)
try:
    native.execute(data, size.to_bytes(4, "little") + bytes(size), segment_po2=18)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def test_ctrl_c_ends_an_execution_before_its_end() -> None:
    path = str(GUESTS["sha256"].elf_path)
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, path], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "running\n"
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert out == "interrupted\n"


def test_a_limit_for_all_runs_of_a_batch_cuts_what_would_be_one_segment() -> None:
    prover = Risc0Prover(ProverSpec("risc0", ReceiptKind.COMPOSITE, (("gpus", 0),)))
    given = GUESTS["sha256"], letters(3000), (), ReceiptKind.COMPOSITE
    assert native.execute(elf("sha256"), letters(3000)).segments == 1
    run = prover.run_if_short(*given, threads=0, seed=SEED, most_po2=14)
    assert isinstance(run, LongRun)
    assert (max(run.sizes), run.joins) == (14, False)
    # One below the smallest that can be proved is that one.
    assert prover.run_if_short(*given, threads=0, seed=SEED, most_po2=13) == run


def test_what_is_lifted_or_joined_is_checked_before_the_programs_are_needed() -> None:
    good = ONE_SEGMENT
    changed = bytearray(good)
    changed[len(good) // 2] ^= 1
    for bad in (bytes(changed), good[:-1], b"", bytes(1000)):
        code, message = failure(native.lift, bad)
        assert code == "bad_segment"
        assert message.startswith("0: ")
        # A segment's receipt is no lifted one.
        for given in ((native.join, bad, good), (native.join, good, bad)):
            code, message = failure(*given)
            assert (code, message[:3]) == ("bad_segment", "0: ")
        assert failure(native.resolve, bad, b"")[0] == "bad_segment"
        assert failure(native.verify_lifted, bad, good)[0] == "malformed_receipt"
        assert failure(native.verify_joined, bad, good, good)[0] == "malformed_receipt"


@pytest.mark.skipif(RECURSION, reason="this build has the recursion programs")
def test_without_the_recursion_programs_a_good_receipt_is_not_lifted() -> None:
    code, message = failure(native.lift, ONE_SEGMENT)
    assert code == "unavailable"
    assert "no recursion programs" in message


# Real proofs.


@pytest.mark.real
@pytest.mark.parametrize("length", [19_736, 1060])
def test_what_is_at_an_edge_is_proved(length: int) -> None:
    """The first is the last length before a last segment of 2^13 becomes one of 2^14."""
    po2 = 16 if length > 10_000 else 14
    proof = native.prove(elf("sha256"), letters(length), segment_po2=po2)
    journal = native.verify(proof.receipt, image_id("sha256"))
    assert journal == hashlib.sha256(b"a" * length).digest()


@pytest.mark.real
def test_segments_are_proved_one_by_one_and_assembled() -> None:
    stdin = letters(1500)
    run = native.prove_if_short(elf("sha256"), stdin, segment_po2=14)
    assert isinstance(run, native.Execution)
    assert run.segments >= 2
    segments = cut(stdin, run.segment_po2)
    receipts = [native.prove_segment(segment)[0] for segment in segments]
    for receipt, segment in zip(receipts, segments, strict=True):
        native.verify_segment(receipt, segment)
    assert failure(native.verify_segment, receipts[0], segments[1])[0] == "verification_failed"
    changed = bytearray(receipts[1])
    changed[len(changed) // 2] ^= 1
    assert failure(native.verify_segment, bytes(changed), segments[1])[0] == "verification_failed"

    whole = native.assemble(receipts, run.journal)
    own = image_id("sha256")
    assert native.verify(whole, own) == hashlib.sha256(b"a" * 1500).digest()
    assert native.describe(whole).segments == len(segments)
    proved_at_once = native.prove(elf("sha256"), stdin, segment_po2=14).receipt
    assert len(whole) == len(proved_at_once)

    code, message = failure(native.assemble, [receipts[0], bytes(changed)], run.journal)
    assert code == "bad_segment"
    assert message.startswith("1: ")
    for wrong in (receipts[1:], receipts[:-1], receipts[::-1]):
        assembled = native.assemble(wrong, run.journal)
        assert failure(native.verify, assembled, own)[0] == "verification_failed"
    another = native.assemble(receipts, b"another")
    assert failure(native.verify, another, own)[0] == "verification_failed"


@pytest.mark.real
def test_an_aggregation_of_several_segments_carries_its_children() -> None:
    leaf = native.prove(elf("fibonacci"), (10).to_bytes(4, "little"))
    claims = [(image_id("fibonacci"), fibonacci(10).journal)]
    stdin = aggregator_stdin(image_id(AGGREGATOR), claims)
    run = native.prove_if_short(elf(AGGREGATOR), stdin, [leaf.receipt], segment_po2=14)
    assert isinstance(run, native.Execution)
    segments = cut(stdin, run.segment_po2, claims)
    receipts = [native.prove_segment(segment)[0] for segment in segments]
    whole = native.assemble(receipts, run.journal, [leaf.receipt])
    assert native.verify(whole, image_id(AGGREGATOR)) == aggregate(claims, claims).journal
    assert native.describe(whole).assumptions == 1
    assert failure(native.assemble, receipts, run.journal)[0] == "verification_failed"
