"""Things that are no regular files, made in a test's own folder."""

from __future__ import annotations

import os
import socket
import stat
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

KINDS = ("fifo", "socket", "device", "disk", "folder", "loop")


def make_special(kind: str, path: Path) -> tuple[int, int]:
    """Make it; returns what stays the same as long as nothing has replaced it."""
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(os.path.relpath(path))  # a socket's path must be short
    elif kind in {"device", "disk"}:
        # A null device of the test's own, and a disk that there is not: nothing opens it.
        node, number = {
            "device": (stat.S_IFCHR, os.makedev(1, 3)),
            "disk": (stat.S_IFBLK, os.makedev(7, 4000)),
        }[kind]
        try:
            os.mknod(path, node | 0o666, number)
            if kind == "device":
                path.write_bytes(b"")
        except PermissionError:
            pytest.skip("this user cannot make devices here")
    elif kind == "folder":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path.with_name(f"{path.name}-2"))
        path.with_name(f"{path.name}-2").symlink_to(path)
    return identity(path)


def identity(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_ino, stat.S_IFMT(found.st_mode)
