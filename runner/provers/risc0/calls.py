"""Calls of the native modules, and what they take and return in the runner's terms."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runner.errors import ProverError
from runner.model import Cycles
from runner.provers.composing import NO_RECEIPT
from runner.provers.native_module import not_installed, prover_errors
from runner.provers.prover import Proof

try:
    import runner_risc0 as native
except ImportError as error:
    raise not_installed("risc0", error, "run `make setup`") from None

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runner.model import Child, GpuUse

__all__ = ["called", "claims_of", "cycles_of", "native", "no_receipt", "proof_of", "receipts_of"]

_NO_ASSUMPTION = "no receipt found to resolve assumption: claim digest "
"""The words of the executor of risc0-zkvm 3.0, before the digest."""


@contextlib.contextmanager
def no_receipt() -> Iterator[None]:
    """Tell a guest that verifies what none of its children proves from one that fails."""
    try:
        yield
    except ProverError as error:
        if _NO_ASSUMPTION not in error.message:
            raise
        claim = error.message.partition(_NO_ASSUMPTION)[2].partition(",")[0]
        problem = f"its guest verifies a run that it has no receipt of (claim digest {claim})"
        raise ProverError(NO_RECEIPT, problem, error.printed) from None


def called(name: str, *args: object, **options: object) -> Any:  # noqa: ANN401  # as it is there
    """Call a function of a native module, which is the last positional argument."""
    *given, module = args
    with prover_errors(module.NativeError):  # type: ignore[attr-defined]  # either of two modules
        return getattr(module, name)(*given, **options)


def proof_of(proof: Any, gpu: GpuUse | None) -> Proof:  # noqa: ANN401  # of either module
    """A native module's proof, with the part that a GPU had in it."""
    run = proof.execution
    if gpu is not None and not gpu.error:
        gpu = replace(gpu, seconds=proof.gpu_s)
    return Proof(run.journal, proof.receipt, cycles_of(run), run.log, gpu)


def claims_of(children: Sequence[Child]) -> list[tuple[bytes, bytes]]:
    """What the children claim: pairs of an image id and a journal."""
    return [(child.image_id, child.journal) for child in children]


def receipts_of(children: Sequence[Child]) -> list[bytes]:
    """The receipts of those children that have one."""
    return [child.receipt for child in children if child.receipt is not None]


def cycles_of(run: native.Execution) -> Cycles:
    """The cycles of a run."""
    return Cycles(run.user_cycles, run.paging_cycles, run.total_cycles, run.segments)
