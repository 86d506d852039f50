"""The command line of the files that are made from tables and kept in the repository.

Each such file has a command that writes it, or checks that it is up to date.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from runner.destination import STDOUT, is_stdout, write_out
from runner.errors import InputError, RunnerError
from runner.files import SHIPPED
from runner.untrusted import read_regular

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["command", "parser"]

_MOST_BYTES = 64 << 20


def parser(module: str, description: str, default: Path) -> argparse.ArgumentParser:
    """A parser for a command line with ``--out`` and ``--check``.

    Args:
        module: the module that is run, without the package's name.
        description: the sentence that ``--help`` starts with.
        default: the file in the repository, which is written without ``--out``.
    """
    made = argparse.ArgumentParser(
        prog=f"python -m runner.{module}", description=description, allow_abbrev=False
    )
    made.add_argument(
        "--out",
        metavar="FILE",
        default=str(default),
        help=f"where to write; - is standard output (default: {_short(default)})",
    )
    made.add_argument(
        "--check",
        action="store_true",
        help="write nothing; exit code 1 if the file is not what would be written",
    )
    return made


def command(
    parser: argparse.ArgumentParser,
    make: Callable[[argparse.Namespace], str],
    arguments: Sequence[str] | None,
) -> int:
    """Write or check the file, and return the exit code.

    Args:
        parser: the command line, made by :func:`parser`.
        make: a function from the options to the file's content.
        arguments: the arguments of the command line; None means those of the process.
    """
    options = parser.parse_args(arguments)
    try:
        content = make(options)
        if options.check:
            return _check(Path(options.out), content, parser.prog)
        _write(Path(options.out), content)
    except RunnerError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


def _check(path: Path, content: str, prog: str) -> int:
    try:
        found = read_regular(path, _MOST_BYTES, follow=True)
    except OSError as error:
        sys.stderr.write(f"{_short(path)}: {error.strerror}; make it with {prog}\n")
        return 1
    if found != content.encode():
        sys.stderr.write(f"{_short(path)} is out of date; make it anew with {prog}\n")
        return 1
    sys.stdout.write(f"{_short(path)} is up to date\n")
    return 0


def _write(path: Path, content: str) -> None:
    try:
        if path != STDOUT:
            path.parent.mkdir(parents=True, exist_ok=True)
        write_out(path, content.encode())
    except OSError as error:
        remedy = "choose a file that this user can write"
        raise InputError("--out", str(path), error.strerror or str(error), remedy) from None
    if not is_stdout(path):
        sys.stdout.write(f"wrote {_short(path)}\n")


def _short(path: Path) -> str:
    return str(path.relative_to(SHIPPED) if path.is_relative_to(SHIPPED) else path)
