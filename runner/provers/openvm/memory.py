"""The memory of OpenVM's proofs, and where runs are cut so that a worker has enough of it.

OpenVM cuts a run where a segment would take more than a limit by the library's own estimate, which
is that of a GPU's prover and never below 6 GiB. ``segment_memory`` is that limit, in MiB. What the
CPU's prover takes with some limits was measured, and grows in steps, because the tables of a proof
have powers of two as heights.
"""

from __future__ import annotations

from runner.limits import MEMORY_SHARE

__all__ = [
    "DEFAULT",
    "LARGEST",
    "LEAST_MEMORY",
    "SIZE_SETTING",
    "SMALLEST",
    "proof_bytes",
    "segment_memory",
]

SIZE_SETTING = "segment_memory"

LEAST_MEMORY = 3 * 10**9
"""The bytes of memory that a worker takes for the smallest proofs (docs/figures/provers.md)."""

_STEPS = (
    (6_400, 3_900_000_000, 100_000),
    (7_044, 5_400_000_000, 700_000),
    (15_360, 7_900_000_000, 869_000),
)
"""Limits, the bytes of memory that a worker takes for full segments with them, and the instructions
of a full segment, as measured in docs/figures/provers.md. The last limit is the library's own."""

SMALLEST, DEFAULT, LARGEST = (limit for limit, _, _ in _STEPS)


def segment_memory(memory: int, workers: int) -> int:
    """The limit with which each worker has enough memory for full segments.

    It is never above ``DEFAULT``, since larger segments take more memory and no less time.

    Args:
        memory: the bytes of memory that there are; 0 if that is not known.
        workers: the number of proofs that are made side by side.
    """
    if not memory:
        return DEFAULT
    each = memory * MEMORY_SHARE / max(1, workers)
    fits = [limit for limit, taken, _ in _STEPS if taken <= each and limit <= DEFAULT]
    return max(fits, default=SMALLEST)


def proof_bytes(limit: int, instructions: int | None = None) -> int:
    """The bytes of memory that a worker takes with a limit, by a model.

    A limit between two that were measured counts as the larger one. The memory of a segment that is
    not full grows with its instructions.

    Args:
        limit: the limit in MiB.
        instructions: those of the segment; None for a full one.
    """
    taken, full = next((taken, full) for known, taken, full in _STEPS if limit <= known)
    if instructions is None or instructions >= full:
        return taken
    return max(LEAST_MEMORY, taken * instructions // full)
