"""JSON from an untrusted source: the type and range of every value are checked on access.

A text is cut to a limit. Control characters, and marks that change the direction of writing, are
removed from it. Names of files that are not UTF-8 are shown by :func:`runner.text.visible`.
"""

from __future__ import annotations

import re
from typing import Any

from runner.text import visible

__all__ = ["JsonObject", "one_line"]

_LAST_SECOND = 253_402_300_799  # The last second of the year 9999, the last that dates can have.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufffe\uffff]+")


class JsonObject:
    """One JSON object. Each getter raises a ValueError that names the field it cannot return.

    Args:
        data: the parsed JSON, which should be an object.
        where: the object's place in the file, for error messages; empty for the whole file.

    Attributes:
        data: the object's content, unchecked.
    """

    def __init__(self, data: object, where: str) -> None:
        if not isinstance(data, dict):
            # Every fault of a file is the same type of error.
            raise ValueError(f"{where or 'the file'} is not an object")  # noqa: TRY004
        self.data: dict[str, Any] = data
        self._where = f"{where}." if where else ""

    def node(self, name: str) -> JsonObject:
        """The object under a key."""
        return JsonObject(self.data.get(name), f"{self._where}{name}")

    def items(self, name: str) -> list[Any]:
        """The list under a key."""
        value = self.data.get(name)
        if not isinstance(value, list):
            raise self._wrong(name, "a list")
        return value

    def text(self, name: str) -> str:
        """The text under a key, cleaned by :func:`one_line`."""
        value = self.data.get(name)
        if not isinstance(value, str):
            raise self._wrong(name, "a text")
        return one_line(value, 2000)

    def count(self, name: str) -> int:
        """The integer under a key, which is not negative and fits in 64 bits with a sign."""
        value = self.data.get(name)
        if type(value) is not int or not 0 <= value < 1 << 63:
            raise self._wrong(name, "a count")
        return value

    def number(self, name: str, *, signed: bool = False) -> float:
        """The finite number under a key, at most 10^15; it is negative only where ``signed``."""
        value = self.data.get(name)
        # isinstance() would let JSON's true pass as the number 1.
        if value is None or type(value) not in {int, float} or not abs(value) <= 1e15:
            raise self._wrong(name, "a number")
        if value < 0 and not signed:
            raise self._wrong(name, "0 or more")
        return float(value)

    def seconds(self, name: str) -> float:
        """The Unix time under a key, at most the last second of the year 9999."""
        value = self.number(name)
        if value > _LAST_SECOND:
            raise self._wrong(name, "a time")
        return value

    def _wrong(self, name: str, wanted: str) -> ValueError:
        return ValueError(f"{self._where}{name} is not {wanted}")


def one_line(value: str, limit: int) -> str:
    """A text on one line, without control characters and marks of the writing direction.

    Args:
        value: the text.
        limit: the most characters that are kept.
    """
    clean = _CONTROL.sub(" ", visible(value))
    return clean if len(clean) <= limit else f"{clean[: limit - 3]}..."
