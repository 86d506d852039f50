"""A guest's input as its config describes it: values from the user, bytes for the guest.

Field types and what the guest reads (words are little-endian u32):

========== ============================================ ======================================
type       the user gives                               on stdin
========== ============================================ ======================================
``u32``    an integer                                   one word
``u64``    an integer                                   two words, low one first
``bool``   true or false                                one word, 1 or 0
``bytes``  ``hex:...``, ``base64:...`` or plain text    length in bytes, bytes padded to words
``string`` text, taken as it is                         the same, UTF-8
``vec_u8`` as ``bytes``                                 length, one word per byte (risc0 serde)
========== ============================================ ======================================

Plain text that itself starts with ``hex:`` or ``base64:`` is given in one of these forms.
Everything is pure but :func:`read_inputs`, which reads one file.
"""

from __future__ import annotations

import base64
import csv
import json
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeAlias, cast

from runner.errors import InputError
from runner.journal import padded
from runner.model import Leaf, Scalar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "FIELD_TYPES",
    "MAX_LEAVES",
    "FieldSpec",
    "InputSpec",
    "RangeSeries",
    "Series",
    "TemplateSeries",
    "encode",
    "leaves",
    "read_inputs",
]

MAX_LEAVES = 1_000_000
"""Largest batch: what plans are tested with, and a guard against a slip of the keyboard."""

FIELD_TYPES = ("u32", "u64", "bool", "bytes", "string", "vec_u8")
_INTEGER_SIZES = {"u32": 4, "u64": 8}
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,99})")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2})*")
_SOURCES = "guest.inputs, guest.count, guest.inputs_file"


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One field of a guest's input.

    Attributes:
        name: as users and files name it.
        type: one of :data:`FIELD_TYPES`.
        min: smallest number, or fewest bytes; None is the type's own limit. ``max`` likewise.
        reason: why ``max`` is the limit, for the error message.

    Raises:
        InputError: an unknown type, or limits that are not whole numbers the type can hold in
            order.
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
        """Smallest and largest number or byte count; with ``given=False`` the type's own."""
        high = 2 ** (8 * _INTEGER_SIZES.get(self.type, 4)) - 1
        if not given:
            return 0, high
        return self.min if self.min is not None else 0, self.max if self.max is not None else high


@dataclass(frozen=True, slots=True)
class RangeSeries:
    """Numbers ``start + i * step``, modulo ``modulo`` if given (fibonacci has 94 inputs)."""

    start: int = 0
    step: int = 1
    modulo: int | None = None

    def __post_init__(self) -> None:
        if self.modulo is not None and self.modulo < 1:
            remedy = "give a whole number of at least 1, or leave it out"
            raise InputError("guest.series.modulo", self.modulo, "nothing to wrap at", remedy)

    def at(self, i: int) -> Scalar:
        """The value for leaf ``i``."""
        value = self.start + i * self.step
        return value if self.modulo is None else value % self.modulo


@dataclass(frozen=True, slots=True)
class TemplateSeries:
    """Text with the leaf's number in place of every ``{i}``; other braces mean nothing."""

    template: str

    def at(self, i: int) -> Scalar:
        """The value for leaf ``i``."""
        return self.template.replace("{i}", str(i))


Series: TypeAlias = RangeSeries | TemplateSeries


@dataclass(frozen=True, slots=True)
class InputSpec:
    """A guest's whole input.

    Attributes:
        fields: in the order the guest reads them; may be empty.
        series: the guest's own inputs for ``guest.count``: one per field, or none at all.

    Raises:
        InputError: a name given twice, or another number of series than fields.
    """

    fields: tuple[FieldSpec, ...]
    series: tuple[Series, ...] = ()

    def __post_init__(self) -> None:
        names = [field.name for field in self.fields]
        if len(set(names)) != len(names):
            raise InputError("guest.fields", names, "a name stands twice", "name each field once")
        if self.series and len(self.series) != len(self.fields):
            remedy = f"give one for each of the {len(names)} fields, or none"
            raise InputError("guest.series", len(self.series), "wrong number of series", remedy)


def leaves(
    spec: InputSpec,
    *,
    inputs: Sequence[object] | None = None,
    count: int | None = None,
    inputs_file: str | Path | None = None,
) -> list[Leaf]:
    """The leaves of a batch, from exactly one of three sources.

    Args:
        spec: of the guest.
        inputs: the values themselves.
        count: how many of the guest's own series.
        inputs_file: a file of values, see :func:`read_inputs`.

    Raises:
        InputError: none or several sources, an empty batch, more than :data:`MAX_LEAVES`, or a
            value the guest cannot take.
    """
    sources = {"inputs": inputs, "count": count, "inputs_file": inputs_file}
    given = [f"guest.{name}" for name, source in sources.items() if source is not None]
    if len(given) != 1:
        shown = " and ".join(given) or None
        problem = "given together" if given else "no input given"
        raise InputError(_SOURCES, shown, problem, "give exactly one of the three")
    if inputs_file is not None:
        return _collect(given[0], str(inputs_file), _from_file(spec, Path(inputs_file)))
    if count is not None:
        return _collect(given[0], count, _from_series(spec, count))
    if isinstance(inputs, (str, bytes)) or not isinstance(inputs, Sequence):
        raise InputError(given[0], _shown(inputs), "not a list", "write guest.inputs=[...]")
    encoded = (encode(spec, value, f"{given[0]}[{i}]") for i, value in enumerate(inputs))
    return _collect(given[0], f"{len(inputs)} values" if inputs else [], encoded)


def _collect(
    field: str, value: object, encoded: Iterator[tuple[dict[str, Scalar], bytes]]
) -> list[Leaf]:
    batch: list[Leaf] = []
    for index, (values, stdin) in enumerate(encoded):
        if index >= MAX_LEAVES:
            raise InputError(field, value, f"more than {MAX_LEAVES} leaves", "split the batch")
        batch.append(Leaf(index, values, stdin))
    if not batch:
        raise InputError(field, value, "empty batch", "give at least one input")
    return batch


def _from_series(spec: InputSpec, count: object) -> Iterator[tuple[dict[str, Scalar], bytes]]:
    if type(count) is not int or not 1 <= count <= MAX_LEAVES:
        problem = "empty batch" if count == 0 and count is not False else "not a batch size"
        remedy = f"give a whole number from 1 to {MAX_LEAVES}"
        raise InputError("guest.count", _shown(count), problem, remedy)
    if len(spec.series) != len(spec.fields):
        remedy = "give guest.inputs or guest.inputs_file"
        raise InputError("guest.count", count, "this guest has no inputs of its own", remedy)
    for i in range(count):
        value = {f.name: s.at(i) for f, s in zip(spec.fields, spec.series, strict=True)}
        try:
            yield _encode(spec, value)
        except _UnusableError as bad:
            problem = f"input {i} would be {_named(bad)}: {bad.problem}"
            remedy = f"give at most {i}, or let the guest's series wrap" if i else "mend its series"
            raise InputError("guest.count", count, problem, remedy) from None


def _from_file(spec: InputSpec, path: Path) -> Iterator[tuple[dict[str, Scalar], bytes]]:
    for where, value in read_inputs(path, spec):
        try:
            yield _encode(spec, value)
        except _UnusableError as bad:
            problem = f"{_named(bad)}: {bad.problem}"
            raise InputError("guest.inputs_file", where, problem, bad.remedy) from None


# --- one input --------------------------------------------------------------------------------


def encode(spec: InputSpec, value: object, where: str) -> tuple[dict[str, Scalar], bytes]:
    """One input.

    Args:
        spec: of the guest.
        value: an object with exactly the guest's fields; for a guest of one field also its bare
            value.
        where: what to call the input in an error, e.g. ``guest.inputs[3]``.

    Returns:
        The value by field name, in the guest's order and as given, and the stdin bytes.

    Raises:
        InputError: named ``where`` or ``where.field``.
    """
    try:
        return _encode(spec, value)
    except _UnusableError as bad:
        field = f"{where}.{bad.name}" if bad.name else where
        raise InputError(field, _shown(bad.value), bad.problem, bad.remedy) from None


def _encode(spec: InputSpec, value: object) -> tuple[dict[str, Scalar], bytes]:
    names = [field.name for field in spec.fields]
    if not isinstance(value, dict):
        if len(names) != 1 or isinstance(value, (list, tuple)):
            remedy = f"give an object with the fields: {', '.join(names) or '(none)'}"
            raise _UnusableError(value, "not one input of this guest", remedy)
        value = {names[0]: value}
    if value.keys() != set(names):
        unknown = [name for name in value if name not in names]
        missing = [name for name in names if name not in value]
        problem = f"unknown field {unknown[0]!r}" if unknown else f"field {missing[0]} is missing"
        remedy = f"give exactly the fields: {', '.join(names) or '(none)'}"
        raise _UnusableError(value, problem, remedy)
    parts = [_ENCODERS[field.type](field, value[field.name]) for field in spec.fields]
    # Each encoder has refused all but its own type of Scalar.
    return {name: cast("Scalar", value[name]) for name in names}, b"".join(parts)


def _integer(field: FieldSpec, value: object) -> bytes:
    low, high = field.limits()
    # ``type``, not isinstance: True is not the number 1.
    if type(value) is not int:
        problem = "no value" if value is None else "not a whole number"
        _refuse(field, value, problem, f"give an integer from {low} to {high}")
    if not low <= value <= high:
        problem = f"smaller than {low}" if value < low else _too_large(field, high, "larger than")
        _refuse(field, value, problem, f"give an integer from {low} to {high}")
    return value.to_bytes(_INTEGER_SIZES[field.type], "little")


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
    raise _UnusableError(value, problem, remedy, field.name)


def _words(data: bytes) -> bytes:
    """risc0 serde's ``Vec<u8>``: a length word, then a word per byte."""
    return struct.pack(f"<{len(data) + 1}I", len(data), *data)


_ENCODERS: dict[str, Callable[[FieldSpec, object], bytes]] = {
    "u32": _integer,
    "u64": _integer,
    "bool": _bool,
    "bytes": lambda field, value: padded(_octets(field, value)),
    "string": lambda field, value: padded(_text(field, value)),
    "vec_u8": lambda field, value: _words(_octets(field, value)),
}


class _UnusableError(Exception):
    """A value a guest cannot take; its callers know how the user calls the place."""

    def __init__(self, value: object, problem: str, remedy: str, name: str = "") -> None:
        super().__init__(value, problem, remedy, name)
        self.value, self.problem, self.remedy, self.name = value, problem, remedy, name


def _shown(value: object) -> object:
    """A value fit for a message; Python refuses to print integers of thousands of digits."""
    try:
        str(value)
    except ValueError:
        return f"{type(value).__name__} too long to print"
    return value


def _named(bad: _UnusableError) -> str:
    shown = _shown(bad.value)
    shown = repr(shown) if isinstance(shown, str) else str(shown)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    return f"{bad.name} = {shown}" if bad.name else shown


# --- files ------------------------------------------------------------------------------------


def read_inputs(path: Path, spec: InputSpec) -> Iterator[tuple[str, object]]:
    """Values from a file, one at a time.

    - ``.jsonl``, ``.ndjson``, ``.json``: one JSON value a line, an object or a bare value;
    - ``.csv``: a header that names the fields, one input a row; numbers and truth values are
      read by the field's type, everything else is text.

    Blank lines are skipped. UTF-8, with or without a byte order mark.

    Yields:
        ``path:line`` and the value, not yet checked against the guest.

    Raises:
        InputError: unknown extension, unreadable, not UTF-8, or a line that is not JSON or CSV.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        known = ", ".join(_READERS)
        raise InputError(_FILE, str(path), "unknown extension", f"use one of {known}")
    try:
        yield from reader(path, spec)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(_FILE, str(path), reason, "give a readable file") from None


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    # Decoded line by line, so that an error can name its line.
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            where = f"{path}:{number}"
            try:
                yield where, raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                problem = f"not UTF-8 (byte {error.start + 1} of the line)"
                raise InputError(_FILE, where, problem, "save the file as UTF-8") from None


def _read_json(path: Path, spec: InputSpec) -> Iterator[tuple[str, object]]:  # noqa: ARG001  # a reader
    for where, line in _lines(path):
        if not line.strip():
            continue
        try:
            value = json.loads(line, object_pairs_hook=_unique)
        except (ValueError, RecursionError) as error:
            detail = str(error)
            if isinstance(error, json.JSONDecodeError):
                detail = f"{error.msg} at column {error.colno}"  # its text counts lines from here
            problem, remedy = f"not JSON: {detail}", "write one JSON value a line"
            raise InputError(_FILE, where, problem, remedy) from None
        yield where, value


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def _read_csv(path: Path, spec: InputSpec) -> Iterator[tuple[str, object]]:
    types = {field.name: field.type for field in spec.fields}
    header: list[str] | None = None
    rows = csv.reader((line for _, line in _lines(path)), strict=True)
    start = 1
    try:
        for row in rows:
            where, start = f"{path}:{start}", rows.line_num + 1
            if not row:
                continue
            if header is None:
                header = row
                if sorted(header) != sorted(types):
                    problem = f"header {','.join(header)} does not name the guest's fields"
                    raise InputError(_FILE, where, problem, f"begin with {','.join(types)}")
                continue
            if len(row) != len(header):
                problem = f"{len(row)} values under a header of {len(header)}"
                raise InputError(_FILE, where, problem, "quote values that hold commas")
            yield where, {n: _cell(types[n], text) for n, text in zip(header, row, strict=True)}
    except csv.Error as error:
        remedy = "mend the row, or use JSON lines"
        raise InputError(_FILE, f"{path}:{rows.line_num}", f"not CSV: {error}", remedy) from None


def _cell(kind: str, text: str) -> Scalar:
    """A CSV cell by its field's type; what does not fit stays text, for the encoder to refuse."""
    if kind in _INTEGER_SIZES:
        return int(text) if _DECIMAL.fullmatch(text) else text
    if kind == "bool":
        return {"true": True, "false": False}.get(text, text)
    return text


_FILE = "guest.inputs_file"
_READERS: dict[str, Callable[[Path, InputSpec], Iterator[tuple[str, object]]]] = {
    ".jsonl": _read_json,
    ".ndjson": _read_json,
    ".json": _read_json,
    ".csv": _read_csv,
}
