"""A second client: geth, whose words and habits are not anvil's.

It is no part of the set-up, because building it takes minutes. ``RUNNER_TEST_GETH`` names its
program, or it is on PATH:

    go install github.com/ethereum/go-ethereum/cmd/geth@v1.17.10

Tests of it are skipped where it is not there.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Self

from runner.errors import InputError
from runner.evm.node import LocalNode
from tests.chains import TestChain

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION = "1.17.10"
"""The version that the gas figures in docs/l1.md are of."""


class GethNode(LocalNode):
    """geth with a chain of its own in memory. It makes a block of each transaction at once."""

    start_s = 120.0
    listening = re.compile(r"HTTP server started\s+endpoint=127\.0\.0\.1:(\d+)")

    @staticmethod
    def program(env: Mapping[str, str]) -> Path:
        """See :class:`LocalNode`."""
        found = env.get("RUNNER_TEST_GETH") or shutil.which("geth", path=env.get("PATH"))
        if not found:
            raise InputError("RUNNER_TEST_GETH", None, "no geth", "see tests/geth.py")
        return Path(found)

    def arguments(self) -> list[str]:
        """See :class:`LocalNode`."""
        http = ["--http", "--http.addr", "127.0.0.1", "--http.port", "0"]
        apis = ["--http.api", "eth,net,web3,debug,txpool"]
        return ["--dev", *http, *apis, "--ipcdisable", "--nodiscover", "--port", "0"]


class GethChain(TestChain):
    """A chain of geth's, where the accounts of tests own as much as on others."""

    node = GethNode
    chain_id = 1337

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, ["--datadir", str(folder / "geth")])

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            self.fund(self.key.address, 10_000 * 10**18)
        except BaseException:
            self.__exit__()
            raise
        return self

    def fund(self, address: str, wei: int) -> None:
        """Give an account ether of the node's own."""
        (own,) = self.rpc.call("eth_accounts")
        paid = {"from": own, "to": address, "value": hex(wei)}
        assert self.wait(self.rpc.call("eth_sendTransaction", paid)).succeeded

    def rewind(self, number: int) -> None:
        """Forget the blocks above one, as a reorganisation does."""
        self.rpc.call("debug_setHead", hex(number))


def available() -> bool:
    """Whether geth is there."""
    try:
        GethNode.program(os.environ)
    except InputError:
        return False
    return True
