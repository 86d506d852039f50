"""The memory that proofs take on a CPU, and the size of segments that fits into it."""

from __future__ import annotations

from runner.limits import MEMORY_SHARE
from runner.provers.risc0.cost import SEGMENT_PO2

__all__ = ["CYCLE_MEMORY", "LEAST_MEMORY", "PROCESS_MEMORY", "largest_po2"]

CYCLE_MEMORY = 8 * 2**10
"""The bytes of memory that a proof takes for each of its padded cycles, on a CPU. This and the next
are measured in docs/figures/proofs.md."""

PROCESS_MEMORY = 64 * 2**20
"""The bytes of memory that a worker takes beside its proof."""

LEAST_MEMORY = PROCESS_MEMORY + CYCLE_MEMORY * 2**15
"""The bytes of memory that a worker takes for proofs of 2^15 cycles, the smallest aggregation."""


def largest_po2(memory: int, workers: int) -> int:
    """The size of the largest segment, as a power of two, that fits into memory for each worker.

    Args:
        memory: the bytes of memory that there are; 0 if that is not known.
        workers: the number of proofs that are made side by side.
    """
    if not memory:
        return SEGMENT_PO2
    each = memory * MEMORY_SHARE / max(1, workers)
    cycles = (each - PROCESS_MEMORY) / CYCLE_MEMORY
    return next((po2 for po2 in range(SEGMENT_PO2, 15, -1) if 1 << po2 <= cycles), 16)
