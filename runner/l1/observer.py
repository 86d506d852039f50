"""Looks at the chain for what has become of a submission, and notes it. It sends nothing.

A node may be many nodes behind one address, which are not equally far. What one of them does not
know is therefore believed only when it was asked several times.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from runner.l1.submission import Mode, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from runner.evm.chain import Chain, Mined
    from runner.evm.faults import Fault
    from runner.evm.registry import Posted, Registry
    from runner.l1.store import Store
    from runner.l1.submission import Attempt, Submission, Tracked

__all__ = ["Observer", "Silent", "Watcher", "entry_of"]

PATIENCE = 3
"""How often in turn a thing must be missing before it counts as gone."""

_SEEN = {State.INCLUDED, State.CONFIRMED, State.FINALIZED, State.REVERTED}


class Watcher(Protocol):
    """What is told of everything that happens, such as the audit log and the metrics."""

    def changed(self, tracked: Tracked, before: State) -> None:
        """A submission is in another state."""
        ...

    def bumped(self, tracked: Tracked) -> None:
        """A transaction was signed again with higher fees."""
        ...

    def rpc_failed(self, fault: Fault) -> None:
        """A call to the node failed."""
        ...


class Silent:
    """A watcher that does nothing."""

    def changed(self, tracked: Tracked, before: State) -> None:
        """Do nothing."""

    def bumped(self, tracked: Tracked) -> None:
        """Do nothing."""

    def rpc_failed(self, fault: Fault) -> None:
        """Do nothing."""


class Observer:
    """Looks at one chain for the submissions of one account.

    Args:
        chain: the chain.
        registry: the registry that is submitted to; None while it is being deployed.
        account: the account's address.
        store: where what is seen is noted.
        confirmations: the number of blocks after which a transaction counts as confirmed.
        watcher: what is told of every change.
        clock: a function that returns the Unix time in seconds.
    """

    def __init__(  # noqa: PLR0913  # the parts of an observer, all by keyword
        self,
        *,
        chain: Chain,
        registry: Registry | None,
        account: str,
        store: Store,
        confirmations: int,
        watcher: Watcher,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._chain = chain
        self._registry = registry
        self._account = account
        self._store = store
        self._confirmations = confirmations
        self._watcher = watcher
        self._clock = clock
        self._missing: Counter[str] = Counter()

    def look(self, tracked: Tracked) -> Tracked:
        """Find out where a submission stands.

        Raises:
            L1Error: the node does not answer.
        """
        attempts = self._store.attempts(tracked.submission)
        mined = self._mined(attempts)
        if mined is not None:
            del self._missing[tracked.submission.id]
            return self._found(tracked, mined)
        if tracked.state in _SEEN and not tracked.others:
            self._missing[tracked.submission.id] += 1
            if self._missing[tracked.submission.id] < PATIENCE:
                return tracked
            tracked = self._forget(tracked, State.REORGED, "its block is not the chain's any more")
        return self._look_for_others(tracked, attempts)

    def change(self, tracked: Tracked, state: State, reason: str) -> Tracked:
        """Note that a submission is in a state, and tell the watcher if it is another one."""
        before, now = tracked.state, self._clock()
        since = tracked.since if state is before else now
        after = replace(tracked, state=state, since=since, reason=reason)
        self._store.update(after)
        if state is not before:
            self._watcher.changed(after, before)
        return after

    def bumped(self, tracked: Tracked) -> None:
        """Tell the watcher that a transaction was signed with higher fees."""
        self._watcher.bumped(tracked)

    def _mined(self, attempts: list[Attempt]) -> Mined | None:
        """The transaction that is in a block of the chain. One that succeeded comes first."""
        found = [
            (mined, attempt)
            for attempt in reversed(attempts)
            if (mined := self._chain.mined(attempt.hash)) is not None
        ]
        for mined, _ in found:
            if mined.succeeded:
                return mined
        # A closed one reverted in an earlier try, after which the user asked again.
        return next((mined for mined, attempt in found if not attempt.closed), None)

    def _found(self, tracked: Tracked, mined: Mined) -> Tracked:
        block = self._chain.block(mined.block)
        if block is None or block.hash != mined.block_hash:
            return tracked  # the node is just replacing that block
        now = self._clock()
        seen = replace(
            tracked,
            mined=mined.hash,
            block=mined.block,
            block_hash=mined.block_hash,
            gas_used=mined.gas_used,
            price=mined.price,
            contract=mined.contract,
            included_at=tracked.included_at if tracked.included_at is not None else now,
            others=False,
        )
        if not mined.succeeded:
            other = self._posted(tracked)
            if other is None:
                return self.change(seen, State.REVERTED, "the contract refused it in its block")
            reason = f"{other.poster} was first; ours reverted"
            return self._settled(replace(seen, others=True), other.block, reason)
        return self._settled(seen, mined.block, "")

    def _settled(self, tracked: Tracked, block: int, reason: str) -> Tracked:
        """How deep in the chain a block is, as a state."""
        depth = self._chain.head().number - block + 1
        finalized = self._chain.block("finalized")
        if depth < self._confirmations:
            return self.change(tracked, State.INCLUDED, reason)
        if tracked.confirmed_at is None:
            tracked = replace(tracked, confirmed_at=self._clock())
        # A development node says of its first block that it is final, and of no other for a while.
        final = finalized is not None and 0 < block <= finalized.number
        return self.change(tracked, State.FINALIZED if final else State.CONFIRMED, reason)

    def _look_for_others(self, tracked: Tracked, attempts: list[Attempt]) -> Tracked:
        other = self._posted(tracked)
        if other is not None:
            hashes = {attempt.hash for attempt in attempts}
            assert self._registry is not None  # noqa: S101  # it has just been asked
            key = bytes.fromhex(tracked.submission.key)
            events = self._registry.event(key, verified=other.verified, block=other.block)
            if hashes & set(events):
                return tracked  # it is ours, and another node behind the address has its receipt
            reason = f"{other.poster} submitted it"
            return self._settled(replace(tracked, others=True), other.block, reason)
        if tracked.others:
            tracked = self._forget(tracked, State.REORGED, "the other's block is gone")
        return self._look_at_nonces(tracked, attempts)

    def _look_at_nonces(self, tracked: Tracked, attempts: list[Attempt]) -> Tracked:
        """Close the nonces that others have used for good, so that a new one can be taken."""
        live = [attempt for attempt in attempts if not attempt.closed]
        deep = self._chain.head().number - self._confirmations + 1
        if not live or deep < 0:
            return tracked
        nonce = live[-1].nonce
        name = f"nonce {nonce}"
        if self._chain.nonce(self._account, deep) <= nonce:
            del self._missing[name]
            return tracked
        self._missing[name] += 1
        if self._missing[name] < PATIENCE:
            return tracked
        self._store.close_nonce(nonce)
        return self.change(tracked, State.DROPPED, f"another transaction has used {name}")

    def _forget(self, tracked: Tracked, state: State, reason: str) -> Tracked:
        bare = replace(
            tracked,
            mined=None,
            block=None,
            block_hash=None,
            gas_used=None,
            price=None,
            contract=None,
            included_at=None,
            confirmed_at=None,
            others=False,
        )
        return self.change(bare, state, reason)

    def _posted(self, tracked: Tracked) -> Posted | None:
        said = tracked.submission
        if self._registry is None or said.to != self._registry.address:
            return None
        return entry_of(self._registry, said)


def entry_of(registry: Registry, submission: Submission) -> Posted | None:
    """What a registry knows of what a submission is to post, whoever has posted it.

    Raises:
        L1Error: the node does not answer.
    """
    if submission.mode is Mode.DEPLOYMENT:
        return None
    verified = submission.mode is Mode.VERIFIED
    return registry.posted(bytes.fromhex(submission.key), verified=verified)
