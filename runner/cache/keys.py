"""The content address of a proof, which is its key in the cache."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from runner.model import ReceiptKind

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["proof_key"]

_DOMAIN = b"zk-batch-runner/proof-key"
_SCHEMA = b"1"  # raise it when the encoding below or the meaning of a field changes


def proof_key(  # noqa: PLR0913  # all that decides which receipt can be used
    *,
    zkvm: str,
    zkvm_version: str,
    kind: ReceiptKind,
    image_id: bytes,
    stdin: bytes,
    claims: Iterable[tuple[bytes, bytes]] = (),
) -> str:
    """Compute the key of a proof from everything that decides which receipt can be used for it.

    The key is a SHA-256 over the fields in a fixed order. Each field is preceded by its length as 8
    big-endian bytes, so that moving bytes from one field to the next changes the key.

    Args:
        zkvm: The name of the zkVM, e.g. ``risc0``.
        zkvm_version: The version of the prover library.
        kind: The kind of receipt.
        image_id: The image id of the guest, 32 bytes.
        stdin: The guest's input.
        claims: The image ids and journals that the guest may take as proved, where the input does
            not say them. Their order and their number mean nothing.

    Returns:
        64 lower-case hexadecimal characters.

    Raises:
        ValueError: ``kind`` is ``EXECUTE``, which leaves no receipt to cache, or ``image_id`` does
            not have 32 bytes.
    """
    if kind is ReceiptKind.EXECUTE:
        raise ValueError("execute leaves no receipt, so there is nothing to cache")
    if len(image_id) != 32:
        raise ValueError(f"an image id is 32 bytes, not {len(image_id)}")
    digest = hashlib.sha256()
    fields = (_DOMAIN, _SCHEMA, zkvm.encode(), zkvm_version.encode(), kind.encode(), image_id)
    assumed = (part for claim in sorted(set(claims)) for part in claim)
    for part in (*fields, stdin, *assumed):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()
