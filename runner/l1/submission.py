"""What is submitted, and what has become of it, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["DONE", "OPEN", "Attempt", "Mode", "State", "Submission", "Tracked"]


class Mode(StrEnum):
    """What a submission asks of the registry. The value is what it is called, everywhere."""

    VERIFIED = "verified on chain"
    COMMITMENT = "commitment only, not verified on chain"
    DEPLOYMENT = "deployment of the registry"


class State(StrEnum):
    """Where a submission stands."""

    PREPARED = "prepared"
    """Its transaction is signed and on disk. Nobody else has it yet."""
    SENT = "sent"
    """A node has taken the transaction."""
    INCLUDED = "included"
    """The transaction is in a block."""
    CONFIRMED = "confirmed"
    """As many blocks follow as the settings ask for."""
    FINALIZED = "finalized"
    """The chain has finalized the block. It cannot be replaced any more."""
    REORGED = "reorged"
    """The transaction was in a block that is not the chain's any more, and waits again."""
    DROPPED = "dropped"
    """Another transaction took the nonce. A new one will be made."""
    REVERTED = "reverted"
    """The transaction is in a block, and the contract refused it."""
    FAILED = "failed"
    """It was given up before anything was sent, or the contract would refuse it."""


OPEN = frozenset({State.PREPARED, State.SENT, State.INCLUDED, State.REORGED, State.DROPPED})
"""The states in which there is something left to do."""

DONE = frozenset({State.CONFIRMED, State.FINALIZED})
"""The states in which the batch is on the chain for good, as far as the settings ask."""


@dataclass(frozen=True, slots=True)
class Submission:
    """A call of the registry, or its deployment.

    Attributes:
        key: what makes it the same submission when it comes again, as hex: the batch's key, or the
            digest of the code that is deployed.
        mode: what it asks for.
        to: the registry's address; None for a deployment.
        data: the call, or the code.
        folder: the batch's folder, for people; empty for a deployment.
    """

    key: str
    mode: Mode
    to: str | None
    data: bytes
    folder: str = ""

    @property
    def id(self) -> str:
        """What names this submission among all of one account on one chain."""
        return f"{self.mode.name.lower()}:{self.to or 'new'}:{self.key}"


@dataclass(frozen=True, slots=True)
class Attempt:
    """A transaction that was signed for a submission.

    Attributes:
        hash: the transaction's hash.
        nonce: its nonce.
        raw: its bytes.
        max_fee: the most that it pays for a unit of gas, in wei.
        tip: what of that goes to the proposer, in wei.
        made: when it was signed, in Unix seconds.
        sent: when a node first took it, in Unix seconds; None if none has.
        closed: whether its nonce was used by another transaction.
    """

    hash: str
    nonce: int
    raw: bytes
    max_fee: int
    tip: int
    made: float
    sent: float | None = None
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Tracked:
    """A submission and what has become of it.

    Attributes:
        submission: the submission.
        state: where it stands.
        since: since when, in Unix seconds.
        reason: why, where that needs words.
        first_sent: when a node first took a transaction of it, in Unix seconds, or None.
        included_at: when it was first seen in a block, in Unix seconds, or None.
        confirmed_at: when it was first seen with all confirmations, in Unix seconds, or None.
        mined: the transaction that is in a block, or None.
        block: the number of that block, or None.
        block_hash: its hash, or None.
        gas_used: the gas that the transaction used, or None.
        price: what it paid for a unit of gas, in wei, or None.
        contract: the address that a deployment made, or None.
        others: whether somebody else's transaction did what this one was to do.
    """

    submission: Submission
    state: State
    since: float
    reason: str = ""
    first_sent: float | None = None
    included_at: float | None = None
    confirmed_at: float | None = None
    mined: str | None = None
    block: int | None = None
    block_hash: str | None = None
    gas_used: int | None = None
    price: int | None = None
    contract: str | None = None
    others: bool = False
