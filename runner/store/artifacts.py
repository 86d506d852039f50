"""Blobs by their digests in a place, compared with the digest whenever they are read."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from runner.errors import ArtifactLostError, StoreError
from runner.untrusted import unhex

if TYPE_CHECKING:
    from runner.store.place import Place

__all__ = ["MOST_BYTES", "Artifacts"]

MOST_BYTES = 1 << 30
"""The largest blob. It is as large as the largest proof that the cache on disk takes."""


class Artifacts:
    """Blobs that are named by their SHA-256. Any thread may call it.

    A blob that is there twice is the same blob, so that any number of machines may put it at once.

    Args:
        place: Where the blobs are.

    Attributes:
        place: Where the blobs are.
    """

    def __init__(self, place: Place) -> None:
        self.place = place

    def put(self, data: bytes, *, new: bool = False) -> str:
        """Keep a blob, and return its SHA-256 in hex.

        Args:
            data: The blob.
            new: Whether the blob cannot be there yet, as a receipt that has just been made. It is
                then written without a look, and otherwise only if it is not there in full.

        Raises:
            StoreError: The place did not take it.
        """
        digest = hashlib.sha256(data).hexdigest()
        if new or not self._is_there(digest, len(data)):
            self.place.write(_name(digest), data)
        return digest

    def get(self, digest: str, most: int = MOST_BYTES) -> bytes:
        """Return the blob with this SHA-256.

        Args:
            digest: The SHA-256 in hex.
            most: The most bytes that the blob may have.

        Raises:
            ArtifactLostError: There is no such blob, or it is another one.
            StoreError: It cannot be read.
            ValueError: ``digest`` is no SHA-256.
        """
        try:
            return self._read(digest, most)
        except StoreError:
            # What came wrong over a network, or not at all, may come right the second time.
            return self._read(digest, most)

    def remove(self, digest: str) -> None:
        """Remove a blob, if it is there. Raises StoreError."""
        self.place.remove(_name(digest))

    def _read(self, digest: str, most: int) -> bytes:
        name = _name(digest)
        data = self.place.read(name, most)
        if data is None:
            raise ArtifactLostError(self.place.url, f"{name} is not there")
        found = hashlib.sha256(data).hexdigest()
        if found != digest:
            raise ArtifactLostError(self.place.url, f"{name} has the SHA-256 {found}")
        return data

    def _is_there(self, digest: str, size: int) -> bool:
        try:
            data = self.place.read(_name(digest), size)
        except StoreError:  # what is there may be larger, or unreadable; it is written anew
            return False
        return data is not None and hashlib.sha256(data).hexdigest() == digest


def _name(digest: str) -> str:
    unhex(digest, 32)
    return f"blobs/{digest[:2]}/{digest}"
