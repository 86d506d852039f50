"""The transaction engine: it loses no transaction and sends none twice.

What is signed is on disk before anybody else has it, with its hash. Whoever comes after a crash
therefore looks for every hash on the chain, then for the batch's key, and then sends the same bytes
again. A new nonce is taken only when no transaction of the account waits. The registry takes each
key once, so that even two engines that know nothing of each other leave one event.

Each step first looks (:mod:`runner.l1.observer`) and then acts on what was seen, so that it does
not matter what the step before had finished.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from runner.errors import L1Error
from runner.evm.contracts import spoken
from runner.evm.faults import Fault
from runner.evm.transaction import Transaction, read_signed
from runner.l1.fees import Fees, bumped, suggested
from runner.l1.submission import DONE, OPEN, Attempt, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from runner.evm.chain import Chain
    from runner.evm.keys import Signer
    from runner.l1.observer import Observer
    from runner.l1.settings import Limits
    from runner.l1.store import Store
    from runner.l1.submission import Submission, Tracked

__all__ = ["Engine", "gas_limit"]

_WAITED_OUT = {
    *(Fault.UNREACHABLE, Fault.FEE_CAP, Fault.NONCE_USED),
    *(Fault.UNDERPRICED, Fault.BELOW_BASE_FEE, Fault.TAKEN),
}
"""The failures that may pass. All others end the attempt at once."""

_ENDED = DONE | {State.FAILED, State.REVERTED}


class Engine:
    """Submits with one account on one chain. Its store is locked for it alone.

    Args:
        chain: the chain.
        chain_id: the chain's id, which every transaction names.
        signer: who signs.
        store: the transactions of this account on this chain.
        observer: what looks at the chain, and notes what it sees in the store.
        limits: what a submission may cost, and how long it may take.
        sleep: a function that waits for a number of seconds.
        clock: a function that returns the Unix time in seconds.
    """

    def __init__(  # noqa: PLR0913  # the parts of an engine, all by keyword
        self,
        *,
        chain: Chain,
        chain_id: int,
        signer: Signer,
        store: Store,
        observer: Observer,
        limits: Limits,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._chain = chain
        self._chain_id = chain_id
        self._signer = signer
        self._store = store
        self._observer = observer
        self._limits = limits
        self._sleep = sleep
        self._clock = clock

    def submit(self, submission: Submission) -> Tracked:
        """Bring a submission onto the chain, or go on with one that was begun.

        Returns:
            What has become of it: confirmed, finalized, reverted or failed.

        Raises:
            L1Error: it could not be brought there now. What was signed stays in the store, and the
                same call goes on with it.
        """
        end = time.monotonic() + self._limits.timeout_s
        for other in self._store.all():
            # A nonce that waits holds up all that follow, so it comes first.
            if other.submission.id != submission.id and self._in_flight(other):
                self._drive(other, end, _ENDED | {State.INCLUDED})
        tracked = self._store.add(submission, self._clock())
        if tracked.state in {State.FAILED, State.REVERTED}:
            tracked = self._begin_again(tracked)
        return self._drive(tracked, end, _ENDED)

    def _in_flight(self, tracked: Tracked) -> bool:
        attempts = self._store.attempts(tracked.submission)
        return tracked.state in OPEN and any(not attempt.closed for attempt in attempts)

    def _begin_again(self, tracked: Tracked) -> Tracked:
        """Open a submission that was given up or refused, because it is asked for again."""
        if tracked.mined is not None:  # its nonce is used by the transaction that reverted
            for attempt in self._store.attempts(tracked.submission):
                if attempt.hash == tracked.mined:
                    self._store.close_nonce(attempt.nonce)
        again = replace(tracked, mined=None, block=None, block_hash=None, gas_used=None, price=None)
        return self._observer.change(again, State.PREPARED, "")

    def _drive(self, tracked: Tracked, end: float, until: frozenset[State] | set[State]) -> Tracked:
        """Take steps until the submission is in one of some states."""
        while True:
            problem: L1Error | None = None
            try:
                tracked = self._step(tracked)
            except L1Error as error:
                if Fault(error.reason) not in _WAITED_OUT:
                    raise
                problem = error
                tracked = self._store.find(tracked.submission) or tracked
            if tracked.state in until:
                return tracked
            if time.monotonic() >= end:
                if problem is not None:
                    raise problem
                what = f"{tracked.state.value} for {self._clock() - tracked.since:.0f} s"
                why = f" ({tracked.reason})" if tracked.reason else ""
                raise L1Error(
                    Fault.LATE.value, f"not confirmed in time: {what}{why}; submit again later"
                )
            self._sleep(self._limits.poll_s)

    def _step(self, tracked: Tracked) -> Tracked:
        tracked = self._observer.look(tracked)
        if tracked.state in _ENDED or tracked.state is State.INCLUDED:
            return tracked
        live = [one for one in self._store.attempts(tracked.submission) if not one.closed]
        if not live:
            return self._prepare(tracked)
        last = live[-1]
        if self._chain.nonce(self._signer.address) > last.nonce:
            return tracked  # the nonce is used: the observer finds out by what
        if self._clock() - last.made >= self._limits.bump_after_s:
            higher = self._bump(tracked, last)
            tracked = self._store.find(tracked.submission) or tracked
            last = higher or last
        return self._send(tracked, last)

    def _prepare(self, tracked: Tracked) -> Tracked:
        """Sign a transaction with the next nonce, note it, and send it."""
        said, sender = tracked.submission, self._signer.address
        try:
            self._chain.call(said.to, said.data, sender)
            gas = self._chain.estimate(said.to, said.data, sender)
        except L1Error as error:
            if error.reason != Fault.REVERTED.value:
                raise
            words = spoken(error)
            if words.startswith("Already"):  # nodes simulate with what waits, too
                message = "a transaction that waits does the same"
                raise L1Error(Fault.TAKEN.value, message) from None
            # Nothing was sent, and nothing paid.
            reason = f"the contract would refuse it: {words}"
            return self._observer.change(tracked, State.FAILED, reason)
        fees = self._fees()
        transaction = Transaction(
            chain_id=self._chain_id,
            nonce=self._chain.nonce(sender, "pending"),
            to=said.to,
            data=said.data,
            gas=gas_limit(gas),
            max_fee=fees.max_fee,
            tip=fees.tip,
        )
        self._check_cost(transaction)
        balance = self._chain.balance(sender)
        if balance < transaction.most_wei:
            needs = f"{_ether(transaction.most_wei)} ETH, it has {_ether(balance)}"
            raise L1Error(Fault.NO_FUNDS.value, f"{sender} needs up to {needs}")
        tracked = self._observer.change(tracked, State.PREPARED, "")
        return self._send(tracked, self._sign(tracked, transaction))

    def _fees(self) -> Fees:
        head = self._chain.head()
        return suggested(head.base_fee, self._chain.tip(), self._limits.max_fee)

    def _check_cost(self, transaction: Transaction) -> None:
        if transaction.most_wei > self._limits.max_cost:
            most, allowed = _ether(transaction.most_wei), _ether(self._limits.max_cost)
            raise L1Error(
                Fault.COST_CAP.value, f"it may cost {most} ETH, l1.max_cost_eth allows {allowed}"
            )

    def _sign(self, tracked: Tracked, transaction: Transaction) -> Attempt:
        """Sign a transaction and note it. It is on disk when this returns."""
        signed = self._signer.sign(transaction)
        attempt = Attempt(
            hash=signed.hash,
            nonce=transaction.nonce,
            raw=signed.raw,
            max_fee=transaction.max_fee,
            tip=transaction.tip,
            made=self._clock(),
        )
        self._store.add_attempt(tracked.submission, attempt)
        return attempt

    def _bump(self, tracked: Tracked, last: Attempt) -> Attempt | None:
        """Sign the same transaction with higher fees, or None where the settings allow none."""
        old = Fees(last.max_fee, last.tip)
        fees = bumped(old, self._fees(), self._limits.max_fee)
        if fees is None:
            self._observer.change(tracked, tracked.state, "it offers what l1.max_fee_gwei allows")
            return None
        before = read_signed(last.raw, self._signer.address).transaction
        transaction = replace(before, max_fee=fees.max_fee, tip=fees.tip)
        self._check_cost(transaction)
        attempt = self._sign(tracked, transaction)
        self._observer.bumped(tracked)
        return attempt

    def _send(self, tracked: Tracked, attempt: Attempt) -> Tracked:
        """Hand a transaction to the node, unless the node has it."""
        if attempt.sent is not None and self._chain.knows(attempt.hash):
            return tracked
        if tracked.state is State.SENT and attempt.sent is not None:
            tracked = self._observer.change(tracked, State.DROPPED, "the node has forgotten it")
        try:
            self._chain.send(attempt.raw)
        except L1Error as error:
            if error.reason == Fault.BELOW_BASE_FEE.value:
                higher = self._bump(tracked, attempt)
                return tracked if higher is None else self._send(tracked, higher)
            if error.reason != Fault.KNOWN.value:
                raise
        now = self._clock()
        self._store.note_sent(attempt, now)
        first = tracked.first_sent if tracked.first_sent is not None else now
        return self._observer.change(replace(tracked, first_sent=first), State.SENT, "")


def gas_limit(gas: int) -> int:
    """The gas that a transaction may use, from what the node's simulation needed."""
    return gas + gas // 5


def _ether(wei: int) -> str:
    return f"{wei / 10**18:.6g}"
