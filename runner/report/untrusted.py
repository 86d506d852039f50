"""JSON that may be anybody's: every value is checked for type and range when it is taken.

A text is cut, and freed of control characters and of marks that turn the direction of writing.
"""

from __future__ import annotations

import re
from typing import Any

__all__ = ["JsonObject", "one_line"]

_LAST_SECOND = 253_402_300_799  # of the year 9999: what a calendar can show
_CONTROL = re.compile(
    r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\u202a-\u202e\u2066-\u2069\ufffe\uffff]+"
)


class JsonObject:
    """One JSON object; every getter raises ValueError naming the field.

    Args:
        data: parsed JSON.
        where: it stands in the file, for messages.

    Attributes:
        data: the object as it is.
    """

    def __init__(self, data: object, where: str) -> None:
        if not isinstance(data, dict):
            raise ValueError(f"{where or 'the file'} is not an object")  # noqa: TRY004  # one kind
        self.data: dict[str, Any] = data
        self._where = f"{where}." if where else ""

    def node(self, name: str) -> JsonObject:
        """An object in it."""
        return JsonObject(self.data.get(name), f"{self._where}{name}")

    def items(self, name: str) -> list[Any]:
        """A list in it."""
        value = self.data.get(name)
        if not isinstance(value, list):
            raise self._wrong(name, "a list")
        return value

    def text(self, name: str) -> str:
        """A text, as :func:`one_line` leaves it."""
        value = self.data.get(name)
        if not isinstance(value, str):
            raise self._wrong(name, "a text")
        return one_line(value, 2000)

    def count(self, name: str) -> int:
        """A whole number from 0 that fits 64 bits with a sign."""
        value = self.data.get(name)
        if type(value) is not int or not 0 <= value < 1 << 63:
            raise self._wrong(name, "a count")
        return value

    def number(self, name: str, *, signed: bool = False) -> float:
        """A finite number, from 0 unless ``signed``, of a size that figures can have."""
        value = self.data.get(name)
        # ``type``, not isinstance: JSON's true is not the number 1.
        if value is None or type(value) not in {int, float} or not abs(value) <= 1e15:
            raise self._wrong(name, "a number")
        if value < 0 and not signed:
            raise self._wrong(name, "0 or more")
        return float(value)

    def seconds(self, name: str) -> float:
        """Unix time of a year that calendars know."""
        value = self.number(name)
        if value > _LAST_SECOND:
            raise self._wrong(name, "a time")
        return value

    def _wrong(self, name: str, wanted: str) -> ValueError:
        return ValueError(f"{self._where}{name} is not {wanted}")


def one_line(value: str, limit: int) -> str:
    """One line without control characters or marks that turn the direction of writing."""
    clean = _CONTROL.sub(" ", value)
    return clean if len(clean) <= limit else f"{clean[: limit - 3]}..."
