"""An engine on a real chain, and steps in between for what a test does to the chain."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from runner.evm.registry import Registry, batch_key, commit_call
from runner.evm.transaction import GWEI
from runner.l1.engine import Engine
from runner.l1.observer import Observer
from runner.l1.settings import Limits
from runner.l1.store import locked_store
from runner.l1.submission import Mode, Submission
from runner.plan.journal import AggregationResult
from tests.command import RUN
from tests.fakes.prover import ADAPTER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runner.evm.chain import Chain
    from runner.evm.faults import Fault
    from runner.evm.keys import Signer
    from runner.l1.submission import State, Tracked
    from tests.chains import TestChain

IMAGE = b"\x11" * 32
LIMITS = Limits(
    max_fee=100 * GWEI,
    max_cost=10**18,
    confirmations=1,
    bump_after_s=1000.0,
    timeout_s=1000.0,
    poll_s=1.0,
)
"""Nothing takes time but a test's own steps, in each of which a second passes."""


def commitment(registry: str, number: int) -> Submission:
    """A commitment that differs from others by its number."""
    root = AggregationResult(IMAGE, 8, number.to_bytes(32, "big"))
    key = batch_key(root.encode()).hex()
    return Submission(key, Mode.COMMITMENT, registry, commit_call(root), "out")


def fake_run(guests: Path, *more: str) -> list[str]:
    """The arguments of a run of eight leaves that the fake prover proves."""
    prover = ["prover=composite", f"prover.adapter={ADAPTER}", f"guests={guests}"]
    return [*RUN, *prover, "guest=sha256", "guest.count=8", "cache=off", "output=out", *more]


class Told:
    """A watcher that remembers what it was told."""

    def __init__(self) -> None:
        self.states: list[str] = []
        self.bumps = 0
        self.faults: list[str] = []

    def changed(self, tracked: Tracked, before: State) -> None:
        self.states.append(tracked.state.value)

    def bumped(self, tracked: Tracked) -> None:
        self.bumps += 1

    def rpc_failed(self, fault: Fault) -> None:
        self.faults.append(fault.value)


class Bench:
    """An engine, whose waits between two looks at the chain are a test's own steps.

    Args:
        chain: the chain.
        folder: the folder of the engine's store.
    """

    def __init__(self, chain: TestChain, folder: Path) -> None:
        self.node = chain
        self.registry: Registry = chain.registry()
        self.told = Told()
        self.now = 1_000_000.0
        self._folder = folder
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.store = self._stack.enter_context(locked_store(self._folder, 0.0))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def restart(self) -> None:
        """Close the store and open it again, as another process would."""
        self._stack.close()
        self._stack = ExitStack()
        self.__enter__()

    def submission(self, number: int = 0) -> Submission:
        """A commitment that differs from others by its number."""
        return commitment(self.registry.address, number)

    def submit(
        self,
        *steps: Callable[[], object],
        number: int = 0,
        chain: Chain | None = None,
        signer: Signer | None = None,
        submission: Submission | None = None,
        spare: bool = False,
        **limits: Any,  # noqa: ANN401  # whole numbers and seconds
    ) -> Tracked:
        """Submit, with a step of the test's own in each wait. After the last, the node has time.

        Args:
            steps: what happens in each of the waits.
            number: which commitment it is.
            chain: what the engine takes for the chain.
            signer: who signs.
            submission: what is submitted, if it is not a commitment.
            spare: whether some of the steps may be left over.
            limits: what differs from :data:`LIMITS`.
        """
        left, waits = list(steps), 0
        found = replace(LIMITS, **limits)
        asked, account = chain or self.node.chain, signer or self.node.key

        def sleep(seconds: float) -> None:
            nonlocal waits
            if left:
                self.now += seconds
                left.pop(0)()
                return
            waits += 1
            assert waits < 500, f"nothing more happens: {self.told.states}"
            time.sleep(0.01)

        observer = Observer(
            chain=asked,
            registry=Registry(asked, self.registry.address),
            account=account.address,
            store=self.store,
            confirmations=found.confirmations,
            watcher=self.told,
            clock=lambda: self.now,
        )
        engine = Engine(
            chain=asked,
            chain_id=self.node.chain_id,
            signer=account,
            store=self.store,
            observer=observer,
            limits=found,
            sleep=sleep,
            clock=lambda: self.now,
        )
        tracked = engine.submit(submission or self.submission(number))
        assert spare or not left, "the test's last steps were not reached"
        return tracked

    def events(self, number: int = 0) -> int:
        """How many events of a commitment are on the chain."""
        key = bytes.fromhex(self.submission(number).key)
        head = self.node.chain.head().number
        return sum(
            len(self.registry.event(key, verified=False, block=block)) for block in range(head + 1)
        )
