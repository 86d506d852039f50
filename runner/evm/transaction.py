"""A transaction before and after it is signed (EIP-1559, type 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runner.errors import L1Error
from runner.evm.faults import Fault

__all__ = ["GWEI", "Signed", "Transaction", "read_signed"]

GWEI = 10**9
"""Wei in a gwei, the unit in which people give prices of gas."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction as it is to be signed. It transfers no ether.

    Attributes:
        chain_id: the chain that it is for, and no other.
        nonce: its number among the sender's transactions, from 0.
        to: the contract that is called, as an address with a checksum; None deploys ``data``.
        data: the call, or the code of a deployment.
        gas: the most gas that it may use.
        max_fee: the most that it pays for a unit of gas, in wei.
        tip: what of that the block's proposer gets beyond the base fee, in wei.
    """

    chain_id: int
    nonce: int
    to: str | None
    data: bytes
    gas: int
    max_fee: int
    tip: int

    @property
    def most_wei(self) -> int:
        """The most that it can cost, in wei. The sender must own that much."""
        return self.gas * self.max_fee

    def fields(self) -> dict[str, Any]:
        """The transaction as libraries that sign take it."""
        fields: dict[str, Any] = {
            "type": 2,
            "chainId": self.chain_id,
            "nonce": self.nonce,
            "value": 0,
            "data": self.data,
            "gas": self.gas,
            "maxFeePerGas": self.max_fee,
            "maxPriorityFeePerGas": self.tip,
        }
        return fields if self.to is None else fields | {"to": self.to}


@dataclass(frozen=True, slots=True)
class Signed:
    """A transaction with its signature.

    Attributes:
        raw: the bytes that are sent to a node.
        hash: their hash, with ``0x``, by which the chain knows the transaction.
        transaction: what was signed.
    """

    raw: bytes
    hash: str
    transaction: Transaction


def read_signed(raw: bytes, sender: str) -> Signed:
    """Read a signed transaction, and make sure who signed it.

    Args:
        raw: the transaction's bytes.
        sender: the address that must have signed it.

    Raises:
        L1Error: it is no transaction of type 2, has parts that ours have not, or somebody else
            signed it.
    """
    from runner.evm.libraries import (
        Account,
        HexBytes,
        TypedTransaction,
        keccak,
        to_checksum_address,
    )

    try:
        found = TypedTransaction.from_bytes(HexBytes(raw)).as_dict()
        signer = Account.recover_transaction(raw)
        # Whoever signs may not add to what is signed: no ether, no access list.
        if found["type"] != 2 or found["value"] or found["accessList"]:
            raise ValueError("it has other parts than what was asked for")
        to = bytes(found["to"])
        transaction = Transaction(
            chain_id=found["chainId"],
            nonce=found["nonce"],
            to=to_checksum_address(to) if to else None,
            data=bytes(found["data"]),
            gas=found["gas"],
            max_fee=found["maxFeePerGas"],
            tip=found["maxPriorityFeePerGas"],
        )
    except Exception as error:  # noqa: BLE001  # the library raises whatever its parsers raise
        reason = f"not a signed transaction that can be sent ({type(error).__name__}: {error})"
        raise L1Error(Fault.SIGNER.value, reason) from None
    if signer.lower() != sender.lower():
        raise L1Error(Fault.SIGNER.value, f"signed by {signer}, not by {sender}")
    return Signed(raw, f"0x{keccak(raw).hex()}", transaction)
