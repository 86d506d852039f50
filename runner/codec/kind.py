"""What every type does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from runner.codec.forms import Form, Source, Writer

__all__ = ["Kind"]


class Kind(Protocol):
    """A type of values: it writes them as bytes, and reads them back."""

    @property
    def name(self) -> str:
        """The type as Rust spells it."""
        ...

    @property
    def nodes(self) -> int:
        """The number of types that it consists of, itself counted; what it may be is bounded."""
        ...

    @property
    def textual(self) -> bool:
        """Whether a value is a text as it stands in a file of inputs, and not JSON."""
        ...

    @property
    def takes_null(self) -> bool:
        """Whether a value may be null, so that an option of this type needs another spelling."""
        ...

    def size(self, form: Form) -> int | None:
        """The bytes that every value takes, or None where that depends on the value."""
        ...

    def write(self, value: object, into: Writer) -> None:
        """Check a value as the user gave it, and write it.

        Raises:
            UnusableError: it is no value of this type.
        """
        ...

    def read(self, source: Source) -> object:
        """Read a value, and return it as JSON in the form in which :meth:`write` takes it.

        Raises:
            MisfitError: the bytes are not those of a value of this type.
        """
        ...
