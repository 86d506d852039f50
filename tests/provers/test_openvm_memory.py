"""The limit by which OpenVM's runs are cut, chosen by the memory and the number of workers."""

from __future__ import annotations

import pytest

from runner.limits import MEMORY_SHARE
from runner.provers.openvm.memory import (
    DEFAULT,
    LARGEST,
    LEAST_MEMORY,
    SMALLEST,
    proof_bytes,
    segment_memory,
)

GIB = 1 << 30


@pytest.mark.parametrize(
    ("memory", "workers", "limit"),
    [
        (0, 64, DEFAULT),  # the memory is not known
        (23 * GIB, 2, DEFAULT),
        (512 * GIB, 1, DEFAULT),  # larger segments take more memory and no less time
        (23 * GIB, 8, SMALLEST),
        (1 * GIB, 1, SMALLEST),
    ],
)
def test_every_worker_has_the_memory_for_a_segment(memory: int, workers: int, limit: int) -> None:
    assert segment_memory(memory, workers) == limit


@pytest.mark.parametrize("limit", [SMALLEST, DEFAULT])
def test_a_limit_is_chosen_from_the_memory_on_that_it_takes(limit: int) -> None:
    enough = int(2 * proof_bytes(limit) / MEMORY_SHARE) + 2
    assert segment_memory(enough, 2) == limit
    if limit != SMALLEST:
        assert segment_memory(enough - 10, 2) < limit


def test_memory_grows_with_the_limit_and_with_the_instructions() -> None:
    assert LEAST_MEMORY <= proof_bytes(SMALLEST) < proof_bytes(DEFAULT) < proof_bytes(LARGEST)
    assert proof_bytes(SMALLEST + 1) == proof_bytes(DEFAULT)
    assert proof_bytes(DEFAULT, 1) == LEAST_MEMORY
    assert LEAST_MEMORY < proof_bytes(DEFAULT, 500_000) < proof_bytes(DEFAULT)
    assert proof_bytes(DEFAULT, 10**9) == proof_bytes(DEFAULT)
