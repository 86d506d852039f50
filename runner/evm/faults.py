"""Why a call to a node failed, by class.

Nodes agree on little more than that an error has a code and words. The words of geth, anvil,
Nethermind, Besu, Erigon and Reth are matched here, in one place. What matches nothing is
``refused``, and carries the node's words.
"""

from __future__ import annotations

import re
from enum import StrEnum

__all__ = ["Fault", "classify"]


class Fault(StrEnum):
    """The class of a failure, which is also the label of its metric."""

    UNREACHABLE = "unreachable"
    """There was no answer, or none that is JSON-RPC. Asking again may help."""
    REFUSED = "refused"
    """The node refused for a reason that matches no class."""
    REVERTED = "reverted"
    """The contract reverted, in a simulation or in a block."""
    WRONG_CHAIN = "wrong_chain"
    """The node's chain, or the one that it wants a signature for, is not the configured one."""
    WRONG_CONTRACT = "wrong_contract"
    """There is no code at the contract's address, or other code."""
    NO_FUNDS = "no_funds"
    """The account cannot pay for the transaction."""
    NONCE_USED = "nonce_used"
    """Another transaction with this nonce is in a block already."""
    UNDERPRICED = "underpriced"
    """Another transaction with this nonce waits, and this one does not pay enough more."""
    BELOW_BASE_FEE = "below_base_fee"
    """The transaction pays less than the base fee of the next block."""
    KNOWN = "known"
    """The node has this very transaction already."""
    TAKEN = "taken"
    """Somebody else's transaction is about to do the same. Waiting shows what becomes of it."""
    FEE_CAP = "fee_cap"
    """The price of gas is above what the settings allow."""
    COST_CAP = "cost_cap"
    """The transaction may cost more than the settings allow."""
    LATE = "late"
    """The transaction was not confirmed in time. The same command goes on with it."""
    SIGNER = "signer"
    """The signer did not sign, or signed something else."""
    BUSY = "busy"
    """Another process uses the same account of the same chain."""


_WORDS = (
    # geth says so of transactions and receipts while it starts.
    (Fault.UNREACHABLE, r"indexing is in progress"),
    (Fault.KNOWN, r"already known|already imported|known transaction|alreadyknown|already exists"),
    (Fault.UNDERPRICED, r"replacement.*underpriced|underpriced.*replac|replacementnotallowed"),
    (Fault.WRONG_CHAIN, r"chain.?id|invalid sender"),
    (Fault.NO_FUNDS, r"insufficient (funds|balance)|insufficientfunds|upfront cost exceeds"),
    (Fault.NONCE_USED, r"nonce.{0,12}(too low|low|below)|oldnonce|nonce.*already.*used"),
    (
        Fault.BELOW_BASE_FEE,
        r"max ?fee ?per ?gas.*(less|lower|below|base ?fee)|base fee|feetoolow|underpriced",
    ),
    (Fault.REVERTED, r"revert"),
)
"""In order: words of an earlier class decide before those of a later one."""


def classify(code: int, message: str) -> Fault:
    """The class of an error that a node answered.

    Args:
        code: the error's code. ``3`` is a revert (EIP-1474 and all clients), and ``-32005`` a limit
            on the number of requests.
        message: the node's words.
    """
    if code == 3:
        return Fault.REVERTED
    if code == -32005:
        return Fault.UNREACHABLE
    words = message.lower()
    return next((fault for fault, known in _WORDS if re.search(known, words)), Fault.REFUSED)
