"""The reads that a guest's input or journal consists of, from values to bytes and back.

A guest calls ``env::read`` or the like for each of them, one after the other, and ``env::commit``
for each part of its journal.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.codec.forms import FORMS, RISC0, Form, MisfitError, Source, Writer
from runner.codec.scalars import Integer
from runner.codec.schema import Types
from runner.codec.values import UnusableError
from runner.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from runner.codec.kind import Kind

__all__ = ["Layout", "Read", "encode", "journal_layout", "read_layout", "word_field"]

_FRAME_LENGTH = 4
"""The bytes of the length of a frame, as ``ExecutorEnv::write_frame`` of risc0 3.0 writes it."""


@dataclass(frozen=True, slots=True)
class Read:
    """One read of a guest, or one part of its journal.

    Attributes:
        name: the name that users and input files give it; empty for the only part of a journal.
        kind: the type of the value.
        form: the serialisation format.
        framed: whether it is a frame: the length in one word of 4 bytes, and then the bytes
            without padding.
    """

    name: str
    kind: Kind
    form: Form = RISC0
    framed: bool = False

    def encode(self, value: object, read_file: Callable[[str], bytes]) -> bytes:
        """Return the bytes for a value as the user gave it. Raises UnusableError."""
        writer = Writer(self.form, self.name, read_file)
        self.kind.write(value, writer)
        data = b"".join(writer.parts)
        return len(data).to_bytes(_FRAME_LENGTH, "little") + data if self.framed else data

    def decode(self, data: bytes, at: int) -> tuple[object, int]:
        """Read the value that stands at a position, and return it with the position behind it.

        Raises:
            MisfitError: no such value stands there.
        """
        if self.framed:
            frame = Source(self.form, data, at)
            inside = Source(self.form, frame.take(frame.number(_FRAME_LENGTH)))
            value = self.kind.read(inside)
            if inside.at != len(inside.data):
                raise MisfitError("a frame is longer than its value")
            return value, frame.at
        source = Source(self.form, data, at)
        return self.kind.read(source), source.at


@dataclass(frozen=True, slots=True)
class Layout:
    """What a journal consists of.

    Attributes:
        reads: its parts in order. A single one may have no name.
    """

    reads: tuple[Read, ...]

    @property
    def name(self) -> str:
        """The layout for people: the type, or the names of the parts."""
        if len(self.reads) == 1:
            return self.reads[0].kind.name
        return f"{{{', '.join(f'{read.name}: {read.kind.name}' for read in self.reads)}}}"

    def size(self) -> int:
        """The size of a journal in bytes, for estimates.

        Where the types do not tell it, it is taken to be a digest's 32 bytes.
        """
        sizes = [read.kind.size(read.form) for read in self.reads]
        known = sum(size for size in sizes if size is not None)
        return known if None not in sizes else 32

    def show(self, journal: bytes) -> str | list[object] | dict[str, object]:
        """Return a journal as what it is: an object, a list, or else a text.

        A journal that does not fit the layout is shown as hex with a note, because a proof that
        took minutes must not be lost over how its result is displayed.
        """
        shown: dict[str, object] = {}
        at = 0
        try:
            for read in self.reads:
                shown[read.name], at = read.decode(journal, at)
            if at != len(journal):
                raise MisfitError("it is longer")
        except MisfitError:
            article = "an" if self.name[:1] in "aeiou8" and self.name[:1] != "u" else "a"
            return f"{journal.hex()} ({len(journal)} bytes, not {article} {self.name})"
        if len(self.reads) != 1 or self.reads[0].name:
            return shown
        value = shown[""]
        if isinstance(value, str | list | dict):
            return value
        return json.dumps(value)


def word_field(
    name: str,
    kind: str,
    *,
    min: int | None = None,  # noqa: A002  # what the config calls it
    max: int | None = None,  # noqa: A002  # what the config calls it
    reason: str = "",
) -> Read:
    """A read as ``guest.fields`` lists it: in words, with limits.

    Raises:
        InputError: the type is unknown, or the limits are not limits of it.
    """
    given = {"type": kind, "min": min, "max": max, "reason": reason or None}
    return Read(name, Types().read(given, f"guest.fields.{name}"))


def journal_layout(guest: Mapping[str, object]) -> Layout:
    """The layout of a guest's journal, by the guest's part of a config.

    Args:
        guest: ``journal``, and ``types`` and ``codec`` where there are any.

    Raises:
        InputError: it describes no journal.
    """
    named, form = guest.get("types"), guest.get("codec", "risc0")
    types = Types(named if isinstance(named, dict) else {})
    reads = read_layout(guest.get("journal"), types, str(form), "guest.journal", "")
    if not reads:
        remedy = "give a type such as u64 or (String, bool), or hex"
        raise InputError("guest.journal", guest.get("journal"), "describes no journal", remedy)
    return Layout(reads)


def read_layout(given: object, types: Types, form: str, where: str, name: str) -> tuple[Read, ...]:
    """Read what a config says of an input or a journal.

    Args:
        given: a type, which is the only read, or an object with a type for each read by its name.
            Instead of a type it may say ``{type: TYPE, codec: NAME, frame: true}``. None stands
            for no read at all.
        types: the types that the config describes.
        form: the name of the format, where a read names no other.
        where: the config path, for errors.
        name: the name of the only read, where it is given as a type.

    Raises:
        InputError: it describes no reads.
    """
    if given is None:
        return ()
    if isinstance(given, str) or (isinstance(given, dict) and _is_type(given)):
        return (_read(name, given, types, form, where),)
    if not isinstance(given, dict):
        remedy = "give a type, or {NAME: TYPE, ...}"
        raise InputError(where, given, "describes no values", remedy)
    reads = []
    for key, one in given.items():
        if not isinstance(key, str) or not key:
            raise InputError(where, key, "not a name", "give a name, in quotes if need be")
        reads.append(_read(key, one, types, form, f"{where}.{key}"))
    return tuple(reads)


def _is_type(given: dict[object, object]) -> bool:
    return given.keys() in ({"struct"}, {"enum"}) or "type" in given


def _read(name: str, given: object, types: Types, form: str, where: str) -> Read:
    framed: object = False
    if isinstance(given, dict) and "type" in given:
        given = dict(given)
        framed, form = given.pop("frame", False), given.pop("codec", form)
        where_form = f"{where}.codec"
    else:
        where_form = "guest.codec"
    if not isinstance(form, str) or form not in FORMS:
        raise InputError(where_form, form, "no such codec", f"use one of {', '.join(FORMS)}")
    if not isinstance(framed, bool):
        raise InputError(f"{where}.frame", framed, "neither true nor false", "give true or false")
    return Read(name, types.read(given, where), FORMS[form], framed)


def encode(
    reads: Sequence[Read], value: object, read_file: Callable[[str], bytes]
) -> tuple[dict[str, object], bytes]:
    """Encode one input as the guest reads it.

    Args:
        reads: the reads of the guest.
        value: an object with exactly their names. For a guest with a single read it may also be
            the bare value.
        read_file: a function that returns the bytes of a file that a value names with ``file:``.

    Returns:
        The values by name, in the guest's order and as they were given, and the bytes for the
        guest's stdin.

    Raises:
        UnusableError: the value is not an input of this guest, or a read cannot take its part.
    """
    names = [read.name for read in reads]
    if len(reads) == 1 and _is_bare(value, reads[0]):
        value = {names[0]: value}
    if not isinstance(value, dict):
        remedy = f"give an object with the fields: {_listed(names)}"
        raise UnusableError(value, "not one input of this guest", remedy)
    if value.keys() != set(names):
        unknown = [name for name in value if name not in names]
        missing = [name for name in names if name not in value]
        problem = f"unknown field {unknown[0]!r}" if unknown else f"field {missing[0]} is missing"
        raise UnusableError(value, problem, f"give exactly the fields: {_listed(names)}")
    parts = [read.encode(value[read.name], read_file) for read in reads]
    return {name: value[name] for name in names}, b"".join(parts)


def _is_bare(value: object, read: Read) -> bool:
    """Whether a value is that of the only read, without its name."""
    if isinstance(value, dict):
        return value.keys() != {read.name} and not _is_plain(read.kind)
    return not isinstance(value, (list, tuple)) or not isinstance(read.kind, Integer)


def _is_plain(kind: Kind) -> bool:
    """Whether no value of the type is an object, so that an object can only name the read."""
    return isinstance(kind, Integer) or kind.textual


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "(none)"
