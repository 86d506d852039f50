"""The proofs that machines share, in a store of artifacts.

A proof is a blob under its digest. Beside it, under the proof's key, stands a label of the form
that blobs of the cache on disk begin with (``labels.py``), with the blob's digest and size in place
of the proof. The blob is written first. So any number of machines may write, and whoever finds a
label finds a whole proof or none.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from runner.cache.cache import Entry
from runner.cache.labels import MOST_BYTES, Label, split
from runner.cache.origins import MadeFrom
from runner.errors import StoreError

if TYPE_CHECKING:
    from runner.cache.origins import Origin
    from runner.model import Cycles, ReceiptKind
    from runner.store.artifacts import Artifacts

__all__ = ["SharedProofs"]

_KEY = re.compile(r"[0-9a-f]{64}")
_POINTER = re.compile(rb"([0-9a-f]{64}) ([0-9]{1,10})\n")


class SharedProofs:
    """Proofs by their keys in a store. Any thread may call it.

    Args:
        artifacts: The store.
    """

    def __init__(self, artifacts: Artifacts) -> None:
        self._artifacts = artifacts

    @property
    def place(self) -> str:
        """The place of the proofs as people are told it."""
        return self._artifacts.place.url

    def get(self, key: str) -> Entry | None:
        """Look up a proof. The caller verifies it every time.

        Returns:
            The proof that was put under this key, or None if there is none. A label that was
            edited or is another key's is none, and so is one whose blob is gone.

        Raises:
            StoreError: The store cannot be read, or the blob is another one than the label says.
        """
        found = self._label(key)
        if found is None:
            return None
        label, digest, size = found
        try:
            data = self._artifacts.get(digest, size)
        except StoreError as error:
            if error.reason.endswith("is not there"):  # a sweep has removed it
                return None
            raise
        return Entry(data, label.cycles, label.prove_s, label.made_from)

    def put(  # noqa: PLR0913  # one proof and what was measured while it was made
        self,
        key: str,
        data: bytes,
        *,
        image_id: bytes,
        kind: ReceiptKind,
        cycles: Cycles,
        prove_s: float,
        origin: Origin | None = None,
    ) -> str:
        """Keep a proof, in place of one with the same key. See ``ProofCache.put``.

        Returns:
            The SHA-256 of the proof in hex.

        Raises:
            StoreError: The store did not take it.
        """
        name = _name(key)
        digest = self._artifacts.put(data, new=True)
        label = Label(key, MadeFrom(image_id.hex(), kind.value, origin), cycles, prove_s)
        content, _ = label.before(f"{digest} {len(data)}\n".encode())
        self._artifacts.place.write(name, content)
        return digest

    def drop(self, key: str) -> None:
        """Take a proof out of use because it did not verify. Raises StoreError."""
        found = self._label(key)
        self._artifacts.place.remove(_name(key))
        if found is not None:
            self._artifacts.remove(found[1])

    def _label(self, key: str) -> tuple[Label, str, int] | None:
        """The label of a proof, and the digest and size of its blob, or None if it is unusable."""
        content = self._artifacts.place.read(_name(key), 2 * MOST_BYTES)
        if content is None:
            return None
        try:
            labelled = split(content)
        except ValueError:
            return None
        if labelled is None or labelled.label.key != key:
            return None
        pointer = _POINTER.fullmatch(content[labelled.start :])
        digest = hashlib.sha256(content[labelled.first_line :]).hexdigest()
        if pointer is None or digest != labelled.sha256:
            return None
        return labelled.label, pointer[1].decode(), int(pointer[2])


def _name(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise ValueError(f"not a cache key: {key!r}")
    return f"proofs/{key[:2]}/{key}"
