"""Numbers, truth values, characters and the unit.

In JSON, whole numbers of up to 32 bits are numbers. Larger ones are given as numbers or as decimal
text, and are always shown as text, because many readers of JSON would round them.
"""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

from runner.codec.forms import MisfitError

if TYPE_CHECKING:
    from runner.codec.forms import Form, Source, Writer

__all__ = ["SCALARS", "Boolean", "Character", "Float", "Integer", "Unit"]

_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,39})")


@dataclass(frozen=True, slots=True)
class Integer:
    """A whole number.

    Attributes:
        name: the type as Rust spells it.
        bytes: its size in bytes.
        low: the smallest value that is taken.
        high: the largest value that is taken.
        reason: why ``high`` is the limit, for the error message.
    """

    name: str
    bytes: int
    low: int
    high: int
    reason: str | None = None

    nodes: ClassVar[int] = 1
    textual: ClassVar[bool] = False
    takes_null: ClassVar[bool] = False

    @property
    def signed(self) -> bool:
        """Whether the type has negative values, whatever limits there are."""
        return self.name.startswith("i")

    def limited(self, low: int, high: int, reason: str | None) -> Self:
        """Return the type with narrower limits."""
        return replace(self, low=low, high=high, reason=reason)

    def size(self, form: Form) -> int:
        """See :class:`runner.codec.kind.Kind`."""
        return max(self.bytes, form.word)

    def write(self, value: object, into: Writer) -> None:
        """See :class:`runner.codec.kind.Kind`."""
        number = value
        if self.bytes > 4 and isinstance(value, str) and _DECIMAL.fullmatch(value):
            number = int(value)
        # The test is for the exact type, because isinstance would take True for the number 1.
        if type(number) is not int:
            problem = "no value" if value is None else "not a whole number"
            into.refuse(value, problem, f"give an integer from {self.low} to {self.high}")
        if not self.low <= number <= self.high:
            than = f"smaller than {self.low}" if number < self.low else _above(self)
            into.refuse(value, than, f"give an integer from {self.low} to {self.high}")
        into.number(number, max(self.bytes, into.form.word))

    def read(self, source: Source) -> int | str:
        """See :class:`runner.codec.kind.Kind`."""
        found = source.number(max(self.bytes, source.form.word), signed=self.signed)
        full = 8 * self.bytes - self.signed
        if not -self.signed << full <= found < 1 << full:
            raise MisfitError(f"{found} is no {self.name}")
        return str(found) if self.bytes > 4 else found


def _above(kind: Integer) -> str:
    return f"larger than {kind.high}" + (f": {kind.reason}" if kind.reason else "")


def _integer(name: str, size: int) -> Integer:
    bits = 8 * size
    if name.startswith("i"):
        return Integer(name, size, -(1 << bits - 1), (1 << bits - 1) - 1)
    return Integer(name, size, 0, (1 << bits) - 1)


@dataclass(frozen=True, slots=True)
class Float:
    """A floating-point number. ``"NaN"``, ``"inf"`` and ``"-inf"`` stand for what JSON lacks."""

    name: str
    bytes: int

    nodes: ClassVar[int] = 1
    textual: ClassVar[bool] = False
    takes_null: ClassVar[bool] = False

    def size(self, form: Form) -> int:  # noqa: ARG002  # the same in all formats
        """See :class:`runner.codec.kind.Kind`."""
        return self.bytes

    def write(self, value: object, into: Writer) -> None:
        """See :class:`runner.codec.kind.Kind`."""
        remedy = 'give a number, "NaN", "inf" or "-inf"'
        if isinstance(value, str) and value in ("NaN", "inf", "-inf"):
            number = float(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            try:
                number = float(value)
            except OverflowError:
                into.refuse(value, f"too large for {self.name}", remedy)
        else:
            into.refuse(value, "no value" if value is None else "not a number", remedy)
        if math.isnan(number) and not into.form.nan:
            into.refuse(value, f"{into.form.name} has no NaN", "give a number")
        try:
            into.parts.append(struct.pack("<f" if self.bytes == 4 else "<d", number))
        except OverflowError:
            into.refuse(value, f"too large for {self.name}", remedy)

    def read(self, source: Source) -> float | str:
        """See :class:`runner.codec.kind.Kind`."""
        form = "<f" if self.bytes == 4 else "<d"
        (found,) = struct.unpack(form, source.take(self.bytes))
        if not math.isfinite(found):
            return "NaN" if math.isnan(found) else str(found)
        # The shortest decimal that is this f32 is what people wrote, not its digits as an f64.
        return next(n for d in range(6, 18) if _same(form, n := float(f"{found:.{d}g}"), found))


def _same(form: str, number: float, found: float) -> bool:
    try:
        return struct.pack(form, number) == struct.pack(form, found)
    except OverflowError:  # rounded up, the largest f32 is none any more
        return False


@dataclass(frozen=True, slots=True)
class Boolean:
    """``true`` or ``false``."""

    name: ClassVar[str] = "bool"
    nodes: ClassVar[int] = 1
    textual: ClassVar[bool] = False
    takes_null: ClassVar[bool] = False

    def size(self, form: Form) -> int:
        """See :class:`runner.codec.kind.Kind`."""
        return form.word

    def write(self, value: object, into: Writer) -> None:
        """See :class:`runner.codec.kind.Kind`."""
        if not isinstance(value, bool):
            into.refuse(value, "neither true nor false", "give true or false")
        into.number(int(value), into.form.word)

    def read(self, source: Source) -> bool:
        """See :class:`runner.codec.kind.Kind`."""
        found = source.number(source.form.word)
        if found > 1:
            raise MisfitError(f"{found} is no bool")
        return bool(found)


@dataclass(frozen=True, slots=True)
class Character:
    """One character, given as a text of one character."""

    name: ClassVar[str] = "char"
    nodes: ClassVar[int] = 1
    textual: ClassVar[bool] = True
    takes_null: ClassVar[bool] = False

    def size(self, form: Form) -> int | None:
        """See :class:`runner.codec.kind.Kind`."""
        return None if form.utf8_chars else 4

    def write(self, value: object, into: Writer) -> None:
        """See :class:`runner.codec.kind.Kind`."""
        if not into.form.chars:
            into.refuse(value, f"{into.form.name} has no char", "use String or u32")
        if not isinstance(value, str) or len(value) != 1 or 0xD800 <= ord(value) < 0xE000:
            shown = ascii(value) if isinstance(value, str) else value
            into.refuse(shown, "not one character", "give a text of one character")
        if into.form.utf8_chars:
            into.parts.append(value.encode())
        else:
            into.number(ord(value), 4)

    def read(self, source: Source) -> str:
        """See :class:`runner.codec.kind.Kind`."""
        try:
            if not source.form.utf8_chars:
                found = chr(source.number(4))
                found.encode()
                return found
            first = source.take(1)
            # The first byte of a character in UTF-8 tells how many follow.
            more = (first[0] >= 0xC0) + (first[0] >= 0xE0) + (first[0] >= 0xF0)
            return (first + source.take(more)).decode()
        except (ValueError, OverflowError):
            raise MisfitError("not a char") from None


@dataclass(frozen=True, slots=True)
class Unit:
    """``()``, or a struct without fields. Its one value is null."""

    name: ClassVar[str] = "()"
    nodes: ClassVar[int] = 1
    textual: ClassVar[bool] = False
    takes_null: ClassVar[bool] = True

    def size(self, form: Form) -> int:  # noqa: ARG002  # the same in all formats
        """See :class:`runner.codec.kind.Kind`."""
        return 0

    def write(self, value: object, into: Writer) -> None:
        """See :class:`runner.codec.kind.Kind`."""
        if value is not None:
            into.refuse(value, "() has no value", "give null")

    def read(self, source: Source) -> None:
        """See :class:`runner.codec.kind.Kind`."""


SCALARS: dict[str, Integer | Float | Boolean | Character] = {
    **{
        f"{sign}{8 * size}": _integer(f"{sign}{8 * size}", size) for sign in "ui" for size in (1, 2)
    },
    **{
        f"{sign}{8 * size}": _integer(f"{sign}{8 * size}", size) for sign in "ui" for size in (4, 8)
    },
    **{f"{sign}128": _integer(f"{sign}128", 16) for sign in "ui"},
    # A guest's usize has 32 bits, and serde and borsh write it with 64.
    "usize": Integer("usize", 8, 0, 2**32 - 1),
    "isize": Integer("isize", 8, -(2**31), 2**31 - 1),
    "f32": Float("f32", 4),
    "f64": Float("f64", 8),
    "bool": Boolean(),
    "char": Character(),
}
"""The types that have a name and no parts."""
