"""Durations, errors and names of files in a form that people can read."""

from __future__ import annotations

__all__ = ["duration", "one_line", "visible"]


def duration(seconds: float) -> str:
    """Show a number of seconds as people say it.

    Examples are ``8 ms``, ``0.4 s``, ``12 s``, ``3 min 05 s`` and ``2 h 10 min``.
    """
    if 0.0005 <= seconds < 0.0995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def one_line(error: BaseException) -> str:
    """Return an error's message on one line, or the name of its type where it has no message."""
    return visible(" ".join(str(error).split())) or type(error).__name__


def visible(text: str) -> str:
    r"""Return a text that UTF-8 can write, where a name of a file in it need not be UTF-8.

    Names of files are bytes. For each byte that is not UTF-8, Python has half of a surrogate pair
    (PEP 383), which no file and no page takes. It is escaped, e.g. as ``\udcff`` for 0xff. A reader
    of JSON takes this escape for the half again, so that a stored name is still the file's.
    """
    return text.encode("utf-8", "backslashreplace").decode()
