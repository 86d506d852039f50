"""A process that submits, and kills itself at a point that it is told.

    python -m tests.l1.killed URL REGISTRY STORE NUMBER POINT

The points are ``signed`` (the transaction is on disk, nobody has it), ``sent`` (a node has it, the
disk does not know), ``seen`` (it is in a block, the disk does not know), and ``none``.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from runner.evm.chain import Chain
from runner.evm.keys import DEV_KEY, LocalKey
from runner.evm.node import CHAIN_ID
from runner.evm.registry import Registry
from runner.evm.rpc import Rpc
from runner.l1.engine import Engine
from runner.l1.observer import Observer, Silent
from runner.l1.settings import Limits
from runner.l1.store import Store, locked_store
from runner.l1.submission import State
from tests.l1.benches import commitment

POINTS = {"signed": (Store, "add_attempt"), "sent": (Chain, "send")}


def main(url: str, address: str, folder: str, number: str, point: str) -> None:
    """Submit, and be killed on the way."""
    if point in POINTS:
        kill_after(*POINTS[point])
    elif point == "seen":
        kill_when_seen()
    chain = Chain(Rpc(url))
    registry = Registry(chain, address)
    key = LocalKey(DEV_KEY)
    with locked_store(Path(folder), 5.0) as store:
        observer = Observer(
            chain=chain,
            registry=registry,
            account=key.address,
            store=store,
            confirmations=1,
            watcher=Silent(),
        )
        limits = Limits(confirmations=1, max_cost=10**18, timeout_s=30.0, poll_s=0.01)
        engine = Engine(
            chain=chain,
            chain_id=CHAIN_ID,
            signer=key,
            store=store,
            observer=observer,
            limits=limits,
        )
        sys.stdout.write(engine.submit(commitment(registry.address, int(number))).state.value)


def kill_after(owner: type, name: str) -> None:
    """Kill this process when a method has done its work."""
    original = getattr(owner, name)

    def replaced(*arguments: Any) -> None:  # noqa: ANN401
        original(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, replaced)


def kill_when_seen() -> None:
    """Kill this process when it is about to note that a transaction is in a block."""
    original = Store.update

    def replaced(store: Store, tracked: Any) -> None:  # noqa: ANN401
        if tracked.state in {State.INCLUDED, State.CONFIRMED}:
            os.kill(os.getpid(), signal.SIGKILL)
        original(store, tracked)

    setattr(Store, "update", replaced)  # noqa: B010  # a type checker would refuse the assignment


if __name__ == "__main__":
    main(*sys.argv[1:])
