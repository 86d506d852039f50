"""Executions of the real guests by the RISC Zero extension: what they commit and what they cost."""

from __future__ import annotations

import hashlib
import random
from typing import TYPE_CHECKING

import pytest
import runner_risc0 as native

from runner.plan import merkle
from runner.plan.journal import MAX_CHILDREN, AggregationResult, padded
from runner.provers.guests import AGGREGATOR
from tests.native.risc0 import (
    GUESTS,
    Claim,
    aggregate,
    elf,
    failure,
    fibonacci,
    image_id,
    leaf,
    number,
    result_over,
    word,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@pytest.mark.parametrize("name", sorted(GUESTS))
def test_image_ids_are_the_manifests(name: str) -> None:
    assert native.image_id(elf(name)) == image_id(name)


@pytest.mark.parametrize(
    ("n", "expected"),
    [(0, 0), (1, 1), (2, 1), (10, 55), (20, 6765), (93, 12_200_160_415_121_876_738)],
)
def test_fibonacci(n: int, expected: int) -> None:
    assert number(fibonacci(n)) == expected


@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 5, 55, 56, 63, 64, 65, 1023, 1024, 1031, 9000])
def test_sha256(length: int) -> None:
    message = random.Random(length).randbytes(length)
    execution = native.execute(elf("sha256"), padded(message))
    assert execution.journal == hashlib.sha256(message).digest()


def test_aggregation_of_leaves() -> None:
    claims = [leaf(i) for i in range(9)]
    claims.append((image_id("fibonacci"), fibonacci(10).journal))
    execution = aggregate(claims, claims)
    expected = result_over([(1, merkle.leaf_hash(*claim)) for claim in claims])
    assert AggregationResult.decode(execution.journal) == expected
    assert execution.journal == expected.encode()
    assert "aggregator verified: children=" in execution.log


def test_a_child_that_stands_twice_needs_one_assumption() -> None:
    children = [leaf(1), leaf(2), leaf(1)]
    execution = aggregate(children, children[:2])
    expected = result_over([(1, merkle.leaf_hash(*claim)) for claim in children])
    assert AggregationResult.decode(execution.journal) == expected


def test_aggregation_of_aggregates_and_leaves() -> None:
    own = image_id(AGGREGATOR)
    groups = [[leaf(1), leaf(2), leaf(3)], [leaf(4)]]
    below = [aggregate(group, group).journal for group in groups]
    children = [(own, below[0]), leaf(5), (own, below[1])]
    results = [AggregationResult.decode(journal) for journal in below]
    expected = result_over(
        [
            (3, results[0].combined_hash),
            (1, merkle.leaf_hash(*leaf(5))),
            (1, results[1].combined_hash),
        ]
    )
    journal = aggregate(children, children).journal
    assert AggregationResult.decode(journal) == expected
    top = [(own, journal)]
    assert AggregationResult.decode(aggregate(top, top).journal) == expected


def test_cycles_add_up() -> None:
    message = bytes(100_000)
    small = fibonacci(10)
    large = native.execute(elf("sha256"), padded(message), segment_po2=14)
    for execution in (small, large):
        parts = execution.user_cycles, execution.paging_cycles, execution.reserved_cycles
        assert sum(parts) == execution.total_cycles
        assert min(parts) > 0
        assert execution.total_cycles % 2**13 == 0
    assert small.segments == 1
    assert small.total_cycles.bit_count() == 1
    assert large.segments > 1
    assert large.total_cycles <= large.segments * 2**14
    assert large.journal == hashlib.sha256(message).digest()


def test_an_execution_can_be_repeated() -> None:
    runs = [fibonacci(50) for _ in range(3)]
    assert len({(run.journal, run.user_cycles, run.total_cycles, run.log) for run in runs}) == 1


def test_a_loaded_program_starts_as_it_was_however_often_it_ran() -> None:
    """The last few programs are kept loaded. What they wrote to their memory must not be kept."""
    # Each of these files is read as the same kernel.
    others = [elf("fibonacci") + bytes(count) for count in range(1, 6)]
    found = set()
    for other in others:
        run = native.execute(elf("fibonacci"), word(20))
        found.add((run.journal, run.user_cycles, run.paging_cycles))
        native.execute(elf("sha256"), padded(b"x" * 5000))
        assert native.image_id(elf("fibonacci")) == image_id("fibonacci")
        assert native.image_id(other) == image_id("fibonacci")
    assert len(found) == 1


def test_the_guest_failed_with_its_own_message() -> None:
    code, message = failure(fibonacci, 94)
    assert code == "guest_failed"
    assert "n is above 93" in message
    assert "\n" not in message


def test_a_profile_fails_as_the_execution_does() -> None:
    calls: dict[str, Callable[[], object]] = {
        "guest_failed": lambda: native.profile(elf("fibonacci"), word(94)),
        "bad_elf": lambda: native.profile(b"", word(1)),
        "bad_argument": lambda: native.profile(elf("fibonacci"), word(1), segment_po2=30),
    }
    for expected, call in calls.items():
        assert failure(call)[0] == expected


def own_result(count: int, self_id: bytes | None = None) -> Claim:
    own = image_id(AGGREGATOR)
    return own, AggregationResult(self_id or own, count, bytes(32)).encode()


def raw_aggregation(children: Sequence[Claim], count: int | None = None) -> bytes:
    """The input of an aggregation, also one that the encoder would refuse."""
    stdin = image_id(AGGREGATOR) + word(len(children) if count is None else count)
    return stdin + b"".join(program + padded(journal) for program, journal in children)


@pytest.mark.parametrize(
    ("stdin", "claims", "what"),
    [
        (raw_aggregation([]), [], "nothing to aggregate"),
        (raw_aggregation([leaf(7)]), [], "no receipt found"),
        (raw_aggregation([leaf(7), leaf(8)]), [leaf(7)], "no receipt found"),
        (raw_aggregation([leaf(7)], count=2), [leaf(7)], "ended too early"),
        (raw_aggregation([leaf(7)])[:-4], [leaf(7)], "ended too early"),
        (
            raw_aggregation([(image_id(AGGREGATOR), b"short")]),
            [(image_id(AGGREGATOR), b"short")],
            "68 bytes",
        ),
        (
            raw_aggregation([own_result(1, bytes(32))]),
            [own_result(1, bytes(32))],
            "another program",
        ),
        (
            raw_aggregation([own_result(2**32 - 1), leaf(7)]),
            [own_result(2**32 - 1), leaf(7)],
            "32-bit count",
        ),
    ],
    ids=[
        "no children",
        "no assumption",
        "one assumption of two",
        "one child of two",
        "cut journal",
        "aggregate with a short journal",
        "aggregate of another aggregator",
        "too many leaves",
    ],
)
def test_the_aggregator_refuses(stdin: bytes, claims: list[Claim], what: str) -> None:
    code, message = failure(native.execute, elf(AGGREGATOR), stdin, claims)
    assert code == "guest_failed"
    assert what in message


def test_the_largest_count_fits() -> None:
    children = [own_result(2**32 - 2), leaf(7)]
    result = AggregationResult.decode(aggregate(children, children).journal)
    assert result.verified_count == 2**32 - 1


def test_the_most_children_that_one_aggregation_takes() -> None:
    claims = [(bytes(32), word(i)) for i in range(MAX_CHILDREN + 1)]
    most = claims[:-1]
    result = AggregationResult.decode(aggregate(most, most).journal)
    assert result == result_over([(1, merkle.leaf_hash(*claim)) for claim in most])
    stdin = raw_aggregation(claims)
    code, message = failure(native.execute, elf(AGGREGATOR), stdin, claims)
    assert code == "guest_failed"
    assert f"more than {MAX_CHILDREN} children" in message


def test_an_assumption_with_another_journal_does_not_count() -> None:
    program, journal = leaf(7)
    for claim in [(program, journal + b"\0"), (bytes(32), journal)]:
        code, _ = failure(aggregate, [(program, journal)], [claim])
        assert code == "guest_failed"
