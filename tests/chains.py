"""Local chains for tests: a real node, and the means to let it do what chains sometimes do."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Self

import pytest

from runner.errors import InputError, L1Error
from runner.evm.chain import Chain
from runner.evm.keys import DEV_KEY, LocalKey
from runner.evm.libraries import to_checksum_address
from runner.evm.node import CHAIN_ID, LocalNode
from runner.evm.registry import NOBODY, Registry, deployment
from runner.evm.rpc import Rpc
from runner.evm.transaction import GWEI, Transaction

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from runner.evm.chain import Mined

SECOND_KEY = bytes.fromhex("59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d")
"""The second account of every development node."""


class TestChain:
    """A chain of a test's own. It must be entered, and ends when it is left.

    Args:
        folder: an existing folder for the node's log.
        options: more options of the node.
    """

    __test__ = False
    node: type[LocalNode] = LocalNode
    chain_id = CHAIN_ID

    def __init__(self, folder: Path, options: Sequence[str] = ()) -> None:
        try:
            self._node = self.node(folder, os.environ, options)
        except InputError as error:
            pytest.skip(str(error))
        self.key = LocalKey(DEV_KEY)

    def __enter__(self) -> Self:
        self._node.__enter__()
        self.url = self._node.url
        self.rpc = Rpc(self.url)
        self.chain = Chain(self.rpc)
        return self

    def __exit__(self, *_: object) -> None:
        self._node.stop()

    def transact(
        self, to: str | None, data: bytes, key: LocalKey | None = None, nonce: int | None = None
    ) -> str:
        """Send a transaction that is not the runner's, and return its hash."""
        signer = key or self.key
        transaction = Transaction(
            chain_id=self.chain_id,
            nonce=self.chain.nonce(signer.address) if nonce is None else nonce,
            to=None if to is None else to_checksum_address(to),
            data=data,
            gas=5_000_000,
            max_fee=200 * GWEI,
            tip=3 * GWEI,
        )
        signed = signer.sign(transaction)
        self.chain.send(signed.raw)
        return signed.hash

    def done(self, to: str | None, data: bytes, key: LocalKey | None = None) -> Mined:
        """Send a transaction that is not the runner's, and return its receipt."""
        return self.wait(self.transact(to, data, key))

    def wait(self, tx_hash: str) -> Mined:
        """Wait for a transaction. The node makes its blocks in a thread of its own."""
        for _ in range(3000):
            try:
                if (mined := self.chain.mined(tx_hash)) is not None:
                    return mined
            except L1Error as error:
                if error.reason != "unreachable":
                    raise
            time.sleep(0.01)
        raise AssertionError(f"{tx_hash} is in no block")

    def registry(self, verifier: str = NOBODY) -> Registry:
        """Deploy a registry."""
        contract = self.done(None, deployment(verifier)).contract
        assert contract is not None
        return Registry(self.chain, contract)

    def mine(self, blocks: int = 1) -> None:
        """Make blocks, with what waits in the first."""
        self.rpc.call("anvil_mine", hex(blocks))

    def automine(self, on: bool) -> None:  # as the node's own call has it
        """Whether the node makes a block of each transaction at once."""
        self.rpc.call("evm_setAutomine", on)

    def forget(self) -> None:
        """Let the node lose all transactions that wait."""
        self.rpc.call("anvil_dropAllTransactions")

    def reorg(self, depth: int) -> None:
        """Replace the newest blocks by empty ones."""
        self.rpc.call("anvil_reorg", depth, [])

    def base_fee(self, wei: int) -> None:
        """Set the base fee of the next block."""
        self.rpc.call("anvil_setNextBlockBaseFeePerGas", hex(wei))

    def balance(self, address: str, wei: int) -> None:
        """Set what an account owns."""
        self.rpc.call("anvil_setBalance", address, hex(wei))
