"""Consoles of Rich on this process's standard streams."""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console

if TYPE_CHECKING:
    from typing import TextIO

__all__ = ["make_console"]


def make_console(*, stderr: bool = False, **options: Any) -> Console:  # noqa: ANN401  # Rich's own
    """Make a console. One on a file has neither colours nor bars, whatever ``FORCE_COLOR`` says.

    That variable is for a reader at the other end of a pipe, such as a CI's page.

    Args:
        stderr: whether it is on standard error, and not on standard output.
        options: further options of :class:`rich.console.Console`.
    """
    if _is_file(sys.stderr if stderr else sys.stdout):
        options["force_terminal"] = False
    return Console(stderr=stderr, **options)


def _is_file(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError):  # closed, or no stream of the system's
        return False
