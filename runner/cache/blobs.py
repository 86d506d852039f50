"""The files of the proof cache: blobs, half-written blobs, and blobs that were taken out of use."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import logging
import re
import time
from typing import TYPE_CHECKING

from runner.files import atomic_write, fsync_folder, write_temp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Blobs"]

_log = logging.getLogger(__name__)
_KEY = re.compile(r"[0-9a-f]{64}")
_STALE_TEMP_S = 3600.0

_KEEP_QUARANTINED = 100
"""The number of blobs that stay in quarantine. It is bounded because a prover whose every proof is
refused must not fill the disk."""


class Blobs:
    """The files of one cache folder. Any method may raise ``OSError``.

    A method that changes a blob must be called inside a write transaction of the index.

    Args:
        folder: The cache folder.
    """

    def __init__(self, folder: Path) -> None:
        self._objects = folder / "objects"
        self._temp = folder / "tmp"
        self._quarantine = folder / "quarantine"

    def make_folders(self) -> None:
        """Make the folders that are missing, including the cache folder and its parents."""
        for folder in (self._objects, self._temp, self._quarantine):
            folder.mkdir(parents=True, exist_ok=True)

    def path(self, key: str) -> Path:
        """The path of the blob of ``key``.

        Raises:
            ValueError: ``key`` is not 64 lower-case hexadecimal characters.
        """
        # A key of any other form could be a path that leads out of the folder.
        if not _KEY.fullmatch(key):
            raise ValueError(f"not a cache key: {key!r}")
        return self._objects / key[:2] / key

    def read(self, key: str, sha256: str | None) -> tuple[bytes, str, str]:
        """Read a blob and compare it with its recorded digest.

        Args:
            key: The key of the blob.
            sha256: The recorded digest in hex, or None if none is recorded.

        Returns:
            The content, its SHA-256 in hex, and what is wrong with it. The last is empty if nothing
            is wrong.
        """
        try:
            data = self.path(key).read_bytes()
        except OSError as error:
            return b"", "", str(error)
        digest = hashlib.sha256(data).hexdigest()
        if sha256 in {None, digest}:
            return data, digest, ""
        return data, digest, f"SHA-256 is {digest}, recorded was {sha256}"

    def prepare(self, data: bytes) -> Path:
        """Write the content of a future blob to a temporary file, and wait until it is on disk."""
        return write_temp(self._temp, data)

    def place(self, temp: Path, key: str) -> None:
        """Make a prepared file the blob of ``key``, in place of an earlier one."""
        blob = self.path(key)
        if not blob.parent.is_dir():
            blob.parent.mkdir(exist_ok=True)
            fsync_folder(self._objects)
        temp.replace(blob)
        fsync_folder(blob.parent)

    def remove(self, key: str) -> None:
        """Remove a blob, if it is there. A reader that has it open can still read it."""
        blob = self.path(key)
        with contextlib.suppress(FileNotFoundError):
            blob.unlink()
            # Without this, the blob could be back after a power cut and have no row in the index.
            fsync_folder(blob.parent)

    def set_aside(self, key: str, reason: str) -> None:
        """Move a blob to ``quarantine/<key>-<n>``, with the reason in a ``.reason`` file beside it.

        Only the newest blobs in quarantine are kept. If there is no blob with this key, the only
        effect is a warning.
        """
        blob = self.path(key)
        if not blob.exists():
            _log.warning("cache entry %s dropped: its file is gone", key)
            return
        target, note = next(
            (target, note)
            for n in itertools.count(1)
            for target in [self._quarantine / f"{key}-{n}"]
            for note in [target.with_name(f"{target.name}.reason")]
            if not (target.exists() or note.exists())
        )
        # The note is written first, because a blob without a note would never be removed.
        atomic_write(note, f"{reason}\n".encode())
        blob.replace(target)
        _log.warning("cache entry %s moved to %s: %s", key, target, reason)
        notes = sorted(self._quarantine.glob("*.reason"), key=lambda path: path.stat().st_mtime_ns)
        for old in notes[:-_KEEP_QUARANTINED]:
            old.with_suffix("").unlink(missing_ok=True)
            old.unlink()

    def is_being_written(self, temp: str) -> bool:
        """Whether the prepared file of this name still waits to be placed."""
        return (self._temp / temp).exists()

    def remove_stale_temps(self) -> None:
        """Remove prepared files that are older than an hour, whose writers must have died."""
        for temp in self._temp.iterdir():
            with contextlib.suppress(FileNotFoundError):  # the writer may have placed it meanwhile
                if time.time() - temp.stat().st_mtime > _STALE_TEMP_S:
                    temp.unlink()

    def all(self) -> Iterator[tuple[str, int]]:
        """The key and the size of every blob. The oldest file comes first."""
        found = []
        for path in self._objects.glob("??/*"):
            if _KEY.fullmatch(path.name) and path == self.path(path.name):
                stat = path.stat()
                found.append((stat.st_mtime_ns, path.name, stat.st_size))
        return ((key, size) for _, key, size in sorted(found))
