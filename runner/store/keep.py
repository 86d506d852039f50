"""Blobs on this machine's own disk, so that each is fetched once."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from runner.files import atomic_write, make_folder, user_path
from runner.untrusted import read_regular, unhex

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Keep"]

MOST_BYTES = 1 << 30
_KEPT_BYTES = 4 << 30
_SHARE = 16
"""Whenever this part of the bound has been written, what is too much is removed."""


class Keep:
    """Blobs by their SHA-256 in a folder of this user's. Any process may share the folder.

    It is bounded: when it is full, the blobs that were not used for the longest time go.

    Args:
        folder: The folder, or None for that of this user (``RUNNER_ARTIFACTS``).
        most: The size of all blobs together.
    """

    def __init__(self, folder: Path | None = None, most: int = _KEPT_BYTES) -> None:
        found = folder or user_path(os.environ, "RUNNER_ARTIFACTS", "cache", "artifacts")
        self.folder = Path(found)
        self._most = most
        self._since = most  # the bytes since the last look at how full the folder is

    def lacks(self, digests: tuple[str, ...]) -> tuple[str, ...]:
        """Which of these blobs are not here, or are damaged."""
        return tuple(digest for digest in digests if self.get(digest) is None)

    def get(self, digest: str) -> bytes | None:
        """Return a blob, or None if it is not here or is damaged."""
        path = self._path(digest)
        try:
            data = read_regular(path, MOST_BYTES)
        except OSError:
            return None
        if hashlib.sha256(data).hexdigest() != digest:
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return data

    def put(self, data: bytes) -> str:
        """Keep a blob, and return its SHA-256. Raises OSError."""
        digest = hashlib.sha256(data).hexdigest()
        path = self._path(digest)
        make_folder(path.parent)
        atomic_write(path, data)
        self._since += len(data)
        if self._since * _SHARE >= self._most:
            self._since = 0
            self._prune(path)
        return digest

    def fetch(self, digest: str, source: Callable[[str], bytes]) -> bytes:
        """Return a blob, and take it from ``source`` if it is not here.

        A disk that does not take it costs nothing but the next fetch.

        Args:
            digest: The SHA-256 of the blob.
            source: A function that returns the blob with a SHA-256, and has compared it.
        """
        found = self.get(digest)
        if found is None:
            found = source(digest)
            with contextlib.suppress(OSError):
                self.put(found)
        return found

    def folder_of(self, files: Mapping[str, str], source: Callable[[str], bytes]) -> Path:
        """Return a folder with these files.

        Args:
            files: The SHA-256 of each file by its path below the folder, which has no ``..``.
            source: See :meth:`fetch`.

        Raises:
            OSError: The folder cannot be written.
            ValueError: A path leads out of the folder.
        """
        listing = "".join(f"{digest} {name}\n" for name, digest in sorted(files.items()))
        folder = self.folder / "folders" / hashlib.sha256(listing.encode()).hexdigest()
        for name, digest in files.items():
            path = folder / name
            if Path(name).is_absolute() or ".." in Path(name).parts:
                raise ValueError(f"{name!r} leads out of the folder")
            if self._has(path, digest):
                continue
            make_folder(path.parent)
            atomic_write(path, self.fetch(digest, source))
        return folder

    def _has(self, path: Path, digest: str) -> bool:
        try:
            return hashlib.sha256(read_regular(path, MOST_BYTES)).hexdigest() == digest
        except OSError:
            return False

    def _path(self, digest: str) -> Path:
        unhex(digest, 32)
        return self.folder / digest[:2] / digest

    def _prune(self, newest: Path) -> None:
        """Remove what was not used for the longest time, until the rest is small enough."""
        found = []
        for path in self.folder.glob("??/*"):
            with contextlib.suppress(OSError):
                stat = path.lstat()
                found.append((stat.st_mtime, stat.st_size, path))
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total <= self._most:
                break
            if path != newest:
                with contextlib.suppress(OSError):
                    path.unlink()
                total -= size
