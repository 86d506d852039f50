"""The size of segments that is chosen by the memory and the number of workers."""

from __future__ import annotations

import pytest

from runner.limits import MEMORY_SHARE
from runner.model import ReceiptKind
from runner.provers.prover import ProverSpec
from runner.provers.risc0 import adapter
from runner.provers.risc0.adapter import Risc0Prover
from runner.provers.risc0.memory import CYCLE_MEMORY, PROCESS_MEMORY, largest_po2

GIB = 1 << 30


@pytest.mark.parametrize(
    ("memory", "workers", "po2"),
    [
        (0, 64, 20),  # the memory is not known
        (64 * GIB, 2, 20),
        (23 * GIB, 1, 20),
        (23 * GIB, 2, 20),
        (16 * GIB, 2, 19),
        (23 * GIB, 8, 18),
        (4 * GIB, 2, 17),
        (1 * GIB, 4, 16),  # less is not worth it: most of the cycles would be padding
        (512 * GIB, 64, 19),
    ],
)
def test_every_worker_has_the_memory_for_a_segment(memory: int, workers: int, po2: int) -> None:
    assert largest_po2(memory, workers) == po2
    if po2 > 16 and memory:
        needed = [PROCESS_MEMORY + (CYCLE_MEMORY << size) for size in (po2, po2 + 1)]
        assert workers * needed[0] <= memory * MEMORY_SHARE
        assert po2 == 20 or workers * needed[1] > memory * MEMORY_SHARE


@pytest.mark.parametrize(("given", "found"), [("auto", 19), (None, 19), (17, 17)])
def test_what_the_user_gives_is_kept(
    monkeypatch: pytest.MonkeyPatch, given: int | str | None, found: int
) -> None:
    monkeypatch.setattr(adapter, "memory_bytes", lambda: 16 * GIB)
    spec = ProverSpec("risc0", ReceiptKind.COMPOSITE, (("segment_po2", given), ("gpus", 0)))
    assert dict(Risc0Prover(spec).sized(2)) == {"segment_po2": found, "gpus": 0}
