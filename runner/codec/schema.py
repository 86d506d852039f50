"""The types that a config describes, in Rust's own spelling or in YAML.

A type is one of these:

- a text in Rust's spelling: ``u32``, ``Vec<Option<String>>``, ``[u8; 64]``, ``(u64, Point)``;
- ``{struct: {NAME: TYPE, ...}}``, or ``{struct: [TYPE, ...]}`` where the fields have no names;
- ``{enum: [VARIANT, ...]}``, each of them a name or ``{NAME: HELD}``, where ``HELD`` is a type, a
  list of types, or ``{FIELD: TYPE, ...}``; also ``{enum: {NAME: HELD, ...}}``, with null for
  nothing;
- ``{type: TYPE, min: N, max: N, reason: TEXT}``, with limits for a whole number, or for the bytes
  of a text or a byte string;
- the name of one of the types that the config describes under ``guest.types``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NoReturn

from runner.codec.compound import Enum, Option, Struct
from runner.codec.lists import Array, List, Tuple
from runner.codec.scalars import SCALARS, Integer, Unit
from runner.codec.texts import TEXTS, Octets, Text, array_of_bytes
from runner.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runner.codec.kind import Kind

__all__ = ["Types"]

_TOKEN = re.compile(r"\s*(?:([A-Za-z_][A-Za-z0-9_]*)|([0-9]{1,9})|([<>\[\](),;]))")
_MOST_NODES = 4096
"""The most types that one type may consist of. It bounds what a hostile schema costs."""
_MOST_LETTERS = 10_000
_DEEPEST = 32
_WRAPPERS = ("Box", "Rc", "Arc")


@dataclass(frozen=True, slots=True)
class Types:
    """Reads types, and knows those that the config has given names.

    Attributes:
        named: the descriptions under ``guest.types``, by name.
    """

    named: Mapping[str, object] = field(default_factory=dict)
    _open: tuple[str, ...] = ()

    def read(self, given: object, where: str) -> Kind:
        """Read the description of a type.

        Args:
            given: the description.
            where: its config path, for errors.

        Raises:
            InputError: it describes no type, refers to itself, or is too large.
        """
        return self._read(given, where, 0)

    def check(self) -> None:
        """Read all types that have names. Raises InputError."""
        for name, given in self.named.items():
            where = f"guest.types.{name}"
            if not isinstance(name, str) or not name.isidentifier():
                raise InputError("guest.types", name, "not a name", "name it as in Rust")
            if name in SCALARS or name in TEXTS or name in (*_WRAPPERS, "Vec", "Option"):
                raise InputError(where, given, "is a type already", "give it another name")
            self.read(name, where)

    def _read(self, given: object, where: str, depth: int, name: str = "") -> Kind:
        if depth > _DEEPEST:
            raise InputError(where, given, "nested too deeply", f"nest at most {_DEEPEST} types")
        if isinstance(given, str):
            kind = _Spelling(self, given, where, depth).read()
        elif isinstance(given, dict) and given.keys() == {"struct"}:
            kind = self._struct(given["struct"], f"{where}.struct", depth, name)
        elif isinstance(given, dict) and given.keys() == {"enum"}:
            kind = self._enum(given["enum"], f"{where}.enum", depth, name)
        elif isinstance(given, dict) and "type" in given:
            kind = self._limited(given, where, depth)
        else:
            remedy = "give a type such as Vec<u8>, {struct: {...}} or {enum: {...}}"
            raise InputError(where, given, "no type", remedy)
        if kind.nodes > _MOST_NODES:
            remedy = f"describe at most {_MOST_NODES} types in one"
            raise InputError(where, given, "too large a type", remedy)
        return kind

    def _name(self, name: str, where: str, depth: int) -> Kind:
        """The type with a name. Raises InputError."""
        known = SCALARS.get(name) or TEXTS.get(name)
        if known is not None:
            return known
        if name in self._open:
            loop = " in ".join((*self._open[self._open.index(name) :], name))
            raise InputError(where, name, f"contains itself: {loop}", "end the circle")
        if name not in self.named:
            names = (*SCALARS, *TEXTS, "Option<T>", "[T; N]", "()", *self.named)
            raise InputError(where, name, "no such type", f"use one of {', '.join(names)}")
        inside = replace(self, _open=(*self._open, name))
        return inside._read(self.named[name], f"guest.types.{name}", depth + 1, name)  # noqa: SLF001

    def _struct(self, given: object, where: str, depth: int, name: str) -> Kind:
        if given is None:
            return Unit()
        if isinstance(given, list):
            items = [self._read(one, f"{where}[{i}]", depth + 1) for i, one in enumerate(given)]
            # A struct around one value is that value, as in serde.
            return items[0] if len(items) == 1 else Tuple(tuple(items))
        if not isinstance(given, dict):
            raise InputError(where, given, "not the fields of a struct", "give {NAME: TYPE, ...}")
        fields = tuple(
            (_text(key, where), self._read(one, f"{where}.{key}", depth + 1))
            for key, one in given.items()
        )
        shown = name or f"{{{', '.join(f'{key}: {kind.name}' for key, kind in fields)}}}"
        return Struct(shown, fields)

    def _enum(self, given: object, where: str, depth: int, name: str) -> Kind:
        listed: list[tuple[object, object]] = []
        for one in given if isinstance(given, list) else [given]:
            listed += one.items() if isinstance(one, dict) else [(one, None)]
        names = [_text(key, where) for key, _ in listed]
        if not 1 <= len(set(names)) == len(names) <= 256:
            problem = "a name stands twice" if len(set(names)) < len(names) else "not 1 to 256"
            raise InputError(where, given, problem, "name each variant once")
        variants = []
        for key, (_, held) in zip(names, listed, strict=True):
            below, kind = f"{where}.{key}", None
            if isinstance(held, list) or (
                isinstance(held, dict) and not (held.keys() & {"struct", "enum", "type"})
            ):
                kind = self._struct(held, below, depth + 1, "")
            elif held is not None:
                kind = self._read(held, below, depth + 1)
            variants.append((key, kind))
        return Enum(name or f"enum of {', '.join(names)}", tuple(variants))

    def _limited(self, given: dict[object, object], where: str, depth: int) -> Kind:
        for key in given.keys() - {"type", "min", "max", "reason"}:
            path, remedy = f"{where}.{key}", "use type, min, max and reason"
            raise InputError(path, given[key], "no such part of a type", remedy)
        kind = self._read(given["type"], f"{where}.type", depth + 1)
        low, high, reason = given.get("min"), given.get("max"), given.get("reason")
        if low is None and high is None:
            return kind
        if not isinstance(kind, (Integer, Text, Octets)):
            remedy = "limit whole numbers, texts and byte strings only"
            raise InputError(where, given, f"{kind.name} takes no limits", remedy)
        for name, value in (("min", low), ("max", high)):
            ends = kind.low, kind.high
            if value is not None and not (type(value) is int and ends[0] <= value <= ends[1]):
                problem, remedy = f"not a limit for {kind.name}", f"give an integer from {ends[0]}"
                raise InputError(f"{where}.{name}", value, problem, f"{remedy} to {ends[1]}")
        least = low if isinstance(low, int) else kind.low
        most = high if isinstance(high, int) else kind.high
        if least > most:
            raise InputError(f"{where}.min", least, f"above max = {most}", "give min <= max")
        return kind.limited(least, most, None if reason is None else str(reason))


class _Spelling:
    """Reads a type in Rust's spelling.

    Args:
        types: the types that have names.
        text: the type.
        where: its config path, for errors.
        depth: the number of types that it stands in.
    """

    def __init__(self, types: Types, text: str, where: str, depth: int) -> None:
        self._types, self._text, self._where, self._depth = types, text, where, depth
        self._words: list[str] = []
        at, end = 0, len(text.rstrip())
        if end > _MOST_LETTERS:
            self._refuse()
        while at < end:
            found = _TOKEN.match(text, at)
            if found is None:
                self._refuse()
            self._words.append(found.group().strip())
            at = found.end()

    def read(self) -> Kind:
        kind = self._type(self._depth)
        if self._words:
            self._refuse()
        return kind

    def _type(self, depth: int) -> Kind:
        if depth > _DEEPEST:
            self._refuse()
        word = self._next()
        if word == "(":
            return self._tuple(depth)
        if word == "[":
            return self._array(depth)
        if not word.isidentifier():
            self._refuse()
        if not self._words or self._words[0] != "<":
            return self._types._name(word, self._where, depth)  # noqa: SLF001
        self._expect("<")
        inner = self._type(depth + 1)
        self._expect(">")
        if word in _WRAPPERS:
            return inner
        if word == "Option":
            return Option(inner)
        if word == "Vec":
            return TEXTS["Vec<u8>"] if _is_byte(inner) else List(inner)
        remedy = "use Vec, Option or Box; a map is a Vec<(K, V)> in the order of its keys"
        raise InputError(self._where, self._text, f"{word} is not known", remedy)

    def _tuple(self, depth: int) -> Kind:
        items: list[Kind] = []
        while self._words and self._words[0] != ")":
            items.append(self._type(depth + 1))
            if self._words and self._words[0] != ")":
                self._expect(",")
            elif len(items) == 1:
                self._expect(")")
                return items[0]
        self._expect(")")
        return Tuple(tuple(items)) if items else Unit()

    def _array(self, depth: int) -> Kind:
        item = self._type(depth + 1)
        self._expect(";")
        count = self._next()
        self._expect("]")
        if not count.isdigit():
            self._refuse()
        return array_of_bytes(int(count)) if _is_byte(item) else Array(item, int(count))

    def _next(self) -> str:
        return self._words.pop(0) if self._words else self._refuse()

    def _expect(self, word: str) -> None:
        if self._next() != word:
            self._refuse()

    def _refuse(self) -> NoReturn:
        remedy = "write it as in Rust, e.g. u32, Vec<u8>, [u64; 4] or (String, bool)"
        raise InputError(self._where, self._text, "no type", remedy)


def _is_byte(kind: Kind) -> bool:
    return kind == SCALARS["u8"]


def _text(key: object, where: str) -> str:
    if not isinstance(key, str) or not key:
        raise InputError(where, key, "not a name", "give a name, in quotes if need be")
    return key
