"""The number of workers that RISC Zero asks for where memory is short."""

from __future__ import annotations

import pytest

from runner.batch.trial import too_large
from runner.model import ReceiptKind
from runner.provers.prover import ProverSpec
from runner.provers.risc0 import adapter
from runner.provers.risc0.memory import CYCLE_MEMORY, LEAST_MEMORY, PROCESS_MEMORY


@pytest.mark.parametrize(
    ("memory", "workers"),
    [
        (0, None),  # not known
        (64 * 2**30, None),
        (8 * LEAST_MEMORY, None),
        (8 * LEAST_MEMORY - 1, 7),
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


def test_the_memory_of_a_proof_follows_its_largest_segment(monkeypatch: pytest.MonkeyPatch) -> None:
    own = (("gpus", 0), ("segment_po2", 18))
    prover = adapter.Risc0Prover(ProverSpec("risc0", ReceiptKind.COMPOSITE, own))
    process, cycle = PROCESS_MEMORY, CYCLE_MEMORY
    sizes = (1, 2**15, 2**16, 2**18, 2**30, None)
    of_cycles = (2**15, 2**15, 2**16, 2**18, 2**18, 2**18)
    found = [prover.proof_bytes(size) for size in sizes]
    assert found == [process + cycle * cycles for cycles in of_cycles]
    assert adapter.Risc0Prover(ProverSpec("risc0", ReceiptKind.EXECUTE)).proof_bytes() == 0


def test_segments_that_do_not_fit_are_told_with_figures() -> None:
    own = (("gpus", 0), ("segment_po2", 20))
    prover = adapter.Risc0Prover(ProverSpec("risc0", ReceiptKind.COMPOSITE, own))
    each = prover.proof_bytes()
    assert too_large(prover, 2, 2 * each) == ""
    assert too_large(prover, 2, 0) == ""
    told = too_large(prover, 2, 2 * each - 1)
    assert told.startswith("a segment of full size takes about 8.7 GB of memory by the model")
    assert "17.3 GB with 2 workers, and there are 17.3 GB" in told
    assert "lower prover.segment_po2 or executor.workers" in told
    assert too_large(prover, 2, 2 * each - 1, cycles=2**15) == ""
