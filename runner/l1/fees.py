"""What a transaction offers for a unit of gas (EIP-1559), within what the settings allow."""

from __future__ import annotations

from dataclasses import dataclass

from runner.errors import L1Error
from runner.evm.faults import Fault
from runner.evm.transaction import GWEI

__all__ = ["Fees", "bumped", "suggested"]

_BUMP = (115, 100)
"""By how much both fees rise. Nodes take a replacement that pays a tenth more; op-service's
transaction manager adds fifteen in a hundred, so that rounding cannot spoil it."""


@dataclass(frozen=True, slots=True)
class Fees:
    """What a transaction offers for a unit of gas, in wei.

    Attributes:
        max_fee: the most that it pays in all.
        tip: the most that it pays beyond the base fee.
    """

    max_fee: int
    tip: int


def suggested(base_fee: int, tip: int, cap: int) -> Fees:
    """The fees of a new transaction. They last while the base fee does not double.

    Args:
        base_fee: that of the newest block, in wei.
        tip: what the node suggests, in wei.
        cap: the most that a unit of gas may cost, in wei.

    Raises:
        L1Error: the base fee alone is above the cap.
    """
    if base_fee > cap:
        raise L1Error(
            Fault.FEE_CAP.value,
            f"gas costs {base_fee / GWEI:g} gwei, l1.max_fee_gwei allows {cap / GWEI:g}",
        )
    return Fees(min(2 * base_fee + tip, cap), min(tip, cap))


def bumped(old: Fees, now: Fees, cap: int) -> Fees | None:
    """The fees of a transaction that replaces one, or None if the cap does not allow it.

    Args:
        old: the fees of the transaction that waits.
        now: what a new transaction would offer.
        cap: the most that a unit of gas may cost, in wei.
    """
    above, below = _BUMP
    max_fee = max(-(-old.max_fee * above // below), now.max_fee)
    tip = max(-(-old.tip * above // below), now.tip)
    if max_fee > cap:
        # Nodes want a tenth more of both fees, and less than that would only be refused.
        if cap * 10 < old.max_fee * 11:
            return None
        max_fee = cap
    return Fees(max_fee, min(tip, max_fee))
