"""Files that are whole or absent, also after a crash or a power cut."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

__all__ = ["atomic_write", "fsync_folder", "write_temp"]


def write_temp(folder: Path, data: bytes, mode: int = 0o644) -> Path:
    """Write ``data`` to a new file in ``folder`` and wait until it is on disk.

    The name starts with a dot and ends in ``.tmp``, so that nothing that looks for finished files
    (node_exporter: ``*.prom``) takes it for one.

    Args:
        folder: existing folder.
        data: the content.
        mode: permission bits, set whatever the umask is.

    Returns:
        The file's path.

    Raises:
        OSError: it could not be written; no file is left behind.
    """
    handle, name = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)


def fsync_folder(folder: Path) -> None:
    """Wait until renames and removals in ``folder`` are on disk.

    Raises:
        OSError: the folder cannot be opened or the disk failed.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network and FUSE file systems cannot sync a folder; the rename itself has been done.
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        os.close(handle)


def atomic_write(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Put ``data`` at ``path``: a reader sees the old content or the new one, never a part.

    Args:
        path: target in an existing folder; replaced when it exists.
        data: the content.
        mode: permission bits, set whatever the umask is.

    Raises:
        OSError: it could not be written; no temporary file is left behind.
    """
    temp = write_temp(path.parent, data, mode)
    try:
        temp.replace(path)
    except BaseException:
        temp.unlink(missing_ok=True)
        raise
    fsync_folder(path.parent)
