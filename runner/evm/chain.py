"""What a node knows of its chain, as plain values. Nothing here changes the chain but ``send``."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runner.errors import L1Error
from runner.evm.faults import Fault
from runner.evm.rpc import to_bytes, to_int

if TYPE_CHECKING:
    from runner.evm.rpc import Rpc

__all__ = ["Chain", "Head", "Mined"]


@dataclass(frozen=True, slots=True)
class Head:
    """A block, as far as it matters here.

    Attributes:
        number: its number, from 0.
        hash: its hash, with ``0x``.
        base_fee: what a unit of gas costs in it at least, in wei.
        time: when it was made, in Unix seconds, by its proposer's word.
    """

    number: int
    hash: str
    base_fee: int
    time: int


@dataclass(frozen=True, slots=True)
class Mined:
    """A transaction that is in a block, as its receipt says.

    Attributes:
        hash: the transaction's hash.
        block: the number of the block.
        block_hash: the hash of the block, which tells whether it is still the chain's.
        succeeded: whether it did not revert.
        gas_used: the gas that it used.
        price: what it paid for a unit of gas, in wei.
        contract: the address of the contract that it deployed, or None.
    """

    hash: str
    block: int
    block_hash: str
    succeeded: bool
    gas_used: int
    price: int
    contract: str | None = None

    @property
    def fee_wei(self) -> int:
        """What it has cost, in wei."""
        return self.gas_used * self.price


class Chain:
    """A chain behind a node.

    Every method raises L1Error if the node does not answer, or answers something that no node does.

    Args:
        rpc: the node.
    """

    def __init__(self, rpc: Rpc) -> None:
        self.rpc = rpc

    def chain_id(self) -> int:
        """The chain's id, which every transaction names (EIP-155)."""
        return to_int(self.rpc.call("eth_chainId"))

    def genesis(self) -> str:
        """The hash of the first block, which tells chains of one id apart."""
        found = self.block(0)
        if found is None:
            raise L1Error(Fault.UNREACHABLE.value, f"{self.rpc.name} has no first block")
        return found.hash

    def client(self) -> str:
        """What the node says it is, e.g. ``anvil/v1.7.1``."""
        found = self.rpc.call("web3_clientVersion")
        return found[:100] if isinstance(found, str) and found.isprintable() else "unknown"

    def fork(self) -> str:
        """The rules that the chain follows now, as far as the node tells (EIP-7910, or anvil)."""
        with contextlib.suppress(L1Error):
            found = self.rpc.call("anvil_nodeInfo")
            if isinstance(found, dict) and isinstance(found.get("hardFork"), str):
                return str(found["hardFork"])[:40]
        with contextlib.suppress(L1Error):
            found = self.rpc.call("eth_config")
            current = found.get("current") if isinstance(found, dict) else None
            if isinstance(current, dict) and isinstance(current.get("forkId"), str):
                return f"fork id {current['forkId'][:10]}"
        return "not told by the node"

    def head(self) -> Head:
        """The newest block."""
        found = self.block("latest")
        if found is None:
            raise L1Error(Fault.UNREACHABLE.value, f"{self.rpc.name} has no newest block")
        return found

    def block(self, which: int | str) -> Head | None:
        """A block by its number or tag; None if the node has none.

        A node that knows no finality has no block of the tag ``finalized``.
        """
        name = hex(which) if isinstance(which, int) else which
        try:
            found = self.rpc.call("eth_getBlockByNumber", name, False)  # no bodies
        except L1Error as error:
            if name == "finalized" and error.reason == Fault.REFUSED.value:
                return None
            raise
        if found is None:
            return None
        row = _object(found)
        return Head(
            number=to_int(row.get("number")),
            hash=_hash(row.get("hash")),
            base_fee=to_int(row.get("baseFeePerGas", "0x0")),
            time=to_int(row.get("timestamp")),
        )

    def tip(self) -> int:
        """What proposers want beyond the base fee for a unit of gas, in wei, by the node."""
        return to_int(self.rpc.call("eth_maxPriorityFeePerGas"))

    def balance(self, address: str) -> int:
        """What an account owns, in wei."""
        return to_int(self.rpc.call("eth_getBalance", address, "latest"))

    def nonce(self, address: str, at: int | str = "latest") -> int:
        """How many transactions of an account are in blocks, up to a block or with ``pending``."""
        name = hex(at) if isinstance(at, int) else at
        return to_int(self.rpc.call("eth_getTransactionCount", address, name))

    def code(self, address: str) -> bytes:
        """The code of a contract; empty if there is none."""
        return to_bytes(self.rpc.call("eth_getCode", address, "latest"))

    def call(self, to: str | None, data: bytes, sender: str | None = None) -> bytes:
        """Run a call without a transaction and return what it returns.

        Raises:
            L1Error: the contract reverts; ``revert`` is what it says.
        """
        return to_bytes(self.rpc.call("eth_call", _call(to, data, sender), "latest"))

    def estimate(self, to: str | None, data: bytes, sender: str) -> int:
        """The gas that a transaction needs, by the node's simulation.

        Raises:
            L1Error: the contract reverts; ``revert`` is what it says.
        """
        return to_int(self.rpc.call("eth_estimateGas", _call(to, data, sender)))

    def send(self, raw: bytes) -> None:
        """Hand a signed transaction to the node.

        Raises:
            L1Error: the node does not take it; the reason says why, by class.
        """
        self.rpc.call("eth_sendRawTransaction", f"0x{raw.hex()}")

    def knows(self, tx_hash: str) -> bool:
        """Whether the node has a transaction, in a block or waiting."""
        return self.rpc.call("eth_getTransactionByHash", tx_hash) is not None

    def mined(self, tx_hash: str) -> Mined | None:
        """A transaction that is in a block, or None if this node knows no such block."""
        found = self.rpc.call("eth_getTransactionReceipt", tx_hash)
        if found is None:
            return None
        row = _object(found)
        contract = row.get("contractAddress")
        return Mined(
            hash=tx_hash,
            block=to_int(row.get("blockNumber")),
            block_hash=_hash(row.get("blockHash")),
            succeeded=to_int(row.get("status")) == 1,
            gas_used=to_int(row.get("gasUsed")),
            price=to_int(row.get("effectiveGasPrice")),
            contract=None if contract is None else f"0x{to_bytes(contract, 20).hex()}",
        )

    def logs(self, address: str, topics: list[str], first: int, last: int) -> list[dict[str, Any]]:
        """The events of a contract with these topics, in the blocks from first to last."""
        query = {
            "address": address,
            "topics": topics,
            "fromBlock": hex(first),
            "toBlock": hex(last),
        }
        found = self.rpc.call("eth_getLogs", query)
        if not isinstance(found, list):
            raise L1Error(Fault.UNREACHABLE.value, f"{self.rpc.name} answered no list of events")
        return [_object(row) for row in found]


def _call(to: str | None, data: bytes, sender: str | None) -> dict[str, str]:
    call = {"data": f"0x{data.hex()}"}
    if to is not None:
        call["to"] = to
    return call if sender is None else call | {"from": sender}


def _object(found: object) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise L1Error(Fault.UNREACHABLE.value, "the node answered no object")
    return found


def _hash(value: object) -> str:
    return f"0x{to_bytes(value, 32).hex()}"
