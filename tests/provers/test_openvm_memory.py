"""The memory that OpenVM's proofs take by the limit at which its runs are cut."""

from __future__ import annotations

from runner.provers.openvm.memory import (
    DEFAULT,
    LARGEST,
    LEAST_MEMORY,
    proof_bytes,
)


def test_memory_grows_with_the_limit_and_with_the_instructions() -> None:
    assert LEAST_MEMORY < proof_bytes(DEFAULT) < proof_bytes(LARGEST)
    assert proof_bytes(DEFAULT + 1) == proof_bytes(LARGEST)
    assert proof_bytes(DEFAULT, 1) == LEAST_MEMORY
    assert LEAST_MEMORY < proof_bytes(DEFAULT, 500_000) < proof_bytes(DEFAULT)
    assert proof_bytes(DEFAULT, 10**9) == proof_bytes(DEFAULT)
