"""What follows a verified batch elsewhere, as far as a dry run says something of it."""

from __future__ import annotations

from typing import Any, Protocol

__all__ = ["Afterwards", "Foresee"]


class Afterwards(Protocol):
    """What would become of the root of the batch once it is verified."""

    def sentences(self) -> list[str]:
        """One line for each thing that is known."""
        ...

    def to_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        ...


class Foresee(Protocol):
    """Says what would become of a batch's root."""

    def __call__(self, leaves: int, *, root: bool) -> Afterwards:
        """Say it of a batch of so many leaves, which has a root or has none."""
        ...
