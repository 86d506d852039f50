"""One input of a guest: its fields, and their values as the guest reads them.

The table lists the field types and what the guest reads for each. Words are little-endian u32.

========== ============================================ ========================================
type       the user gives                               the guest reads on stdin
========== ============================================ ========================================
``u32``    an integer                                   one word
``u64``    an integer                                   two words, the low one first
``bool``   true or false                                one word, 1 or 0
``bytes``  ``hex:...``, ``base64:...`` or plain text    length in bytes, bytes padded to words
``string`` text, taken as it is                         the same, with the text in UTF-8
``vec_u8`` the same as for ``bytes``                    length, one word per byte (risc0 serde)
========== ============================================ ========================================

Plain text that itself starts with ``hex:`` or ``base64:`` must be given in one of these two forms.
"""

from __future__ import annotations

import base64
import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn, cast

from runner.errors import InputError
from runner.plan.journal import padded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runner.model import Scalar

__all__ = ["FIELD_TYPES", "INTEGER_SIZES", "FieldSpec", "UnusableError", "encode", "printable"]

FIELD_TYPES = ("u32", "u64", "bool", "bytes", "string", "vec_u8")
INTEGER_SIZES = {"u32": 4, "u64": 8}
"""The field types that take an integer, with the integer's size in bytes."""
_HEX = re.compile(r"(?:[0-9a-fA-F]{2})*")


class UnusableError(Exception):
    """A value that a guest cannot take.

    The error does not say where the value stood: only the caller knows whether it came from the
    command line or from a line of a file, and turns the error into one that names the place.

    Attributes:
        value: the value of the field, or the whole input.
        problem: why the value cannot be used.
        remedy: what to give instead.
        name: the name of the field, or empty where the input as a whole is wrong.
    """

    def __init__(self, value: object, problem: str, remedy: str, name: str = "") -> None:
        super().__init__(value, problem, remedy, name)
        self.value, self.problem, self.remedy, self.name = value, problem, remedy, name

    def at(self, where: str) -> InputError:
        """Return the error for an input that has a config path, e.g. ``guest.inputs[3]``."""
        field = f"{where}.{self.name}" if self.name else where
        return InputError(field, printable(self.value), self.problem, self.remedy)

    def __str__(self) -> str:
        """Return the value and its problem, for an input in a file, which has no config path."""
        shown = printable(self.value)
        shown = repr(shown) if isinstance(shown, str) else str(shown)
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        named = f"{self.name} = {shown}" if self.name else shown
        return f"{named}: {self.problem}"


def printable(value: object) -> object:
    """Return a value that can be printed in a message.

    Python refuses to print integers of thousands of digits, so such a value is described instead.
    """
    try:
        str(value)
    except ValueError:
        return f"{type(value).__name__} too long to print"
    return value


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One field of a guest's input.

    Attributes:
        name: the name that users and input files give the field.
        type: the field's type, one of :data:`FIELD_TYPES`.
        min: the smallest number, or the smallest length in bytes; None for the type's own limit.
        max: the largest number, or the largest length in bytes; None for the type's own limit.
        reason: why ``max`` is the limit, for the error message.

    Raises:
        InputError: the type is unknown, a limit is not a whole number that the type can hold, or
            ``min`` is above ``max``.
    """

    name: str
    type: str
    min: int | None = None
    max: int | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        field = f"guest.fields.{self.name}"
        if self.type not in FIELD_TYPES:
            known = ", ".join(FIELD_TYPES)
            raise InputError(f"{field}.type", self.type, "no such type", f"use one of {known}")
        floor, ceiling = self.limits(given=False)
        low, high = self.limits()
        for name, value in (("min", low), ("max", high)):
            if type(value) is not int or not floor <= value <= ceiling:
                remedy = f"give an integer from {floor} to {ceiling}"
                raise InputError(f"{field}.{name}", value, f"not a limit for {self.type}", remedy)
        if low > high:
            raise InputError(f"{field}.min", low, f"above max = {high}", "give min <= max")

    def limits(self, *, given: bool = True) -> tuple[int, int]:
        """Return the smallest and the largest number, or length in bytes, that the field takes.

        Args:
            given: whether the limits in the config count; without them the type's own are returned.
        """
        high = 2 ** (8 * INTEGER_SIZES.get(self.type, 4)) - 1
        if not given:
            return 0, high
        return self.min if self.min is not None else 0, self.max if self.max is not None else high


def encode(fields: Sequence[FieldSpec], value: object) -> tuple[dict[str, Scalar], bytes]:
    """Encode one input as the guest reads it.

    Args:
        fields: the fields of the guest's input.
        value: an object with exactly these fields. For a guest with a single field it may also be
            the bare value.

    Returns:
        The values by field name, in the guest's order and as they were given, and the bytes for
        the guest's stdin.

    Raises:
        UnusableError: the value is not an input of this guest, or a field cannot take its part.
    """
    if not isinstance(value, dict):
        if len(fields) != 1 or isinstance(value, (list, tuple)):
            remedy = f"give an object with the fields: {_names(fields)}"
            raise UnusableError(value, "not one input of this guest", remedy)
        value = {fields[0].name: value}
    if len(value) != len(fields) or any(field.name not in value for field in fields):
        names = [field.name for field in fields]
        unknown = [name for name in value if name not in names]
        missing = [name for name in names if name not in value]
        problem = f"unknown field {unknown[0]!r}" if unknown else f"field {missing[0]} is missing"
        raise UnusableError(value, problem, f"give exactly the fields: {_names(fields)}")
    parts = [_ENCODERS[field.type](field, value[field.name]) for field in fields]
    # Each encoder has refused every value that is not a Scalar of its own type.
    given = cast("dict[str, Scalar]", value)
    return {field.name: given[field.name] for field in fields}, b"".join(parts)


def _names(fields: Sequence[FieldSpec]) -> str:
    return ", ".join([field.name for field in fields]) or "(none)"


def _integer(field: FieldSpec, value: object) -> bytes:
    low, high = field.limits()
    # The test is for the exact type, because isinstance would take True for the number 1.
    if type(value) is not int:
        problem = "no value" if value is None else "not a whole number"
        _refuse(field, value, problem, f"give an integer from {low} to {high}")
    if not low <= value <= high:
        problem = f"smaller than {low}" if value < low else _too_large(field, high, "larger than")
        _refuse(field, value, problem, f"give an integer from {low} to {high}")
    return value.to_bytes(INTEGER_SIZES[field.type], "little")


def _bool(field: FieldSpec, value: object) -> bytes:
    if not isinstance(value, bool):
        _refuse(field, value, "neither true nor false", "give true or false")
    return struct.pack("<I", value)


def _text(field: FieldSpec, value: object) -> bytes:
    if not isinstance(value, str):
        problem = "no value" if value is None else "not text"
        _refuse(field, value, problem, "give text, in quotes if it looks like something else")
    try:
        data = value.encode()
    except UnicodeEncodeError:
        _refuse(field, ascii(value), "not valid Unicode", "give hex:... or base64:...")
    return _sized(field, value, data)


def _octets(field: FieldSpec, value: object) -> bytes:
    if not isinstance(value, str) or not value.startswith(("hex:", "base64:")):
        return _text(field, value)
    form, _, digits = value.partition(":")
    if form == "hex":
        if not _HEX.fullmatch(digits):
            _refuse(field, value, "not hex", "give an even number of hex digits after hex:")
        return _sized(field, value, bytes.fromhex(digits))
    try:
        data = base64.b64decode(digits, validate=True)
    except ValueError:
        _refuse(field, value, "not base64", "give padded standard base64 after base64:")
    return _sized(field, value, data)


def _sized(field: FieldSpec, value: object, data: bytes) -> bytes:
    low, high = field.limits()
    if not low <= len(data) <= high:
        problem = "shorter than" if len(data) < low else "longer than"
        problem = _too_large(field, high, problem) if len(data) > high else f"{problem} {low}"
        _refuse(field, value, f"{problem} (bytes)", f"give {low} to {high} bytes")
    return data


def _too_large(field: FieldSpec, high: int, than: str) -> str:
    return f"{than} {high}" + (f": {field.reason}" if field.reason else "")


def _refuse(field: FieldSpec, value: object, problem: str, remedy: str) -> NoReturn:
    raise UnusableError(value, problem, remedy, field.name)


def _words(data: bytes) -> bytes:
    """Encode bytes as risc0 serde encodes a ``Vec<u8>``: a length word, then a word per byte."""
    return struct.pack(f"<{len(data) + 1}I", len(data), *data)


_ENCODERS: dict[str, Callable[[FieldSpec, object], bytes]] = {
    "u32": _integer,
    "u64": _integer,
    "bool": _bool,
    "bytes": lambda field, value: padded(_octets(field, value)),
    "string": lambda field, value: padded(_text(field, value)),
    "vec_u8": lambda field, value: _words(_octets(field, value)),
}
