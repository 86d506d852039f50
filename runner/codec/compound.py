"""Options, structs and enums.

In JSON a struct is an object, an option is null or the value, and an
enum is the name of its variant, or an object with that name alone: ``"Empty"``, ``{"Named": "a"}``,
``{"Line": [1, 2]}``, ``{"Circle": {"radius": 3}}``. That is what serde's JSON looks like too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from runner.codec.forms import MisfitError
from runner.codec.lists import sum_of, write_at

if TYPE_CHECKING:
    from runner.codec.forms import Form, Source, Writer
    from runner.codec.kind import Kind

__all__ = ["Enum", "Option", "Struct"]


@dataclass(frozen=True, slots=True)
class Option:
    """A value or null.

    Where the value itself may be null, it is given as ``{"Some": VALUE}``.

    Attributes:
        item: the type of the value.
    """

    item: Kind

    takes_null: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """See :class:`runner.codec.kind.Kind`."""
        return f"Option<{self.item.name}>"

    @property
    def nodes(self) -> int:
        """See :class:`runner.codec.kind.Kind`."""
        return 1 + self.item.nodes

    @property
    def textual(self) -> bool:
        """See :class:`runner.codec.kind.Kind`."""
        return self.item.textual

    def size(self, form: Form) -> None:  # the same in all formats
        """See :class:`runner.codec.kind.Kind`."""

    def write(self, value: object, into: Writer) -> None:
        """See :class:`runner.codec.kind.Kind`."""
        into.number(int(value is not None), into.form.option)
        if value is None:
            return
        if self.item.takes_null:
            if not isinstance(value, dict) or value.keys() != {"Some"}:
                into.refuse(value, f"no {self.name}", 'give null or {"Some": VALUE}')
            value = value["Some"]
        self.item.write(value, into)

    def read(self, source: Source) -> object:
        """See :class:`runner.codec.kind.Kind`."""
        tag = source.number(source.form.option)
        if tag > 1:
            raise MisfitError(f"{tag} is no tag of an option")
        if not tag:
            return None
        found = self.item.read(source)
        return {"Some": found} if self.item.takes_null else found


@dataclass(frozen=True, slots=True)
class Struct:
    """A struct with named fields.

    Attributes:
        name: the struct's name, or how it was described.
        fields: the types of the fields by name, in the order of the Rust source.
    """

    name: str
    fields: tuple[tuple[str, Kind], ...]

    textual: ClassVar[bool] = False
    takes_null: ClassVar[bool] = False

    @property
    def nodes(self) -> int:
        """See :class:`runner.codec.kind.Kind`."""
        return 1 + sum(kind.nodes for _, kind in self.fields)

    def size(self, form: Form) -> int | None:
        """See :class:`runner.codec.kind.Kind`."""
        return sum_of(kind.size(form) for _, kind in self.fields)

    def write(self, value: object, into: Writer) -> None:
        """See :class:`runner.codec.kind.Kind`."""
        names = [name for name, _ in self.fields]
        remedy = f"give an object with the fields: {', '.join(names)}"
        if not isinstance(value, dict):
            into.refuse(value, f"no {self.name}", remedy)
        for name in value:
            if name not in names:
                into.refuse(value, f"unknown field {name!r}", remedy)
        for name, kind in self.fields:
            if name not in value:
                into.refuse(value, f"field {name} is missing", remedy)
            write_at(f".{name}", kind, value[name], into)

    def read(self, source: Source) -> dict[str, object]:
        """See :class:`runner.codec.kind.Kind`."""
        return {name: kind.read(source) for name, kind in self.fields}


@dataclass(frozen=True, slots=True)
class Enum:
    """One of several variants.

    Attributes:
        name: the enum's name, or how it was described.
        variants: the variants in the order of the Rust source: the name of each, and the type of
            what it holds, or None where it holds nothing.
    """

    name: str
    variants: tuple[tuple[str, Kind | None], ...]

    takes_null: ClassVar[bool] = False

    @property
    def textual(self) -> bool:
        """See :class:`runner.codec.kind.Kind`."""
        return all(kind is None for _, kind in self.variants)

    @property
    def nodes(self) -> int:
        """See :class:`runner.codec.kind.Kind`."""
        return 1 + sum(1 if kind is None else kind.nodes for _, kind in self.variants)

    def size(self, form: Form) -> int | None:
        """See :class:`runner.codec.kind.Kind`."""
        sizes = {0 if kind is None else kind.size(form) for _, kind in self.variants}
        one = sizes.pop()
        return None if sizes or one is None else form.variant + one

    def write(self, value: object, into: Writer) -> None:
        """See :class:`runner.codec.kind.Kind`."""
        name, held = value, None
        if isinstance(value, dict) and len(value) == 1:
            ((name, held),) = value.items()
        names = [variant for variant, _ in self.variants]
        if not isinstance(name, str) or name not in names:
            shown = ", ".join(f'"{one}"' if kind is None else one for one, kind in self.variants)
            remedy = f'give one of {shown}; one that holds something as {{"NAME": VALUE}}'
            into.refuse(value, f"no variant of {self.name}", remedy)
        index = names.index(name)
        kind = self.variants[index][1]
        into.number(index, into.form.variant)
        if kind is not None:
            if not isinstance(value, dict):
                into.refuse(value, f"{name} holds {kind.name}", f'give {{"{name}": VALUE}}')
            write_at(f".{name}", kind, held, into)
        elif held is not None:
            into.refuse(value, f"{name} holds nothing", f'give "{name}"')

    def read(self, source: Source) -> object:
        """See :class:`runner.codec.kind.Kind`."""
        index = source.number(source.form.variant)
        if index >= len(self.variants):
            raise MisfitError(f"{self.name} has no variant {index}")
        name, kind = self.variants[index]
        return name if kind is None else {name: kind.read(source)}
