"""What aggregation *should* save, by a model, to stand beside what was measured.

Nothing here is a measurement. The model knows three constants and one assumption: every receipt,
aggregated or not, costs the same to verify, store and submit. Figures made from it say "model" in
their name, label and text. :func:`savings_percent` is the formula for both sides, and is the only
thing here to use on measured figures.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "GAS_PER_PROOF",
    "RECEIPT_BYTES",
    "VERIFICATION_MS",
    "ModelEstimate",
    "estimate",
    "savings_percent",
]

VERIFICATION_MS = 24.5
"""Model: milliseconds to verify one receipt."""

RECEIPT_BYTES = 215_000
"""Model: bytes of one receipt (215 KB, decimal)."""

GAS_PER_PROOF = 300_000
"""Model: L1 gas to submit and verify one proof."""


@dataclass(frozen=True, slots=True)
class ModelEstimate:
    """A model's figures for one batch; none of them is measured.

    Attributes:
        tps: leaf proofs per second, ``n * 1000 / (proofs_after * 24.5)``: verification only.
        proofs_after: receipts left to verify and submit, ``ceil(n / factor)``.
        size_before: bytes of all leaf receipts; ``size_after`` of the receipts left.
        size_savings_percent: from the one to the other.
        gas_before: L1 gas for all leaf receipts; ``gas_after`` for the receipts left.
        gas_savings_percent: from the one to the other.
        verification_ms_before: milliseconds to verify all leaf receipts;
            ``verification_ms_after`` the receipts left.
    """

    tps: float
    proofs_after: int
    size_before: int
    size_after: int
    size_savings_percent: float
    gas_before: int
    gas_after: int
    gas_savings_percent: float
    verification_ms_before: float
    verification_ms_after: float


def estimate(n: int, factor: int) -> ModelEstimate:
    """The model's figures for a batch.

    Args:
        n: leaf proofs in the batch.
        factor: leaves per receipt that is left: ``n`` where one root covers all, 1 for ``none``.

    Raises:
        ValueError: ``n`` or ``factor`` below 1.
    """
    if n < 1 or factor < 1:
        raise ValueError(f"n = {n} and factor = {factor} must be at least 1")
    after = -(-n // factor)
    return ModelEstimate(
        tps=n * 1000 / (after * VERIFICATION_MS),
        proofs_after=after,
        size_before=n * RECEIPT_BYTES,
        size_after=after * RECEIPT_BYTES,
        size_savings_percent=savings_percent(n, after),
        gas_before=n * GAS_PER_PROOF,
        gas_after=after * GAS_PER_PROOF,
        gas_savings_percent=savings_percent(n, after),
        verification_ms_before=n * VERIFICATION_MS,
        verification_ms_after=after * VERIFICATION_MS,
    )


def savings_percent(before: float, after: float) -> float:
    """How much smaller ``after`` is, in percent; negative when it grew.

    Nothing before and nothing after saves 0 (a batch in execute mode has no receipts).

    Raises:
        ValueError: a negative figure, or something after nothing, which has no percentage.
    """
    if before < 0 or after < 0 or (before == 0 and after > 0):
        raise ValueError(f"no savings from {before} to {after}")
    return 100.0 * (before - after) / before if before else 0.0
