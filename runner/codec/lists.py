"""Tuples, arrays and lists, all of which are lists in JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from runner.codec.forms import MisfitError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from runner.codec.forms import Form, Source, Writer
    from runner.codec.kind import Kind

__all__ = ["Array", "List", "Tuple", "sum_of", "write_at"]


@dataclass(frozen=True, slots=True)
class Tuple:
    """Values of several types, in order; a struct whose fields have no names is the same.

    Attributes:
        items: the types.
    """

    items: tuple[Kind, ...]

    textual: ClassVar[bool] = False
    takes_null: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """See :class:`runner.codec.kind.Kind`."""
        return f"({', '.join(item.name for item in self.items)})"

    @property
    def nodes(self) -> int:
        """See :class:`runner.codec.kind.Kind`."""
        return 1 + sum(item.nodes for item in self.items)

    def size(self, form: Form) -> int | None:
        """See :class:`runner.codec.kind.Kind`."""
        return sum_of(item.size(form) for item in self.items)

    def write(self, value: object, into: Writer) -> None:
        """See :class:`runner.codec.kind.Kind`."""
        for index, (kind, item) in enumerate(
            zip(self.items, _list(value, len(self.items), self, into), strict=True)
        ):
            write_at(f"[{index}]", kind, item, into)

    def read(self, source: Source) -> list[object]:
        """See :class:`runner.codec.kind.Kind`."""
        return [item.read(source) for item in self.items]


@dataclass(frozen=True, slots=True)
class Array:
    """``[T; N]``: a fixed number of values of one type.

    Attributes:
        item: the type of the values.
        count: the number of values.
    """

    item: Kind
    count: int

    textual: ClassVar[bool] = False
    takes_null: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """See :class:`runner.codec.kind.Kind`."""
        return f"[{self.item.name}; {self.count}]"

    @property
    def nodes(self) -> int:
        """See :class:`runner.codec.kind.Kind`."""
        return 1 + self.item.nodes

    def size(self, form: Form) -> int | None:
        """See :class:`runner.codec.kind.Kind`."""
        one = self.item.size(form)
        return None if one is None else one * self.count

    def write(self, value: object, into: Writer) -> None:
        """See :class:`runner.codec.kind.Kind`."""
        for index, item in enumerate(_list(value, self.count, self, into)):
            write_at(f"[{index}]", self.item, item, into)

    def read(self, source: Source) -> list[object]:
        """See :class:`runner.codec.kind.Kind`."""
        return _read_items(self.item, self.count, source)


@dataclass(frozen=True, slots=True)
class List:
    """``Vec<T>``: any number of values of one type.

    Attributes:
        item: the type of the values.
    """

    item: Kind

    textual: ClassVar[bool] = False
    takes_null: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """See :class:`runner.codec.kind.Kind`."""
        return f"Vec<{self.item.name}>"

    @property
    def nodes(self) -> int:
        """See :class:`runner.codec.kind.Kind`."""
        return 1 + self.item.nodes

    def size(self, form: Form) -> None:  # the same in all formats
        """See :class:`runner.codec.kind.Kind`."""

    def write(self, value: object, into: Writer) -> None:
        """See :class:`runner.codec.kind.Kind`."""
        items = _list(value, None, self, into)
        into.number(len(items), into.form.length)
        for index, item in enumerate(items):
            write_at(f"[{index}]", self.item, item, into)

    def read(self, source: Source) -> list[object]:
        """See :class:`runner.codec.kind.Kind`."""
        return _read_items(self.item, source.number(source.form.length), source)


def sum_of(sizes: Iterable[int | None]) -> int | None:
    """The sum of sizes, or None where one of them is not known."""
    total = 0
    for size in sizes:
        if size is None:
            return None
        total += size
    return total


def _list(value: object, count: int | None, kind: Kind, into: Writer) -> Sequence[object]:
    wanted = "any number of" if count is None else count
    if not isinstance(value, (list, tuple)):
        problem = "no value" if value is None else "not a list"
        into.refuse(value, problem, f"give a list of {wanted} values: {kind.name}")
    if count is not None and len(value) != count:
        problem = f"has {len(value)} values, not {count}"
        into.refuse(value, problem, f"give a list of {count} values: {kind.name}")
    return value


def _read_items(kind: Kind, count: int, source: Source) -> list[object]:
    items = []
    for _ in range(count):
        before = source.at
        items.append(kind.read(source))
        if source.at == before:  # a false length could otherwise claim billions of them
            raise MisfitError("an item takes no bytes")
    return items


def write_at(step: str, kind: Kind, value: object, into: Writer) -> None:
    """Write a part of a value, whose errors name the step from the value to the part."""
    into.path.append(step)
    kind.write(value, into)
    into.path.pop()
