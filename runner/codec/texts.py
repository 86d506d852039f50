"""Texts, byte strings and digests.

A byte string is given as ``hex:...``, ``base64:...``, ``file:PATH``, plain text, which stands for
its UTF-8, or a list of numbers. Plain text that itself starts with one of these words must be given
in one of the other forms.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

from runner.codec.forms import MisfitError

if TYPE_CHECKING:
    from runner.codec.forms import Form, Source, Writer

__all__ = ["MOST_BYTES", "TEXTS", "Octets", "Text", "array_of_bytes"]

MOST_BYTES = 2**32 - 1
"""The most bytes that a text or a byte string may have."""

_HEX = re.compile(r"(?:[0-9a-fA-F]{2})*")
_DIGEST = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True, slots=True)
class Text:
    """A text, taken as it is.

    Attributes:
        name: the type as a config spells it.
        counted: whether its length stands before it; without that it is all that is left.
        low: the least number of bytes of its UTF-8.
        high: the largest number of bytes of its UTF-8.
        reason: why ``high`` is the limit, for the error message.
    """

    name: str
    counted: bool = True
    low: int = 0
    high: int = MOST_BYTES
    reason: str | None = None

    nodes: ClassVar[int] = 1
    textual: ClassVar[bool] = True
    takes_null: ClassVar[bool] = False

    def limited(self, low: int, high: int, reason: str | None) -> Self:
        """Return the type with narrower limits."""
        return replace(self, low=low, high=high, reason=reason)

    def size(self, form: Form) -> None:  # the same in all formats
        """See :class:`runner.codec.kind.Kind`."""

    def write(self, value: object, into: Writer) -> None:
        """See :class:`runner.codec.kind.Kind`."""
        data = _utf8(value, into, "give text without halves of surrogate pairs")
        _check_length(self, value, data, into)
        if self.counted:
            into.number(len(data), into.form.length)
            into.padded(data)
        else:
            into.parts.append(data)

    def read(self, source: Source) -> str:
        """See :class:`runner.codec.kind.Kind`."""
        data = _counted(source) if self.counted else source.rest()
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise MisfitError("not UTF-8") from None


@dataclass(frozen=True, slots=True)
class Octets:
    """A byte string.

    Attributes:
        name: the type as a config spells it.
        fixed: its number of bytes, where the type says it; no length stands before it then.
        counted: whether its length stands before it.
        items: whether each byte is written as a number, as serde does with a ``Vec<u8>``.
        prefixed: whether the form ``hex:`` is shown, so that it can be given as an input again.
        low: the least number of bytes.
        high: the largest number of bytes.
        reason: why ``high`` is the limit, for the error message.
    """

    name: str
    fixed: int | None = None
    counted: bool = True
    items: bool = False
    prefixed: bool = True
    low: int = 0
    high: int = MOST_BYTES
    reason: str | None = None

    nodes: ClassVar[int] = 1
    textual: ClassVar[bool] = True
    takes_null: ClassVar[bool] = False

    def limited(self, low: int, high: int, reason: str | None) -> Self:
        """Return the type with narrower limits."""
        return replace(self, low=low, high=high, reason=reason)

    def size(self, form: Form) -> int | None:
        """See :class:`runner.codec.kind.Kind`."""
        return None if self.fixed is None else self.fixed * (form.word if self.items else 1)

    def write(self, value: object, into: Writer) -> None:
        """See :class:`runner.codec.kind.Kind`."""
        data = _octets(value, into, bare_hex=self.fixed is not None and not self.items)
        _check_length(self, value, data, into)
        if self.counted:
            into.number(len(data), into.form.length)
        if self.items:
            into.bytes_as_items(data)
        elif self.counted:
            into.padded(data)
        else:
            into.parts.append(data)

    def read(self, source: Source) -> str:
        """See :class:`runner.codec.kind.Kind`."""
        if self.items:
            count = self.fixed if self.fixed is not None else source.number(source.form.length)
            data = source.bytes_as_items(count)
        elif self.fixed is not None:
            data = source.take(self.fixed)
        else:
            data = _counted(source) if self.counted else source.rest()
        return f"hex:{data.hex()}" if self.prefixed else data.hex()


def array_of_bytes(count: int) -> Octets:
    """``[u8; count]``."""
    name = f"[u8; {count}]"
    return Octets(name, fixed=count, counted=False, items=True, low=count, high=count)


TEXTS: dict[str, Text | Octets] = {
    "String": Text("String"),
    "string": Text("string"),
    "text": Text("text", counted=False),
    "Vec<u8>": Octets("Vec<u8>", items=True),
    "vec_u8": Octets("vec_u8", items=True),
    "bytes": Octets("bytes"),
    "ByteBuf": Octets("ByteBuf"),
    "raw": Octets("raw", counted=False, prefixed=False),
    "hex": Octets("hex", counted=False, prefixed=False),
    "Digest": Octets("Digest", fixed=32, counted=False, prefixed=False, low=32, high=32),
}
"""The types of texts and byte strings by name.

``raw``, also called ``hex``, and ``text`` are what is left to the end, with nothing around it. The
names ``string`` and ``vec_u8`` mean the same as ``String`` and ``Vec<u8>``, and ``bytes`` the same
as ``ByteBuf``, which is that of the crate ``serde_bytes``.
"""


def _utf8(value: object, into: Writer, remedy: str) -> bytes:
    if not isinstance(value, str):
        problem = "no value" if value is None else "not text"
        into.refuse(value, problem, "give text, in quotes if it looks like something else")
    try:
        return value.encode()
    except UnicodeEncodeError:
        into.refuse(ascii(value), "not valid Unicode", remedy)


def _octets(value: object, into: Writer, *, bare_hex: bool) -> bytes:
    if isinstance(value, (list, tuple)):
        return _numbers(value, into)
    if bare_hex and isinstance(value, str) and _DIGEST.fullmatch(value):
        return bytes.fromhex(value)
    word, colon, rest = value.partition(":") if isinstance(value, str) else ("", "", "")
    spelling = _SPELLINGS.get(word) if colon else None
    if spelling is None:
        return _utf8(value, into, "give hex:... or base64:...")
    return spelling(value, rest, into)


def _hex(value: object, digits: str, into: Writer) -> bytes:
    if not _HEX.fullmatch(digits):
        into.refuse(value, "not hex", "give an even number of hex digits after hex:")
    return bytes.fromhex(digits)


def _base64(value: object, digits: str, into: Writer) -> bytes:
    try:
        return base64.b64decode(digits, validate=True)
    except ValueError:
        into.refuse(value, "not base64", "give padded standard base64 after base64:")


def _file(value: object, name: str, into: Writer) -> bytes:
    try:
        return into.read_file(name)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        into.refuse(value, reason, "give a readable file after file:")


_SPELLINGS = {"hex": _hex, "base64": _base64, "file": _file}


def _numbers(value: list[object] | tuple[object, ...], into: Writer) -> bytes:
    for index, item in enumerate(value):
        if type(item) is not int or not 0 <= item <= 255:
            into.path.append(f"[{index}]")
            into.refuse(item, "not a byte", "give an integer from 0 to 255")
    return bytes([item for item in value if isinstance(item, int)])


def _check_length(kind: Text | Octets, value: object, data: bytes, into: Writer) -> None:
    low, high = kind.low, kind.high
    if low <= len(data) <= high:
        return
    if low == high:
        into.refuse(value, f"has {len(data)} bytes, not {low}", f"give {low} bytes")
    problem = f"shorter than {low}" if len(data) < low else f"longer than {high}"
    if len(data) > high and kind.reason:
        problem = f"{problem}: {kind.reason}"
    into.refuse(value, f"{problem} (bytes)", f"give {low} to {high} bytes")


def _counted(source: Source) -> bytes:
    return source.padded(source.number(source.form.length))
