"""Writing files so that each is whole or absent, even after a crash or a power cut."""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "KEPT",
    "SHIPPED",
    "atomic_write",
    "check_replaceable",
    "followed",
    "fsync_folder",
    "make_folder",
    "path_of",
    "remove_leftovers",
    "text_of",
    "user_path",
    "write_temp",
]

_PACKAGED = Path(__file__).resolve().parent / "shipped"

SHIPPED = (_PACKAGED / "conf").resolve().parent
"""The folder that holds ``conf/``, ``contracts/`` and ``guests/`` as they are shipped.

An installed package has them in ``runner/shipped``. In a checkout there are only links in that
folder, which lead to the checkout. It has ``deploy/`` and ``docs/`` as well.
"""

KEPT = Path() if SHIPPED == _PACKAGED else SHIPPED
"""The folder below which a command writes what is made from tables, such as the alert rules. It is
the checkout, or the working folder where there is none."""

_MOST_LINKS = 40
"""The number of links after which Linux itself takes a chain of them for a loop."""

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFLNK: "a stream of a process",
}
"""What is never replaced, by its file type. A link stands here only where it leads to a stream."""


def write_temp(
    folder: Path, data: bytes | Iterable[bytes], mode: int = 0o644, prefix: str = "."
) -> Path:
    """Write ``data`` to a new file in ``folder`` and wait until it is on disk.

    The file's name starts with a dot and ends in ``.tmp``, so that no program that looks for
    finished files (node_exporter looks for ``*.prom``) takes it for one.

    Args:
        folder: an existing folder.
        data: the content, or its pieces in order.
        mode: the file's permission bits, which are set whatever the umask is.
        prefix: the beginning of the file's name, which must start with a dot.

    Returns:
        The file's path.

    Raises:
        OSError: the file could not be written. No part of it is left behind.
    """
    import tempfile  # imported late: workers load this module and write nothing

    handle, name = tempfile.mkstemp(prefix=prefix, suffix=".tmp", dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.writelines([data] if isinstance(data, bytes) else data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)


def text_of(path: Path) -> str:
    """A path as JSON is to keep it, in whatever encoding this process has the names of files.

    The bytes of the name are read as UTF-8, and :func:`runner.text.visible` says what becomes of
    others.
    """
    return os.fsencode(path).decode("utf-8", "surrogateescape")


def path_of(text: str) -> Path:
    """The path that :func:`text_of` made a text of, also in a process with another encoding.

    Raises:
        ValueError: the text cannot be that of a path.
    """
    return Path(os.fsdecode(text.encode("utf-8", "surrogateescape")))


def fsync_folder(folder: Path) -> None:
    """Wait until renames and removals in ``folder`` are on disk.

    Raises:
        OSError: the folder cannot be opened, or the disk failed.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network and FUSE file systems cannot sync a folder. The rename itself has been done.
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        os.close(handle)


def followed(path: Path) -> Path:
    """Return the file that a path stands for once its links are followed, as far as they lead.

    Only links of the file itself are followed, because two paths through linked folders have the
    same files beside them anyway. The links of ``/proc`` that stand for the open files of a process
    name no file, so that they are returned themselves. So is ``path`` if its links form a loop.

    Args:
        path: the path as the user gave it. There need be nothing, also at the end of the links.
    """
    found = path
    for _ in range(_MOST_LINKS):
        if not found.is_symlink() or Path("/proc") in Path(os.path.realpath(found.parent)).parents:
            return found
        try:
            found = found.parent / found.readlink()
        except OSError:  # it has just been replaced
            return found
    return path


def check_replaceable(path: Path, *, follow: bool = False) -> Path:
    """Return the file that :func:`atomic_write` would replace, once it is known that it may.

    Args:
        path: the file to write. There need be none.
        follow: see :func:`atomic_write`.

    Raises:
        OSError: it is a folder, a device, a FIFO, a socket or a stream, or its links form a loop,
            or the user may not look at it, or it is another's in a folder with the sticky bit.
    """
    file = followed(path) if follow else path
    kind = None
    try:
        # The system follows the links here, because it knows links that must not be followed.
        kind = stat.S_IFMT(path.stat(follow_symlinks=follow).st_mode)
        if follow and kind == stat.S_IFREG:
            kind = stat.S_IFMT(file.lstat().st_mode)
    except FileNotFoundError:
        return file
    if kind == stat.S_IFREG or (kind == stat.S_IFLNK and not follow):
        _check_sticky(file)
        return file
    code = errno.EISDIR if kind == stat.S_IFDIR else errno.EINVAL
    raise OSError(code, f"{_KINDS[kind]}, not a regular file", str(path))


def _check_sticky(file: Path) -> None:
    """Refuse a file that the system lets only its owner replace, as in ``/tmp``."""
    folder, user = file.parent.stat(), os.geteuid()
    if folder.st_mode & stat.S_ISVTX and user not in (0, folder.st_uid, file.lstat().st_uid):
        words = "another user's, in a folder with the sticky bit, where only its owner may do so"
        raise OSError(errno.EPERM, words, str(file))


def atomic_write(
    path: Path, data: bytes | Iterable[bytes], mode: int = 0o644, *, follow: bool = False
) -> None:
    """Replace the file at ``path`` so that a reader sees the old content or the new, never a part.

    Only a regular file is replaced, or a link where links are not followed. A device would cease to
    be one for the whole machine.

    Args:
        path: the file to write, in an existing folder.
        data: the content, or its pieces in order.
        mode: the file's permission bits, which are set whatever the umask is.
        follow: whether a link's target is replaced in its place, as where the user named the file.
            In a folder from elsewhere a link may lead to any file of the user's.

    Raises:
        OSError: the file could not be written. No temporary file is left behind.
    """
    path = check_replaceable(path, follow=follow)
    temp = write_temp(path.parent, data, mode, f".{path.name}.")
    try:
        temp.replace(path)
    except BaseException:
        temp.unlink(missing_ok=True)
        raise
    fsync_folder(path.parent)


def remove_leftovers(path: Path) -> None:
    """Remove temporary files beside ``path`` from processes that were killed while writing it.

    The caller must know that nobody is writing ``path`` now, e.g. because it holds a lock.

    Args:
        path: the file that :func:`atomic_write` was to replace.

    Raises:
        OSError: the folder cannot be read or changed.
    """
    # The random part has no dot: the leftovers of `a.prom.tmp` are not those of `a.prom`.
    leftover = re.compile(rf"\.{re.escape(path.name)}\.[^.]+\.tmp")
    for entry in path.parent.iterdir():
        if leftover.fullmatch(entry.name):
            entry.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make a folder and its parents with mode 0755, whatever the umask is.

    Folders that exist already stay as they are.

    Raises:
        OSError: the folder cannot be made, or something else has its name.
    """
    if folder.is_dir():
        return
    make_folder(folder.parent)
    try:
        folder.mkdir()
    except FileExistsError:
        if folder.is_dir():  # another process has just made it
            return
        raise
    folder.chmod(0o755)


def user_path(env: Mapping[str, str], variable: str, kind: str, name: str) -> Path:
    """Where this user's files of one kind are, unless a setting says otherwise.

    Args:
        env: the environment variables. An empty one counts as not set, as everywhere else.
        variable: the variable that names the path itself, e.g. ``RUNNER_PROOFS``.
        kind: ``cache`` or ``state``, for the folder of ``XDG_CACHE_HOME`` or ``XDG_STATE_HOME``.
        name: the name below that folder.

    Raises:
        RuntimeError: nothing names a folder, and the system knows no home of this user.
    """
    if chosen := env.get(variable):
        return Path(chosen).expanduser()
    base = Path(env.get(f"XDG_{kind.upper()}_HOME") or ".")
    if not base.is_absolute():  # the specification has relative ones ignored
        home = env.get("HOME") or Path.home()  # without HOME, the system's list of users is asked
        base = Path(home, {"cache": ".cache", "state": ".local/state"}[kind])
    return base / "zk-batch-runner" / name
