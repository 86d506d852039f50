"""One YAML file of ``conf/alerts``, read strictly: its keys and the types of its values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import yaml

from runner.errors import InputError
from runner.untrusted import read_regular

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

__all__ = ["Duration", "SettingsFile"]

_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_DURATION = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?")
_MOST_BYTES = 1 << 16
_TEN_YEARS = 3650 * 86_400_000


@dataclass(frozen=True, slots=True)
class Duration:
    """A time span, written the way Prometheus writes it, e.g. ``5m`` or ``1h30m``.

    Attributes:
        ms: the length of the span in milliseconds.
    """

    ms: int

    @property
    def seconds(self) -> float:
        """The length of the span in seconds."""
        return self.ms / 1000

    def __str__(self) -> str:
        rest, text = self.ms, ""
        for unit in ("d", "h", "m", "s", "ms"):
            count, rest = divmod(rest, _UNITS[unit])
            text += f"{count}{unit}" if count else ""
        return text or "0s"


class _Loader(yaml.SafeLoader):
    """A loader that refuses a key given twice; YAML's own would let the second one win.

    It refuses aliases as well. A few lines of them are a value that takes hours to print.
    """

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]  # not in the stubs
            raise yaml.composer.ComposerError(None, None, "an alias, which nothing needs", mark)
        return super().compose_node(parent, index)


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    content = loader.construct_mapping(node, deep=True)
    seen = set()
    for name, _ in node.value:
        key = loader.construct_object(name, deep=True)
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"{key} is there twice")
        seen.add(key)
    return content


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


class SettingsFile:
    """One file of the folder, which has exactly the keys it should have.

    Args:
        path: the file's path.
        keys: all keys that the file must have; it may have no others.

    Raises:
        InputError: the file is missing or cannot be read, or its keys are not those expected.
    """

    def __init__(self, path: Path, keys: Sequence[str]) -> None:
        self._path = path
        try:
            # The loader is a subclass of SafeLoader, so it builds plain values only.
            content = yaml.load(read_regular(path, _MOST_BYTES), _Loader)  # noqa: S506
        except FileNotFoundError:
            raise InputError(
                str(path), "", "no such file", "restore it from git; `enabled: false` turns it off"
            ) from None
        except OSError as error:
            reason = f"cannot be read ({error.strerror})"
            raise InputError(str(path), "", reason, "give a readable file") from None
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise InputError(str(path), _place(error), _reason(error), "correct it") from None
        if not isinstance(content, dict):
            raise InputError(
                str(path), content, "not a mapping", f"write lines NAME: VALUE for {_list(keys)}"
            )
        for key in content:
            if key not in keys:
                self.refuse(
                    str(key), content[key], "no such field", f"the fields are {_list(keys)}"
                )
        for key in keys:
            if key not in content:
                self.refuse(key, "", "missing", f"the fields are {_list(keys)}")
        self.content: dict[str, object] = content

    def refuse(self, field: str, value: object, problem: str, remedy: str) -> NoReturn:
        """Raise the error that tells the user what is wrong with a field."""
        raise InputError(f"{self._path}: {field}", value, problem, remedy)

    def boolean(self, field: str) -> bool:
        """The value of a field that is true or false."""
        value = self.content[field]
        if not isinstance(value, bool):
            self.refuse(field, value, "neither true nor false", "give true or false")
        return value

    def text(self, field: str) -> str:
        """The value of a field that is text, and not empty."""
        value = self.content[field]
        if not isinstance(value, str) or not value:
            self.refuse(field, value, "not text", "give text, in quotes")
        return value

    def number(self, field: str, most: float) -> float:
        """The value of a field that is a number from 0 to ``most``."""
        value = self.content[field]
        # isinstance() alone would let True pass as the number 1.
        if type(value) not in (int, float) or not isinstance(value, (int, float)):
            self.refuse(field, value, "not a number", "give one like 10 or 0.5, without quotes")
        if not 0 <= value <= most:
            self.refuse(field, value, "out of range", f"give 0 to {most:g}")
        return value

    def duration(self, field: str, *, zero: bool = False) -> Duration:
        """The value of a field that is a time span; it may be zero only where ``zero`` is true."""
        value = self.content[field]
        match = _DURATION.fullmatch(value) if isinstance(value, str) else None
        if match is None or not value:
            self.refuse(field, value, "not a duration", "give one like 30s, 5m or 1h30m")
        units = ("w", "d", "h", "m", "s", "ms")
        parts = zip(match.groups(), units, strict=True)
        ms = sum(int(count) * _UNITS[unit] for count, unit in parts if count and len(count) < 15)
        digits = max((len(count) for count in match.groups() if count), default=0)
        if ms > _TEN_YEARS or digits >= 15:
            self.refuse(field, value, "too long", "give at most 3650d")
        if not ms and not zero:
            self.refuse(field, value, "no time at all", "give one like 30s, 5m or 1h30m")
        return Duration(ms)

    def names(self, field: str) -> tuple[str, ...]:
        """The value of a field that is a list of different names."""
        value = self.content[field]
        if not isinstance(value, list) or not all(isinstance(v, str) and v for v in value):
            self.refuse(field, value, "not a list of names", "give [] or a list like [host:9100]")
        if len(set(value)) < len(value):
            self.refuse(field, value, "a name is there twice", "give each name once")
        return tuple(value)


def _place(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    return "" if mark is None else f"line {mark.line + 1}"


def _reason(error: Exception) -> str:
    words = getattr(error, "problem", None) or str(error) or type(error).__name__
    return f"not YAML: {words}"


def _list(keys: Iterable[str]) -> str:
    return ", ".join(keys)
