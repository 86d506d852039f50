"""Inputs from a pipe, which are copied into a file first: a sweep reads them more than once."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import sys
import tempfile
from functools import cache
from pathlib import Path

from runner.errors import InputError

__all__ = ["FORMATS", "spooled"]

FORMATS = ("jsonl", "csv", "parquet")
"""What ``guest.inputs_format`` can be. Files say it by their extensions."""

_FIELD = "guest.inputs_file"
_STDIN = Path("-")
"""What stands for standard input on a command line."""


def spooled(name: str, form: str | None) -> str:
    """The file to read inputs from, which has an extension that tells their format.

    Where the format is given, a file, standard input (also as ``-``), a FIFO or what a shell gives
    for ``<(...)`` is read to its end, once in this process, into a file that is removed when the
    process ends.

    Args:
        name: the file, folder or stream as the setting names it.
        form: the format; None for that of the file's extension.

    Raises:
        InputError: the format is unknown or missing, or the stream cannot be read.
    """
    if form is not None and form not in FORMATS:
        remedy = f"choose one of {', '.join(FORMATS)}"
        raise InputError("guest.inputs_format", form, "unknown", remedy)
    if form is None:
        if Path(name).suffix or not _is_stream(Path(name)):
            return name
        remedy = f"give guest.inputs_format, one of {', '.join(FORMATS)}"
        raise InputError(_FIELD, name, "a stream has no extension that tells its format", remedy)
    return str(_copied(name, form))


def _is_stream(path: Path) -> bool:
    try:
        return path == _STDIN or stat.S_ISFIFO(path.stat().st_mode) or path == Path("/dev/stdin")
    except OSError:
        return False


@cache
def _copied(name: str, form: str) -> Path:
    folder = _folder()
    copy = folder / f"{len(list(folder.iterdir()))}.{form}"
    try:
        if Path(name) in (_STDIN, Path("/dev/stdin")):
            if sys.stdin is None or sys.stdin.isatty():
                raise OSError(errno.EINVAL, "standard input is closed, or a terminal")
            source = os.dup(sys.stdin.fileno())
        else:
            source = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
        with os.fdopen(source, "rb") as file, copy.open("wb") as made:
            if not (stat.S_ISFIFO(mode := os.fstat(source).st_mode) or stat.S_ISREG(mode)):
                raise OSError(errno.EINVAL, "neither a file nor a pipe")
            shutil.copyfileobj(file, made)
    except OSError as error:
        problem = error.strerror or str(error)
        raise InputError(_FIELD, name, problem, "give a readable file or pipe") from None
    return copy


@cache
def _folder() -> Path:
    import atexit

    folder = tempfile.mkdtemp(prefix="zk-batch-inputs-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
