"""The error about a value that a guest cannot take, and what can be printed of a value."""

from __future__ import annotations

from runner.errors import InputError

__all__ = ["UnusableError", "printable"]


class UnusableError(Exception):
    """A value that a guest cannot take.

    The error does not say where the whole input stood: only the caller knows whether it came from
    the command line or from a line of a file, and turns the error into one that names the place.

    Attributes:
        value: the value that is wrong, or the whole input.
        problem: why the value cannot be used.
        remedy: what to give instead.
        name: the path to the value inside the input, e.g. ``points[3].x``, or empty where the
            input as a whole is wrong.
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
