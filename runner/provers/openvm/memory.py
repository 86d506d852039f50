"""The memory that OpenVM's proofs take, and the limit by which its runs are cut.

OpenVM cuts a run where a segment would take more than a limit by the library's own estimate, which
is that of a GPU's prover and never below 6.25 GiB. ``segment_memory`` is that limit, in MiB. What
the CPU's prover takes was measured with three limits. The lowest of them took more memory than the
next one, since more segments make the proofs larger that join them. So none below ``DEFAULT`` is
taken, and what follows from the machine's memory is the number of workers.
"""

from __future__ import annotations

__all__ = [
    "DEFAULT",
    "LARGEST",
    "LEAST_MEMORY",
    "SIZE_SETTING",
    "proof_bytes",
]

SIZE_SETTING = "segment_memory"

LEAST_MEMORY = 3 * 10**9
"""The bytes of memory that a worker takes for the smallest proofs (docs/figures/provers.md)."""

_STEPS = ((7_044, 6_000_000_000, 700_000), (15_360, 7_900_000_000, 869_000))
"""Limits, the bytes of memory that a worker takes for full segments with them, and the instructions
of a full segment, as measured in docs/figures/provers.md and public-comparison.md. The last limit
is the library's own."""

DEFAULT, LARGEST = (limit for limit, _, _ in _STEPS)


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
