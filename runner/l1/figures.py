"""What the L1 leaves in the metrics and in the audit log.

A figure that must add up is counted under an id that says what it is about: the gas of a nonce, the
confirmation of a batch. The ledger counts an id once. So a process that is killed between the chain
and the ledger loses nothing, since the next one finds the same ids uncounted, and doubles nothing.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections import Counter
from typing import TYPE_CHECKING

from runner.audit.events import L1State
from runner.audit.trail import append
from runner.errors import AuditError, L1Error, LedgerNewerError
from runner.evm.transaction import GWEI
from runner.l1.submission import DONE, OPEN, Mode, State
from runner.metric_table import (
    L1_BALANCE_ETH,
    L1_BASE_FEE_GWEI,
    L1_BATCHES,
    L1_CONFIRMATION_SECONDS,
    L1_EFFECTIVE_GAS_PRICE_GWEI,
    L1_FAILURES,
    L1_FEE_BUMPS,
    L1_FEES_ETH,
    L1_INCLUSION_SECONDS,
    L1_LAST_CONFIRMATION_TIMESTAMP_SECONDS,
    L1_LAST_LOOK_TIMESTAMP_SECONDS,
    L1_MEASURED_GAS_SAVINGS_RATIO,
    L1_METRICS,
    L1_OLDEST_OPEN_TIMESTAMP_SECONDS,
    L1_REORGS,
    L1_REVERTS,
    L1_RPC_ERRORS,
    L1_SUBMISSION_GAS_USED,
    L1_SUBMISSIONS,
)
from runner.metrics import Recorder
from runner.monitoring.ledger import Ledger
from runner.plan.savings_model import savings_percent

if TYPE_CHECKING:
    from pathlib import Path

    from runner.evm.faults import Fault
    from runner.l1.session import Session
    from runner.l1.submission import Tracked

__all__ = ["Figures"]

log = logging.getLogger(__name__)

_ETHER = 10**18
_COUNTED = tuple(metric for metric in L1_METRICS if metric.type != "gauge")
"""The metrics of the L1 that add up. A recorder of these changes no gauge."""


class Figures:
    """A watcher that counts, logs, and leaves both behind.

    Args:
        ledger: the ledger of the metrics, or None.
        textfile: the metrics file that is written from it, or None.
        audit: the audit log of the batch, or None.
        run_id: the id of the run that made the batch.
    """

    def __init__(
        self,
        ledger: Path | None = None,
        textfile: Path | None = None,
        audit: Path | None = None,
        run_id: str = "",
    ) -> None:
        self._ledger = None if ledger is None else Ledger(ledger, textfile)
        self._audit = audit
        self._run_id = run_id
        self._bumps = self._reorgs = 0
        self._faults: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()

    def changed(self, tracked: Tracked, before: State) -> None:
        """Log that a submission is in another state."""
        said = tracked.submission
        self._reorgs += tracked.state is State.REORGED
        if tracked.state is State.FAILED:
            self._failures["refused_in_simulation"] += 1
        why = f": {tracked.reason}" if tracked.reason else ""
        log.info(
            "%s",
            f"{said.mode.name.lower()} {said.key[:16]} {tracked.state.value} (was"
            f" {before.value}){why}",
            extra={"event": "l1_state", "state": tracked.state.value, "key": said.key},
        )
        if self._audit is None or said.mode is Mode.DEPLOYMENT:
            return
        event = L1State(
            state=tracked.state.value,
            what=said.mode.value,
            key=said.key,
            registry=said.to,
            transaction=tracked.mined,
            block=tracked.block,
            reason=tracked.reason or None,
        )
        try:
            append(self._audit, self._run_id, event)
        except AuditError as error:
            # The transaction is on its way whether a log says so or not.
            log.warning("%s", error)

    def bumped(self, tracked: Tracked) -> None:
        """Count a transaction that was signed again with higher fees."""
        self._bumps += 1
        log.info("%s", f"{tracked.submission.key[:16]} is sent again with higher fees")

    def rpc_failed(self, fault: Fault) -> None:
        """Count a call to the node that failed."""
        self._faults[fault.value] += 1

    def failed(self, reason: str) -> None:
        """Count an attempt that ended without the batch on the chain."""
        self._failures[reason] += 1

    def publish(self, session: Session | None) -> None:
        """Bring everything that is not counted yet into the metrics.

        Args:
            session: the session, or None if there was none, because the node was not there.
        """
        if self._ledger is None:
            return
        try:
            if session is not None:
                for tracked in session.store.all():
                    self._count(self._ledger, session, tracked)
            self._ledger.add(f"l1:{uuid.uuid4().hex}", self._rest(session))
        except LedgerNewerError as error:
            log.warning("metrics of the L1 not counted: %s", error)
        except OSError as error:
            log.warning("metrics of the L1 not counted in %s: %s", self._ledger.path, error)
        self._bumps = self._reorgs = 0
        self._faults.clear()
        self._failures.clear()

    def _count(self, ledger: Ledger, session: Session, tracked: Tracked) -> None:
        """Count a submission's transaction and its confirmation, each once."""
        # A local chain's genesis is another one's if both began in the same second.
        chain = uuid.uuid4().hex if session.info.local else session.info.genesis
        account = f"{chain}:{session.signer.address}"
        nonces = {one.hash: one.nonce for one in session.store.attempts(tracked.submission)}
        nonce = nonces.get(tracked.mined or "")
        events = {
            f"l1:{account}:nonce:{nonce}": nonce is not None,
            f"l1:{account}:confirmed:{tracked.submission.id}": tracked.confirmed_at is not None,
        }
        for event, happened in events.items():
            if happened and session.store.uncounted([event]):
                found = Recorder(_COUNTED)
                if ":nonce:" in event:
                    _count_mined(found, tracked)
                else:
                    _count_confirmed(found, tracked)
                ledger.add(event, found)
                session.store.note_counted(event)

    def _rest(self, session: Session | None) -> Recorder:
        """What is counted for each attempt, and the gauges, which a later attempt sets anew."""
        seen = None if session is None else self._seen(session)
        found = Recorder(_COUNTED if seen is None else L1_METRICS)
        found.inc(L1_FEE_BUMPS, self._bumps)
        found.inc(L1_REORGS, self._reorgs)
        for reason, count in self._faults.items():
            found.inc(L1_RPC_ERRORS, count, reason=reason)
        for reason, count in self._failures.items():
            found.inc(L1_FAILURES, count, reason=reason)
        if session is not None and seen is not None:
            self._set_gauges(found, session, *seen)
        return found

    def _seen(self, session: Session) -> tuple[int, int] | None:
        """The base fee and the account's balance, or None if the node has gone."""
        try:
            return session.chain.head().base_fee, session.chain.balance(session.signer.address)
        except L1Error:
            return None

    def _set_gauges(self, found: Recorder, session: Session, base_fee: int, balance: int) -> None:
        batches = [one for one in session.store.all() if one.submission.mode is not Mode.DEPLOYMENT]
        counts = Counter(tracked.state for tracked in batches)
        for state in State:
            found.set(L1_BATCHES, counts[state], state=state.value)
        opened = [
            attempt.made
            for tracked in batches
            if tracked.state in OPEN
            for attempt in session.store.attempts(tracked.submission)[:1]
        ]
        found.set(L1_OLDEST_OPEN_TIMESTAMP_SECONDS, min(opened, default=0))
        confirmed = [one.confirmed_at for one in batches if one.confirmed_at is not None]
        found.set(L1_LAST_CONFIRMATION_TIMESTAMP_SECONDS, max(confirmed, default=0))
        found.set(L1_LAST_LOOK_TIMESTAMP_SECONDS, time.time())
        found.set(L1_BASE_FEE_GWEI, base_fee / GWEI)
        found.set(L1_BALANCE_ETH, balance / _ETHER)
        done = [one for one in batches if one.state in DONE and one.gas_used and not one.others]
        last = max(done, key=lambda one: one.included_at or 0.0, default=None)
        if last is not None and last.price is not None and last.gas_used is not None:
            found.set(L1_EFFECTIVE_GAS_PRICE_GWEI, last.price / GWEI)
            before = session.store.before(last.submission)
            if before is not None:
                saved = savings_percent(before.gas, last.gas_used) / 100
                found.set(L1_MEASURED_GAS_SAVINGS_RATIO, saved)


def _count_mined(found: Recorder, tracked: Tracked) -> None:
    gas, price = tracked.gas_used or 0, tracked.price or 0
    found.inc(L1_FEES_ETH, gas * price / _ETHER)
    if tracked.submission.mode is Mode.DEPLOYMENT:
        return
    found.inc(L1_SUBMISSIONS)
    found.inc(L1_SUBMISSION_GAS_USED, gas)
    if tracked.state is State.REVERTED or tracked.others:
        found.inc(L1_REVERTS)
    if tracked.first_sent is not None and tracked.included_at is not None:
        found.observe(L1_INCLUSION_SECONDS, max(0.0, tracked.included_at - tracked.first_sent))


def _count_confirmed(found: Recorder, tracked: Tracked) -> None:
    if tracked.submission.mode is Mode.DEPLOYMENT:
        return
    if tracked.first_sent is not None and tracked.confirmed_at is not None:
        found.observe(L1_CONFIRMATION_SECONDS, max(0.0, tracked.confirmed_at - tracked.first_sent))
