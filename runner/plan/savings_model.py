"""A model of what aggregation *should* save, shown beside the measured figures.

Nothing here is a measurement. The model has three constants and one assumption: every receipt,
aggregated or not, costs the same to verify, store and submit. Figures from the model say "model" in
their name, label and text. Only :func:`savings_percent` is also used on measured figures.
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
"""The model's time to verify one receipt, in milliseconds."""

RECEIPT_BYTES = 215_000
"""The model's size of one receipt, in bytes (215 kB, decimal)."""

GAS_PER_PROOF = 300_000
"""The model's L1 gas to submit and verify one proof."""


@dataclass(frozen=True, slots=True)
class ModelEstimate:
    """The model's figures for one batch, none of which is measured.

    Attributes:
        tps: the leaf proofs verified per second, ``n * 1000 / (proofs_after * 24.5)``. Proving
            time does not count.
        proofs_after: the number of receipts that are left to verify and submit after the
            aggregation, ``ceil(n / factor)``.
        size_before: the size of all leaf receipts in bytes.
        size_after: the size of the receipts that are left in bytes.
        size_savings_percent: how much smaller ``size_after`` is, in percent.
        gas_before: the L1 gas for all leaf receipts.
        gas_after: the L1 gas for the receipts that are left.
        gas_savings_percent: how much smaller ``gas_after`` is, in percent.
        verification_ms_before: the time to verify all leaf receipts, in milliseconds.
        verification_ms_after: the time to verify the receipts that are left, in milliseconds.
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
    """Compute the model's figures for a batch.

    Args:
        n: the number of leaf proofs in the batch.
        factor: the number of leaves for each receipt that is left: ``n`` where one root covers
            the batch, 1 for strategy ``none``.

    Raises:
        ValueError: ``n`` or ``factor`` is below 1.
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
    """Return how much smaller ``after`` is than ``before``, in percent.

    The result is negative where ``after`` is the larger one, and 0 where both are 0, as in a batch
    in execute mode, which has no receipts.

    Raises:
        ValueError: a figure is negative, or only ``before`` is 0, for which there is no percentage.
    """
    if before < 0 or after < 0 or (before == 0 and after > 0):
        raise ValueError(f"no savings from {before} to {after}")
    return 100.0 * (before - after) / before if before else 0.0
