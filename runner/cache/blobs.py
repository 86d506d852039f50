"""The files of the proof cache: blobs, half-written blobs, and blobs that were taken out of use."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import logging
import os
import re
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.cache.labels import MOST_BYTES, split
from runner.files import atomic_write, fsync_folder, write_temp
from runner.text import visible
from runner.untrusted import open_regular, read_regular

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runner.cache.index import Row
    from runner.cache.labels import Label, Labelled

__all__ = ["Blob", "Blobs"]

_log = logging.getLogger(__name__)
_KEY = re.compile(r"[0-9a-f]{64}")
_STALE_TEMP_S = 3600.0
_MOST_PROOF_BYTES = 1 << 30
_MOST_REASON_BYTES = 1 << 16
_UNBOUND = "nothing says what it was made from"

_KEEP_QUARANTINED = 100
"""The number of blobs that stay in quarantine. It is bounded because a prover whose every proof is
refused must not fill the disk."""


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob as it was read.

    Attributes:
        data: The proof.
        sha256: The SHA-256 that the index has for the blob, in hex: that of all that follows the
            first line, or of a bare proof.
        label: What the blob says about its proof, or None if it is a bare proof.
        fault: What is wrong with the blob. It is empty if nothing is wrong, and only then the rest
            may be used.
    """

    data: bytes = b""
    sha256: str = ""
    label: Label | None = None
    fault: str = ""


class Blobs:
    """The files of one cache folder. Any method may raise ``OSError``.

    No link inside the folder is followed, because the folder may be anybody's. A method that
    changes a blob must be called inside a write transaction of the index.

    Args:
        folder: The cache folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._objects = folder / "objects"
        self._temp = folder / "tmp"
        self._quarantine = folder / "quarantine"

    def make_folders(self) -> None:
        """Make the folders that are missing, including the cache folder and its parents."""
        for folder in (self._objects, self._temp, self._quarantine):
            folder.mkdir(parents=True, exist_ok=True)
            if folder.is_symlink():
                raise NotADirectoryError(errno.ENOTDIR, "a symbolic link", str(folder))

    def path(self, key: str) -> Path:
        """The path of the blob of ``key``.

        Raises:
            ValueError: ``key`` is not 64 lower-case hexadecimal characters.
        """
        # A key of any other form could be a path that leads out of the folder.
        if not _KEY.fullmatch(key):
            raise ValueError(f"not a cache key: {key!r}")
        return self._objects / key[:2] / key

    def read(self, key: str, row: Row | None) -> Blob:
        """Read a blob, and compare it with what it says itself and with its row in the index.

        Args:
            key: The key of the blob.
            row: The row of the blob, or None if the index has none.
        """
        most = _MOST_PROOF_BYTES if row is None else min(row.size, _MOST_PROOF_BYTES)
        try:
            content = read_regular(self._inside(key), most + MOST_BYTES, inside=self._folder)
            labelled = split(content)
        except (OSError, ValueError) as error:
            return Blob(fault=str(error))
        covered = content if labelled is None else memoryview(content)[labelled.first_line :]
        digest = hashlib.sha256(covered).hexdigest()
        recorded = {labelled.sha256} if labelled else set()
        recorded |= {row.sha256} if row is not None and row.sha256 is not None else set()
        fault = "".join(
            f"SHA-256 is {digest}, recorded was {other}" for other in recorded if other != digest
        )
        if labelled is None:
            # A version that left bare proofs, and lost its index, took in every blob that it found.
            # It then knew no image id, so a row without one ties nothing to the key.
            if not fault and (row is None or row.sha256 is None or row.image_id is None):
                fault = _UNBOUND
            return Blob(content, digest, None, fault)
        fault = fault or _misplaced(labelled, key)
        return Blob(content[labelled.start :], digest, labelled.label, fault)

    def labelled(self, key: str) -> tuple[Labelled | None, int, str]:
        """Read only the label of a blob, which is quick and compares no digest.

        Returns:
            The label or None, the size of the proof after it, and what is wrong with the blob,
            which is empty if nothing is wrong.
        """
        try:
            with open_regular(self._inside(key), inside=self._folder) as file:
                size = os.fstat(file.fileno()).st_size
                found = split(file.read(MOST_BYTES))
        except (OSError, ValueError) as error:
            return None, 0, str(error)
        if found is None:
            return None, size, _UNBOUND
        return found, size - found.start, _misplaced(found, key)

    def _inside(self, key: str) -> Path:
        return self.path(key).relative_to(self._folder)

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
        if not os.path.lexists(blob) or blob.parent.is_symlink():
            _log.warning("cache entry %s dropped: its file is gone", key)
            return
        target, note = next(
            (target, note)
            for n in itertools.count(1)
            for target in [self._quarantine / f"{key}-{n}"]
            for note in [target.with_name(f"{target.name}.reason")]
            if not (os.path.lexists(target) or os.path.lexists(note))
        )
        # The note is written first, because a blob without a note would never be removed.
        atomic_write(note, f"{visible(reason)}\n".encode())
        blob.replace(target)
        _log.warning("cache entry %s moved to %s: %s", key, target, reason)
        for old in self._notes()[:-_KEEP_QUARANTINED]:
            aside = old.with_suffix("")
            if aside.is_dir() and not aside.is_symlink():
                shutil.rmtree(aside)  # a folder had the name of a blob
            else:
                aside.unlink(missing_ok=True)
            old.unlink()

    def reasons(self) -> dict[str, str]:
        """Why blobs were last taken out of use, by key."""
        found = {}
        for note in self._notes():
            with contextlib.suppress(OSError):
                name = note.relative_to(self._folder)
                text = read_regular(name, _MOST_REASON_BYTES, inside=self._folder)
                found[note.name.partition("-")[0]] = text.decode("utf-8", "replace").strip()
        return found

    def _notes(self) -> list[Path]:
        """The notes in quarantine. The oldest comes first."""
        notes = self._quarantine.glob("*.reason")
        return sorted(notes, key=lambda path: path.lstat().st_mtime_ns)

    def is_being_written(self, temp: str) -> bool:
        """Whether the prepared file of this name still waits to be placed."""
        return (self._temp / temp).exists()

    def remove_stale_temps(self) -> None:
        """Remove prepared files that are older than an hour, whose writers must have died."""
        for temp in self._temp.iterdir():
            with contextlib.suppress(FileNotFoundError):  # the writer may have placed it meanwhile
                if time.time() - temp.stat().st_mtime > _STALE_TEMP_S:
                    temp.unlink()

    def all(self) -> Iterator[str]:
        """The key of every blob, and of whatever else has the name of one. The oldest is first."""
        found = []
        for path in self._objects.glob("??/*"):
            named = _KEY.fullmatch(path.name) and path == self.path(path.name)
            if named and not path.parent.is_symlink():
                found.append((path.lstat().st_mtime_ns, path.name))
        return (key for _, key in sorted(found))


def _misplaced(found: Labelled, key: str) -> str:
    own = found.label.key
    return "" if own == key else f"it is the proof with the key {own}"
