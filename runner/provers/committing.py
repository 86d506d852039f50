"""What a zkVM offers beyond the protocol of all whose image ids are made of commitments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CommittingProver"]


@runtime_checkable
class CommittingProver(Protocol):
    """A prover that pins the commitments which an image id is made of beside it in a manifest."""

    def commitments(self, elf: bytes) -> Mapping[str, bytes]:
        """The commitments of a program by their names in a manifest, 32 bytes each.

        Raises:
            ProverError: ``elf`` is not a program for this zkVM.
        """
        ...
