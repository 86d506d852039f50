"""What a run would do with its root on an L1, for the dry run.

Nothing is sent to the chain that the settings name, and nothing is signed for it. A chain of the
run's own (``l1=local``) is started, gets a registry, is asked, and ends.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runner.errors import L1Error
from runner.evm.keys import open_signer
from runner.evm.registry import NOBODY, Registry, commit_call
from runner.evm.transaction import GWEI
from runner.l1.engine import gas_limit
from runner.l1.fees import suggested
from runner.l1.observer import Silent
from runner.l1.reach import open_chain, registry_of
from runner.l1.session import open_session
from runner.l1.submission import Mode
from runner.model import ReceiptKind
from runner.plan.journal import AggregationResult
from runner.plan.savings_model import GAS_PER_PROOF

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from runner.evm.chain import Chain
    from runner.l1.reach import ChainInfo
    from runner.l1.settings import L1Settings

__all__ = ["Foreseen", "foresee"]

_DEAREST = b"\xff" * 32
"""The bytes that stand for a digest nobody knows yet. A byte of a call that is zero costs less."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a node has said of the submission.

    Attributes:
        chain: which chain it is.
        registry: the registry's address.
        gas: the gas that the submission takes.
        source: what that figure is, in words.
        price: what a unit of gas would cost now, in wei.
        most: the most that the transaction could cost now, in wei.
        problem: why it would not be sent now; empty if it would.
    """

    chain: ChainInfo
    registry: str
    gas: int
    source: str
    price: int
    most: int
    problem: str


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What a run would do with its root.

    Attributes:
        settings: where and how it would be submitted.
        kind: the kind of the root's receipt.
        name: what the submission is called; None where there is no root.
        asked: what the node has said, or None.
        problem: why the node was not asked, or has not answered; empty if it has.
    """

    settings: L1Settings
    kind: ReceiptKind
    name: Mode | None
    asked: Asked | None
    problem: str

    def sentences(self) -> list[str]:
        """One line for each thing that is known."""
        limits, asked = self.settings.limits, self.asked
        caps = (
            f"l1.max_fee_gwei allows {limits.max_fee / GWEI:g} gwei for a unit of gas,"
            f" l1.max_cost_eth {limits.max_cost / 10**18:g} ETH for a transaction"
        )
        if self.name is None:
            return [f"L1: {self.problem}"]
        lines = [f"L1: the root's {self.kind.value} receipt would be posted: {self.name.value}"]
        if asked is None:
            return [*lines, f"L1: what it costs is not known ({self.problem})", f"L1: {caps}"]
        of = f"chain {asked.chain.id}, {asked.chain.client}, {asked.chain.fork}"
        costs = (
            f"{asked.gas:,} gas ({asked.source}), which is"
            f" {asked.gas * asked.price / 10**18:.6g} ETH at {asked.price / GWEI:.6g} gwei now, and"
            f" {asked.most / 10**18:.6g} ETH at most"
        )
        lines += [f"L1: {costs}; {of}", f"L1: {caps}"]
        if asked.problem:
            lines.append(f"L1: it would not be sent now: {asked.problem}")
        return lines

    def to_json(self) -> dict[str, Any]:
        """The same as JSON values. Amounts of money are in wei, as text."""
        limits, asked = self.settings.limits, self.asked
        found: dict[str, Any] = {
            "mode": self.settings.mode,
            "receipt": self.kind.value,
            "name": None if self.name is None else self.name.value,
            "max_fee_wei": str(limits.max_fee),
            "max_cost_wei": str(limits.max_cost),
            "problem": self.problem or (asked.problem if asked else ""),
        }
        if asked is not None:
            found |= {
                "chain": asked.chain.id,
                "client": asked.chain.client,
                "fork": asked.chain.fork,
                "registry": asked.registry,
                "gas": asked.gas,
                "gas_source": asked.source,
                "price_wei": str(asked.price),
                "cost_wei": str(asked.gas * asked.price),
                "most_wei": str(asked.most),
            }
        return found


def foresee(
    settings: L1Settings,
    kind: ReceiptKind,
    leaves: int,
    *,
    root: bool,
    env: Mapping[str, str] = os.environ,
) -> Foreseen:
    """Say what a run would do with its root.

    A node that does not answer is part of what is said, since a run goes on without it, too.

    Args:
        settings: where and how to submit.
        kind: the kind of receipt that the root will have.
        leaves: the number of leaves that it will stand for.
        root: whether the batch will have a root at all.
        env: the environment variables.

    Raises:
        InputError: a setting cannot be used.
    """
    if not root:
        return Foreseen(settings, kind, None, None, "the batch will have no root to submit")
    name = Mode.COMMITMENT
    try:
        with _registry(settings, env) as (registry, info, sender):
            proof = kind is ReceiptKind.GROTH16 and registry.check() != NOBODY
            name = Mode.VERIFIED if proof else Mode.COMMITMENT
            asked = _ask(settings, registry, info, sender, name, leaves)
    except L1Error as error:
        return Foreseen(settings, kind, name, None, str(error))
    return Foreseen(settings, kind, name, asked, "")


@contextlib.contextmanager
def _registry(
    settings: L1Settings, env: Mapping[str, str]
) -> Iterator[tuple[Registry, ChainInfo, str]]:
    """The registry that would be submitted to, its chain, and the account that would pay."""
    if settings.local:
        with open_session(settings, Silent(), env) as session:
            address = session.deploy().contract or ""
            yield Registry(session.chain, address), session.info, session.signer.address
        return
    # A session would take the account's lock, which a batch that is under way may have.
    with open_chain(settings, Silent(), env) as (chain, info):
        sender = open_signer(settings.key, info.id, env).address
        yield Registry(chain, registry_of(settings)), info, sender


def _ask(  # noqa: PLR0913, PLR0917  # what the question is about
    settings: L1Settings, registry: Registry, info: ChainInfo, sender: str, name: Mode, leaves: int
) -> Asked:
    chain, limits = registry.chain, settings.limits
    if name is Mode.VERIFIED:
        gas, source = GAS_PER_PROOF, "the model's, since there is no proof yet to ask a node of"
    else:
        call = commit_call(AggregationResult(_DEAREST, leaves, _DEAREST))
        gas = chain.estimate(registry.address, call, sender)
        source = "eth_estimateGas of a root of as many leaves"
    price, offered, problem = _price(chain, limits.max_fee)
    most = gas_limit(gas) * offered
    if not problem and most > limits.max_cost:
        problem = f"it may cost {most / 10**18:.6g} ETH"
    elif not problem and chain.balance(sender) < most:
        problem = f"{sender} has {chain.balance(sender) / 10**18:.6g} ETH"
    return Asked(info, registry.address, gas, source, price, most, problem)


def _price(chain: Chain, cap: int) -> tuple[int, int, str]:
    """What a unit of gas costs now, the most that would be offered for it, and what is wrong."""
    head, tip = chain.head(), chain.tip()
    try:
        fees = suggested(head.base_fee, tip, cap)
    except L1Error as error:
        return head.base_fee + tip, cap, str(error)
    return min(head.base_fee + fees.tip, fees.max_fee), fees.max_fee, ""
