"""The metrics file that node_exporter's textfile collector reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.files import atomic_write, make_folder

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["write_textfile"]


def write_textfile(path: Path, data: bytes) -> None:
    """Replace the metrics file as a whole, readable by another user (mode 0644).

    Missing parent folders are made with mode 0755: node_exporter runs as another user, and under
    the umask 077 of a cron job it could reach neither a folder nor a file left to the default.

    Args:
        path: e.g. ``/var/lib/node_exporter/zk_batch.prom``.
        data: text format 0.0.4, ends in a newline.

    Raises:
        OSError: it could not be written; the earlier file is untouched.
        ValueError: ``data`` has no final newline, for which node_exporter drops the whole file.
    """
    if not data.endswith(b"\n"):
        raise ValueError("a metrics file must end in a newline")
    make_folder(path.parent)
    atomic_write(path, data, mode=0o644)
