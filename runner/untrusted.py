"""Reading what may be anybody's: files that are not what they seem, and JSON made to deceive.

A folder from elsewhere can hold a link to ``/dev/zero``, a FIFO that nobody writes to, or a file
that never ends. What reads it here follows no link, waits for nobody, and stops at a bound.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import re
import stat
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import TextIOWrapper
    from pathlib import Path

__all__ = [
    "append_regular",
    "check_regular",
    "digest_of",
    "open_regular",
    "parse_json",
    "read_regular",
    "unhex",
]

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_PIECE = 1 << 20
_HEX = re.compile(r"(?:[0-9a-f]{2})*")


def open_regular(path: Path, *, inside: Path | None = None, follow: bool = False) -> BinaryIO:
    """Open a file to read it, once it is known to be a regular file.

    Args:
        path: the file.
        inside: the folder that the file must be in, where ``path`` is relative to it. No link on
            the way from this folder to the file is followed; the folder itself may be one.
        follow: whether the file may be a link, as where the user named it.

    Raises:
        OSError: there is no such file, or it is a link, a device, a FIFO, a socket or a folder.
    """
    if inside is not None:
        handle = _open_in(inside, PurePath(path).parts)
    else:
        handle = os.open(path, _FLAGS & ~os.O_NOFOLLOW) if follow else _open(path, None)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def append_regular(path: Path) -> TextIOWrapper:
    """Open a file to append text to it, once it is known to be a regular file, or make it.

    Raises:
        OSError: it is a link, a device, a FIFO, a socket or a folder, or cannot be opened or made.
    """
    handle = _open(path, None, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        return os.fdopen(handle, "a", encoding="utf-8", errors="backslashreplace")
    except BaseException:
        os.close(handle)
        raise


def check_regular(path: Path) -> None:
    """Refuse a file that another library is to open, unless it is a regular file or missing.

    Raises:
        OSError: it is a link, a device, a FIFO, a socket or a folder, or cannot be looked at.
    """
    with contextlib.suppress(FileNotFoundError):
        mode = path.lstat().st_mode
        if not stat.S_ISREG(mode):
            what = "a symbolic link" if stat.S_ISLNK(mode) else "not a regular file"
            raise OSError(errno.EINVAL, what, str(path))


def read_regular(
    path: Path, most: int, *, inside: Path | None = None, follow: bool = False
) -> bytes:
    """Read a file that may be anybody's.

    Args:
        path: the file.
        most: the most bytes that it may have.
        inside: see :func:`open_regular`.
        follow: see :func:`open_regular`.

    Raises:
        OSError: the file cannot be opened, as :func:`open_regular` says, or it is too large.
    """
    with open_regular(path, inside=inside, follow=follow) as file:
        return b"".join(_pieces(file, path, most))


def digest_of(path: Path, most: int, *, inside: Path | None = None) -> str:
    """The SHA-256 of a file in hex, without holding the file in memory.

    Raises:
        OSError: the same as for :func:`read_regular`.
    """
    digest = hashlib.sha256()
    with open_regular(path, inside=inside) as file:
        for piece in _pieces(file, path, most):
            digest.update(piece)
    return digest.hexdigest()


def parse_json(text: str | bytes, *, names: bool = False) -> Any:  # noqa: ANN401  # any JSON value
    """Parse JSON that may be anybody's, so that two readers cannot take it differently.

    Args:
        text: the JSON.
        names: whether texts may be names of files that are not UTF-8, for whose bytes Python has
            halves of surrogate pairs (PEP 383). They can be neither written to a file nor put into
            a page or a database before :func:`runner.text.visible` has made them text.

    Raises:
        ValueError: it is not JSON, is nested too deeply, has a key twice in one object, has a
            number that JSON does not know (NaN, Infinity) or that is read as such a one (1e999),
            or has half of a surrogate pair that is no such byte.
    """
    try:
        found = json.loads(
            text, object_pairs_hook=_object, parse_constant=_no_constant, parse_float=_finite
        )
        if _may_have_halves(text):
            # The handler that knows such bytes lets them pass, and no other halves.
            handler = "surrogateescape" if names else "strict"
            json.dumps(found, ensure_ascii=False).encode("utf-8", handler)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except UnicodeEncodeError:
        raise ValueError("half of a surrogate pair, which is no text") from None
    return found


def unhex(text: object, size: int | None = None) -> bytes:
    """The bytes of lower-case hex, in the one spelling that the runner writes.

    Args:
        text: the hex.
        size: the number of bytes that it must have; None for any.

    Raises:
        ValueError: it is something else, also where ``bytes.fromhex`` would take it.
    """
    if not isinstance(text, str) or not _HEX.fullmatch(text):
        raise ValueError("not lower-case hex")
    found = bytes.fromhex(text)
    if size is not None and len(found) != size:
        raise ValueError(f"has {len(found)} bytes, not {size}")
    return found


def _open(name: str | Path, folder: int | None, flags: int = 0) -> int:
    try:
        return os.open(name, _FLAGS | flags, dir_fd=folder)
    except OSError as error:
        # "Too many levels of symbolic links" is what the system calls a link not to be followed.
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "a symbolic link", str(name)) from None
        if error.errno == errno.ENXIO:  # a socket cannot be opened
            raise OSError(errno.EINVAL, "not a regular file", str(name)) from None
        raise


def _open_in(folder: Path, parts: tuple[str, ...]) -> int:
    """Open a file below a folder, one step of its path at a time."""
    if not parts or PurePath(*parts).is_absolute() or ".." in parts:
        raise OSError(errno.EINVAL, "leads out of the folder", str(PurePath(*parts)))
    here = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts[:-1]:
            below = _open(part, here, os.O_DIRECTORY)
            os.close(here)
            here = below
        return _open(parts[-1], here)
    finally:
        os.close(here)


def _pieces(file: BinaryIO, path: Path, most: int) -> Iterator[bytes]:
    left = most
    if os.fstat(file.fileno()).st_size > most:  # a file with a hole may be larger than any disk
        raise OSError(errno.EFBIG, f"larger than {most} bytes", str(path))
    while piece := file.read(_PIECE):
        left -= len(piece)
        if left < 0:  # a file of /proc says that it has no bytes, and gives any number of them
            raise OSError(errno.EFBIG, f"larger than {most} bytes", str(path))
        yield piece


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice[:80]!r} stands twice in one object")
    return found


def _may_have_halves(text: str | bytes) -> bool:
    """Whether the text of a JSON value has escapes of surrogates, or is not UTF-8 itself."""
    if isinstance(text, str):
        return "\\ud" in text or "\\uD" in text or not text.isascii()
    # Python guesses UTF-16 and UTF-32 too, in which every other byte of such an escape is zero.
    return b"\\ud" in text or b"\\uD" in text or b"\0" in text or b"\xed" in text


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"the number {text[:80]} is too large")
    return number


def _no_constant(name: str) -> Any:  # noqa: ANN401  # never returns
    raise ValueError(f"{name} is no number of JSON")
