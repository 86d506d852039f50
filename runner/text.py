"""Durations and errors in a form that people can read."""

from __future__ import annotations

__all__ = ["duration", "one_line"]


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
    return " ".join(str(error).split()) or type(error).__name__
