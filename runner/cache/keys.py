"""The content address of a proof: what the cache calls it."""

from __future__ import annotations

import hashlib

from runner.model import ReceiptKind

__all__ = ["proof_key"]

_DOMAIN = b"zk-batch-runner/proof-key"
_SCHEMA = b"1"  # raise it when the encoding below or the meaning of a field changes


def proof_key(
    *, zkvm: str, zkvm_version: str, kind: ReceiptKind, image_id: bytes, stdin: bytes
) -> str:
    """Name a proof by everything that decides whether another receipt can stand for it.

    SHA-256 over the fields in a fixed order, each preceded by its length as 8 bytes, big-endian:
    bytes that move from one field to the next change the encoding.

    Args:
        zkvm: e.g. ``risc0``.
        zkvm_version: of the prover library.
        kind: of the receipt.
        image_id: 32 bytes.
        stdin: the guest's input.

    Returns:
        64 lower-case hexadecimal characters.

    Raises:
        ValueError: ``kind`` is ``EXECUTE`` (a run without a receipt is never cached) or
            ``image_id`` is not 32 bytes.
    """
    if kind is ReceiptKind.EXECUTE:
        raise ValueError("execute leaves no receipt, so there is nothing to cache")
    if len(image_id) != 32:
        raise ValueError(f"an image id is 32 bytes, not {len(image_id)}")
    digest = hashlib.sha256()
    fields = (_DOMAIN, _SCHEMA, zkvm.encode(), zkvm_version.encode(), kind.encode(), image_id)
    for part in (*fields, stdin):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()
