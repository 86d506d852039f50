"""The number of workers that RISC Zero asks for where memory is short."""

from __future__ import annotations

import pytest

from runner.model import ReceiptKind
from runner.provers.prover import ProverSpec
from runner.provers.risc0 import adapter


@pytest.mark.parametrize(
    ("memory", "workers"),
    [
        (0, None),  # not known
        (64 * 2**30, None),
        (8 * adapter.LEAST_MEMORY, None),
        (8 * adapter.LEAST_MEMORY - 1, 7),
        (1, 1),
    ],
)
def test_no_more_workers_than_the_smallest_proofs_have_memory_for(
    memory: int, workers: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "cores", lambda: 8)
    monkeypatch.setattr(adapter, "memory_bytes", lambda: memory)
    own = (("gpus", 0),)
    assert adapter.Risc0Prover(ProverSpec("risc0", ReceiptKind.COMPOSITE, own)).workers == workers
    assert adapter.Risc0Prover(ProverSpec("risc0", ReceiptKind.EXECUTE)).workers is None
