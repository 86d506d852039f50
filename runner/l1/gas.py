"""What a batch costs on the chain, and what its leaves would have cost one by one.

*After* is the gas that the root's transaction used, from its receipt. *Before* is what the node
estimates for the same call of the same contract, once for each leaf alone: for a commitment, a real
submission of a batch of one leaf. A proof of each leaf alone does not exist, so where proofs are
verified on chain, the estimate of the root's own submission stands for each of them: what a
verification costs does not depend on how many leaves a proof stands for.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from runner.evm.registry import commit_call
from runner.evm.transaction import GWEI
from runner.l1.submission import Mode
from runner.plan.journal import AggregationResult
from runner.plan.savings_model import savings_percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.evm.chain import Chain
    from runner.l1.submission import Submission

__all__ = ["Before", "Costs", "costs", "estimate_before"]

SAMPLE = 64
"""The most leaves that are asked for; more of them are told from an even sample."""

PRICES_GWEI = (0.1, 1, 10, 50)
"""The prices of gas for which the report gives costs in ether, as arithmetic."""


@dataclass(frozen=True, slots=True)
class Before:
    """What the leaves would have cost one by one, by the node's estimates.

    Attributes:
        gas: the gas of all of them together.
        leaves: the number of leaves.
        asked: for how many of them the node was asked.
        source: what the figure is, in words.
    """

    gas: int
    leaves: int
    asked: int
    source: str


@dataclass(frozen=True, slots=True)
class Costs:
    """What a batch has cost on the chain, beside what its leaves would have cost.

    Attributes:
        gas_after: the gas that the root's transaction used.
        gas_before: that of the leaves one by one; None where nobody could be asked.
        before: what that figure is.
        measured_savings_percent: how much smaller the one is than the other, or None.
        price_wei: what the transaction paid for a unit of gas.
        fee_wei: what it has cost.
        deployment_gas: what the registry's deployment used, if it was part of this; else None.
        break_even_batches: after how many such batches the deployment has paid for itself, or None.
        scenarios: the cost in ether at some prices, by arithmetic.
    """

    gas_after: int
    gas_before: int | None
    before: str
    measured_savings_percent: float | None
    price_wei: int
    fee_wei: int
    deployment_gas: int | None
    break_even_batches: float | None
    scenarios: tuple[dict[str, float], ...]

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON values."""
        return asdict(self)


def estimate_before(
    chain: Chain,
    submission: Submission,
    sender: str,
    image_id: bytes,
    leaf_hashes: Sequence[bytes],
) -> Before:
    """Ask the node what the leaves would cost one by one. It must be asked before the root is sent.

    Args:
        chain: the chain.
        submission: the root's submission, which says the contract and the mode.
        sender: the account that would pay.
        image_id: the aggregator's image id.
        leaf_hashes: the hash of each leaf, by its position in the batch.

    Raises:
        L1Error: the node does not answer, or the contract would refuse the call.
    """
    count = len(leaf_hashes)
    if submission.mode is Mode.VERIFIED:
        gas = chain.estimate(submission.to, submission.data, sender)
        source = f"{count} times eth_estimateGas of the root's own submission; no leaf was sent"
        return Before(gas * count, count, 1, source)
    asked = min(count, SAMPLE)
    sample = [leaf_hashes[index * count // asked] for index in range(asked)]
    calls = [commit_call(AggregationResult(image_id, 1, leaf)) for leaf in sample]
    gas = sum(chain.estimate(submission.to, call, sender) for call in calls)
    of = "each leaf" if asked == count else f"{asked} of the {count} leaves, evenly spread"
    source = f"eth_estimateGas of one-leaf submissions of {of}; no leaf was sent"
    return Before(gas * count // asked, count, asked, source)


def costs(gas_used: int, price: int, before: Before | None, deployment_gas: int | None) -> Costs:
    """Put the figures of one batch together.

    Args:
        gas_used: the gas that the root's transaction used.
        price: what it paid for a unit of gas, in wei.
        before: what the leaves would have cost, or None.
        deployment_gas: what the deployment of the registry used, or None.
    """
    saved = None if before is None else before.gas - gas_used
    even = None
    if saved is not None and saved > 0 and deployment_gas is not None:
        even = deployment_gas / saved
    figures = {"after": gas_used} | ({} if before is None else {"before": before.gas})
    return Costs(
        gas_after=gas_used,
        gas_before=None if before is None else before.gas,
        before="not asked" if before is None else before.source,
        measured_savings_percent=None if before is None else savings_percent(before.gas, gas_used),
        price_wei=price,
        fee_wei=gas_used * price,
        deployment_gas=deployment_gas,
        break_even_batches=even,
        scenarios=tuple(
            {"gwei": float(gwei)}
            | {f"{name}_eth": gas * gwei * GWEI / 10**18 for name, gas in figures.items()}
            for gwei in PRICES_GWEI
        ),
    )
