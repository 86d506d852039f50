"""The three serialisation formats, and the writer and the reader of bytes.

What the formats do differently is in :class:`Form`. Everything else is the same in all of them:
numbers are little-endian, structs and tuples are their parts in order, and a list is its length
and then its items. ``tests/codec/vectors`` compares all of it with the Rust libraries.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

from runner.codec.values import UnusableError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FORMS", "RISC0", "Form", "MisfitError", "Source", "Writer"]


@dataclass(frozen=True, slots=True)
class Form:
    """A serialisation format, by what it does differently from the others.

    Attributes:
        name: the name that a config gives it.
        word: the least number of bytes that a number or a truth value takes. Smaller numbers are
            extended to it, signed ones with their sign.
        length: the bytes of a length.
        option: the bytes of the tag of an option, which is 0 or 1.
        variant: the bytes of the number of an enum's variant.
        pads: whether texts and byte strings are padded with zeros to whole words of 4 bytes.
        chars: whether there are characters.
        utf8_chars: whether a character is its UTF-8, rather than its number in 4 bytes.
        nan: whether a floating-point number may be NaN.
    """

    name: str
    word: int
    length: int
    option: int
    variant: int
    pads: bool = False
    chars: bool = True
    utf8_chars: bool = False
    nan: bool = True


RISC0 = Form("risc0", word=4, length=4, option=4, variant=4, pads=True)
"""The words of ``env::read`` and ``env::commit`` (``risc0_zkvm::serde``)."""

FORMS = {
    "risc0": RISC0,
    "borsh": Form("borsh", word=1, length=4, option=1, variant=1, chars=False, nan=False),
    # That of `bincode::serialize` of bincode 1, which bincode 2 calls `config::legacy()`.
    "bincode": Form("bincode", word=1, length=8, option=1, variant=4, utf8_chars=True),
}
"""The formats by name."""


class Writer:
    """Collects the bytes of values, and knows where in the input it is, for errors.

    Args:
        form: the format.
        name: the name of the read that is written; empty where it has none.
        read_file: a function that returns the bytes of a file that a value names with ``file:``.
    """

    def __init__(self, form: Form, name: str, read_file: Callable[[str], bytes]) -> None:
        self.form, self.read_file = form, read_file
        self.path = [name] if name else []
        self.parts: list[bytes] = []

    def number(self, value: int, size: int) -> None:
        """Write a whole number in ``size`` bytes, little-endian."""
        self.parts.append(value.to_bytes(size, "little", signed=value < 0))

    def padded(self, data: bytes) -> None:
        """Write bytes, padded to whole words where the format pads."""
        self.parts.append(data)
        if self.form.pads:
            self.parts.append(bytes(-len(data) % 4))

    def bytes_as_items(self, data: bytes) -> None:
        """Write each byte as the number that it is."""
        word = self.form.word
        self.parts.append(data if word == 1 else struct.pack(f"<{len(data)}I", *data))

    def refuse(self, value: object, problem: str, remedy: str) -> NoReturn:
        """Raise the error about a value in the place where the writer is."""
        raise UnusableError(value, problem, remedy, "".join(self.path).removeprefix("."))


class MisfitError(ValueError):
    """Bytes are not those of a value of the type."""


@dataclass(slots=True)
class Source:
    """Bytes that are read from their start.

    Attributes:
        form: the format.
        data: the bytes.
        at: the position of the next byte.
    """

    form: Form
    data: bytes
    at: int = field(default=0)

    def take(self, size: int) -> bytes:
        """Return the next ``size`` bytes. Raises MisfitError."""
        taken = self.data[self.at : self.at + size]
        if len(taken) != size:
            raise MisfitError("it ends early")
        self.at += size
        return taken

    def rest(self) -> bytes:
        """Return all bytes that are left."""
        return self.take(len(self.data) - self.at)

    def number(self, size: int, *, signed: bool = False) -> int:
        """Return the next ``size`` bytes as a whole number. Raises MisfitError."""
        return int.from_bytes(self.take(size), "little", signed=signed)

    def padded(self, size: int) -> bytes:
        """Return the next ``size`` bytes and pass over their padding. Raises MisfitError."""
        taken = self.take(size)
        if self.form.pads:
            self.take(-size % 4)
        return taken

    def bytes_as_items(self, size: int) -> bytes:
        """Return ``size`` bytes of which each is written as a number. Raises MisfitError."""
        if self.form.word == 1:
            return self.take(size)
        words = self.take(self.form.word * size)
        try:
            return bytes(struct.unpack(f"<{size}I", words))
        except ValueError:
            raise MisfitError("a number is too large for a byte") from None
