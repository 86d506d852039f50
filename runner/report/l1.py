"""What became of a batch on an L1, read back from ``l1.json``; the file is not trusted.

It is the word of whoever submitted the batch. ``python -m runner.l1 verify`` asks the chain itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from runner.errors import InputError
from runner.folder import L1_RECORD
from runner.report.checked_json import JsonObject, one_line
from runner.untrusted import parse_json, read_regular

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["L1Figures", "read_l1"]

_MAX_BYTES = 1 << 20
_WHAT = ("verified on chain", "commitment only, not verified on chain")
_ETHER = 10**18
_GWEI = 10**9


@dataclass(frozen=True, slots=True)
class L1Figures:
    """What a batch has cost on a chain, and where its submission stands.

    Attributes:
        what: what the chain was asked for: a verification, or a commitment only.
        warning: what must be said of the contract that has verified the proof; empty for most.
        state: where the submission stands.
        chain_id: the chain's id.
        local: whether the chain was the run's own.
        client: what the node says it is.
        fork: the rules that the chain followed.
        transaction: the hash of the transaction; None if none is in a block.
        inclusion_s: the seconds until it was seen in a block, or None.
        confirmation_s: the seconds until it was seen confirmed, or None.
        gas_after: the gas that the transaction used, or None.
        gas_before: what the leaves would have used one by one, by the node's estimates, or None.
        before: what that figure is, in words.
        savings_percent: how much smaller the one is than the other, measured, or None.
        price_gwei: what the transaction paid for a unit of gas, or None.
        fee_eth: what it has cost, or None.
        deployment_gas: what the deployment of the registry used, or None.
        break_even_batches: after how many such batches that has paid for itself, or None.
    """

    what: str
    warning: str
    state: str
    chain_id: int
    local: bool
    client: str
    fork: str
    transaction: str | None
    inclusion_s: float | None
    confirmation_s: float | None
    gas_after: int | None = None
    gas_before: int | None = None
    before: str = ""
    savings_percent: float | None = None
    price_gwei: float | None = None
    fee_eth: float | None = None
    deployment_gas: int | None = None
    break_even_batches: float | None = None


def read_l1(folder: Path) -> L1Figures | None:
    """Read what became of a batch on an L1; None if it was not submitted to one.

    Args:
        folder: the batch's folder.

    Raises:
        InputError: this version cannot read the ``l1.json`` in the folder.
    """
    path = folder / L1_RECORD
    try:
        return _figures(JsonObject(parse_json(read_regular(path, _MAX_BYTES)), ""))
    except FileNotFoundError:
        return None
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
    except (ValueError, OverflowError) as error:
        problem = f"not a record of this runner: {one_line(str(error), 200)}"
    raise InputError("l1", str(path), problem, "remove it, or submit the batch again")


def _figures(record: JsonObject) -> L1Figures:
    if record.data.get("format") != 1:
        raise ValueError("format is not 1")
    what = record.text("what")
    if what not in _WHAT:  # a page must not call a commitment anything else
        raise ValueError("what is none of what can be asked of a chain")
    chain = record.node("chain")
    found = L1Figures(
        what=what,
        warning=_warning(record) if what == _WHAT[0] else "",
        state=record.text("state"),
        chain_id=chain.count("id"),
        local=chain.data.get("local") is True,
        client=chain.text("client"),
        fork=chain.text("fork"),
        transaction=None if record.data.get("transaction") is None else record.text("transaction"),
        inclusion_s=_number(record, "inclusion_s"),
        confirmation_s=_number(record, "confirmation_s"),
    )
    if record.data.get("costs") is None:
        return found
    costs = record.node("costs")
    price = costs.count("price_wei")
    gas = costs.count("gas_after")
    return replace(
        found,
        gas_after=gas,
        gas_before=None if costs.data.get("gas_before") is None else costs.count("gas_before"),
        before=costs.text("before"),
        savings_percent=_number(costs, "measured_savings_percent", signed=True),
        price_gwei=price / _GWEI,
        fee_eth=gas * price / _ETHER,
        deployment_gas=(
            None if costs.data.get("deployment_gas") is None else costs.count("deployment_gas")
        ),
        break_even_batches=_number(costs, "break_even_batches"),
    )


def _warning(record: JsonObject) -> str:
    given = record.data.get("verifier_warning")
    return "" if given is None else one_line(record.text("verifier_warning"), 200)


def _number(place: JsonObject, name: str, *, signed: bool = False) -> float | None:
    return None if place.data.get(name) is None else place.number(name, signed=signed)
