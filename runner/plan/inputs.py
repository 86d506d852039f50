"""The inputs of a batch: a guest's input as its config describes it, and the sources of its leaves.

Nothing here has effects, except that the source ``inputs_file`` reads the file it names.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from runner.codec.reads import Read, encode
from runner.codec.values import UnusableError, printable
from runner.errors import InputError
from runner.model import Leaf
from runner.plan.input_file import file_reader, read_inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = [
    "MAX_LEAVES",
    "InputSpec",
    "MixedSpec",
    "RangeSeries",
    "Series",
    "TemplateSeries",
    "leaves",
]

MAX_LEAVES = 1_000_000
"""The largest batch. Plans are tested up to this size, and a mistyped number is caught by it."""

_SOURCES = "guest.inputs, guest.count, guest.inputs_file"
_Encoded: TypeAlias = tuple[dict[str, object], bytes, str, str]
"""An input by field name, the guest's stdin, the name of the guest, empty for the only one, and the
input's own assumptions as JSON, empty for none."""


@dataclass(frozen=True, slots=True)
class RangeSeries:
    """The numbers ``start + i * step`` for leaf ``i``.

    Attributes:
        start: the number for leaf 0.
        step: the difference between neighbouring numbers.
        modulo: the number at which the series wraps, or None if it does not. Fibonacci, for
            example, has only 94 inputs.

    Raises:
        InputError: ``modulo`` is below 1.
    """

    start: int = 0
    step: int = 1
    modulo: int | None = None

    def __post_init__(self) -> None:
        if self.modulo is not None and self.modulo < 1:
            remedy = "give a whole number of at least 1, or leave it out"
            raise InputError("guest.series.modulo", self.modulo, "nothing to wrap at", remedy)

    def at(self, i: int) -> int:
        """Return the value for leaf ``i``."""
        value = self.start + i * self.step
        return value if self.modulo is None else value % self.modulo


@dataclass(frozen=True, slots=True)
class TemplateSeries:
    """A text in which every ``{i}`` stands for the leaf's number; other braces mean nothing.

    Attributes:
        template: the text.
    """

    template: str

    def at(self, i: int) -> str:
        """Return the value for leaf ``i``."""
        return self.template.replace("{i}", str(i))


Series: TypeAlias = RangeSeries | TemplateSeries


@dataclass(frozen=True, slots=True)
class InputSpec:
    """The description of a guest's whole input.

    Attributes:
        fields: the fields in the order in which the guest reads them. There may be none.
        series: the guest's own inputs, which ``guest.count`` uses: one series for each field, or
            none at all.
        encoder: the user's own program, which returns the guest's stdin for any value and raises
            UnusableError; None where the fields say how a value is encoded.

    Raises:
        InputError: two fields have the same name, or the number of series is not the number of
            fields.
    """

    fields: tuple[Read, ...]
    series: tuple[Series, ...] = ()
    encoder: Callable[[object], bytes] | None = None

    def __post_init__(self) -> None:
        names = [field.name for field in self.fields]
        if len(set(names)) != len(names):
            raise InputError("guest.fields", names, "a name stands twice", "name each field once")
        if self.series and len(self.series) != len(self.fields):
            remedy = f"give one for each of the {len(names)} fields, or none"
            raise InputError("guest.series", len(self.series), "wrong number of series", remedy)

    def encode(self, value: object, folder: Path) -> _Encoded:
        """Encode one input. Returns its values by name, the guest's stdin, and two empty texts.

        Args:
            value: the input as the user gave it.
            folder: the folder that the files named in it are relative to.

        Raises:
            UnusableError: the guest cannot take it.
        """
        if self.encoder is not None:
            named = value if isinstance(value, dict) else {"input": value}
            return named, self.encoder(value), "", ""
        return *encode(self.fields, value, file_reader(folder)), "", ""

    @property
    def has_series(self) -> bool:
        """Whether the guest has inputs of its own."""
        return len(self.series) == len(self.fields) and self.encoder is None


@dataclass(frozen=True, slots=True)
class MixedSpec:
    """The inputs of a batch of several guests: each names its guest.

    Attributes:
        specs: the description of each guest's input, by the guest's name.
    """

    specs: Mapping[str, InputSpec]

    fields: ClassVar[tuple[Read, ...]] = ()
    series: ClassVar[tuple[Series, ...]] = ()
    has_series: ClassVar[bool] = False

    def encode(self, value: object, folder: Path) -> _Encoded:
        """Encode ``{"guest": NAME, "input": VALUE}``; see :meth:`InputSpec.encode`.

        A list ``assumptions`` may stand beside them (:mod:`runner.batch.assumptions`).
        """
        keys = value.keys() if isinstance(value, dict) else set()
        known = {"guest", "input"} <= keys <= {"guest", "input", "assumptions"}
        if not isinstance(value, dict) or not known:
            remedy = 'give {"guest": NAME, "input": VALUE}, as the batch has several guests'
            raise UnusableError(value, "does not name its guest", remedy)
        spec = self.specs.get(value["guest"]) if isinstance(value["guest"], str) else None
        if spec is None:
            remedy = f"name one of {', '.join(self.specs)}"
            raise UnusableError(value["guest"], "not a guest of this batch", remedy, "guest")
        try:
            values, stdin, _, _ = spec.encode(value["input"], folder)
        except UnusableError as bad:
            place = f"input.{bad.name}" if bad.name else "input"
            raise UnusableError(bad.value, bad.problem, bad.remedy, place) from None
        given = value.get("assumptions")
        return values, stdin, value["guest"], json.dumps(given) if given else ""


def leaves(
    spec: InputSpec | MixedSpec,
    *,
    inputs: Sequence[object] | None = None,
    count: int | None = None,
    inputs_file: str | Path | None = None,
    keep: Callable[[Iterable[Leaf]], Sequence[Leaf]] = list,
) -> Sequence[Leaf]:
    """Make the leaves of a batch from exactly one of three sources.

    Args:
        spec: the description of the guest's input.
        inputs: the values themselves, one for each leaf.
        count: the number of leaves to take from the guest's own series.
        inputs_file: a file of values, in a format of :func:`runner.plan.input_file.read_inputs`.
        keep: a function that takes the leaves one by one, and keeps them. A list does, but a batch
            may have a million.

    Raises:
        InputError: no source or several are given, the batch is empty or has more than
            :data:`MAX_LEAVES` leaves, or the guest cannot take a value.
    """
    sources = {"inputs": inputs, "count": count, "inputs_file": inputs_file}
    given = [f"guest.{name}" for name, source in sources.items() if source is not None]
    if len(given) != 1:
        shown = " and ".join(given) or None
        problem = "given together" if given else "no input given"
        raise InputError(_SOURCES, shown, problem, "give exactly one of the three")
    if inputs_file is not None:
        found = _leaves(given[0], str(inputs_file), _from_file(spec, Path(inputs_file)))
    elif count is not None:
        found = _leaves(given[0], count, _from_series(spec, count))
    elif isinstance(inputs, (str, bytes)) or not isinstance(inputs, Sequence):
        raise InputError(given[0], printable(inputs), "not a list", "write guest.inputs=[...]")
    else:
        many = f"{len(inputs)} values" if inputs else []
        found = _leaves(given[0], many, _from_list(spec, inputs))
    return keep(found)


def _leaves(field: str, value: object, encoded: Iterator[_Encoded]) -> Iterator[Leaf]:
    index = -1
    for index, (values, stdin, guest, assumptions) in enumerate(encoded):
        if index >= MAX_LEAVES:
            raise InputError(field, value, f"more than {MAX_LEAVES} leaves", "split the batch")
        yield Leaf(index, values, stdin, guest, assumptions)
    if index < 0:
        raise InputError(field, value, "empty batch", "give at least one input")


def _from_list(spec: InputSpec | MixedSpec, inputs: Sequence[object]) -> Iterator[_Encoded]:
    for i, value in enumerate(inputs):
        try:
            yield spec.encode(value, Path())
        except UnusableError as bad:
            raise bad.at(f"guest.inputs[{i}]") from None


def _from_series(spec: InputSpec | MixedSpec, count: object) -> Iterator[_Encoded]:
    if type(count) is not int or not 1 <= count <= MAX_LEAVES:
        problem = "empty batch" if count == 0 and count is not False else "not a batch size"
        remedy = f"give a whole number from 1 to {MAX_LEAVES}"
        raise InputError("guest.count", printable(count), problem, remedy)
    if not spec.has_series:
        remedy = "give guest.inputs or guest.inputs_file"
        raise InputError("guest.count", count, "this guest has no inputs of its own", remedy)
    for i in range(count):
        value = {f.name: s.at(i) for f, s in zip(spec.fields, spec.series, strict=True)}
        try:
            yield spec.encode(value, Path())
        except UnusableError as bad:
            problem = f"input {i} would be {bad}"
            remedy = f"give at most {i}, or let the guest's series wrap" if i else "mend its series"
            raise InputError("guest.count", count, problem, remedy) from None


def _from_file(spec: InputSpec | MixedSpec, path: Path) -> Iterator[_Encoded]:
    folder = path if path.is_dir() else path.parent
    for where, value in read_inputs(path, spec.fields):
        try:
            yield spec.encode(value, folder)
        except UnusableError as bad:
            raise InputError("guest.inputs_file", where, str(bad), bad.remedy) from None
