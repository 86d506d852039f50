"""What a zkVM offers beyond the protocol of all whose guests verify other programs' receipts."""

from __future__ import annotations

from typing import ClassVar, Protocol, runtime_checkable

__all__ = ["NO_RECEIPT", "ComposingProver"]

NO_RECEIPT = "no_receipt"
"""The code of the error that :meth:`runner.provers.prover.Prover.run` raises where a guest verifies
what none of its children proves."""


@runtime_checkable
class ComposingProver(Protocol):
    """A prover that takes children for any guest, and not only for the aggregator.

    Attributes:
        composes: the name of the function by which such a guest verifies, for people.
    """

    composes: ClassVar[str]
