"""The chain and the registry that the settings name, and what must be installed to ask them."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import InputError, L1Error
from runner.evm.chain import Chain
from runner.evm.faults import Fault
from runner.evm.node import CHAIN_ID, LocalNode
from runner.evm.rpc import Rpc

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from runner.l1.observer import Watcher
    from runner.l1.settings import L1Settings

__all__ = ["ChainInfo", "check_libraries", "open_chain", "registry_of"]


@dataclass(frozen=True, slots=True)
class ChainInfo:
    """Which chain a figure is from.

    Attributes:
        id: the chain's id.
        local: whether it was a chain of the run's own, which has ended with it.
        client: what the node says it is.
        fork: the rules that the chain follows, as far as the node tells.
        genesis: the hash of its first block.
    """

    id: int
    local: bool
    client: str
    fork: str
    genesis: str


@contextlib.contextmanager
def open_chain(
    settings: L1Settings, watcher: Watcher, env: Mapping[str, str] = os.environ
) -> Iterator[tuple[Chain, ChainInfo]]:
    """The chain that the settings name, and what is known of it.

    Raises:
        InputError: a setting cannot be used.
        L1Error: the node does not answer, or is of another chain.
    """
    with contextlib.ExitStack() as stack:
        if settings.local:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="runner-node-")))
            url = stack.enter_context(LocalNode(folder, env)).url
        else:
            url = settings.address(env)
            if settings.chain_id is None:
                remedy = "give the id of the chain that the node must be of"
                raise InputError("l1.chain_id", None, "missing", remedy)
        chain = Chain(Rpc(url, settings.rpc_timeout_s, watcher.rpc_failed))
        found, wanted = chain.chain_id(), CHAIN_ID if settings.local else settings.chain_id
        if found != wanted:
            raise L1Error(
                Fault.WRONG_CHAIN.value,
                f"{chain.rpc.name} is of chain {found}, l1.chain_id is {wanted}",
            )
        info = ChainInfo(found, settings.local, chain.client(), chain.fork(), chain.genesis())
        yield chain, info


def registry_of(settings: L1Settings) -> str:
    """The address of the registry that the settings name.

    Raises:
        InputError: they name none.
    """
    if settings.registry is None:
        remedy = "give its address; python -m runner.l1 deploy deploys one"
        raise InputError("l1.registry", None, "missing", remedy)
    return settings.registry


def check_libraries() -> None:
    """Make sure that the optional packages are there.

    Raises:
        InputError: they are not.
    """
    for name in ("eth_abi", "eth_account"):
        if importlib.util.find_spec(name) is None:
            problem = f"the package {name} is not installed"
            raise InputError("l1", "", problem, "pip install 'zk-batch-runner[l1]'")
