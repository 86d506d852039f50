"""A Groth16 receipt as RISC Zero's contracts take it.

A contract wants the *seal*: a selector, which names the verifier's parameters, and the proof's 256
bytes. The receipt has both. Its encoding is that of ``native/shared/src/envelope.rs`` around a
``Groth16Receipt`` in borsh: the proof with its length, the claim, the digest of the parameters.
"""

from __future__ import annotations

import struct

__all__ = ["PROOF_BYTES", "seal_of"]

PROOF_BYTES = 256
"""The size of a Groth16 proof over BN254: two points of the first group, one of the second."""

_HEADER = struct.Struct("<4sHBB")
_KIND = (b"ZKRC", 1, 1, 3)
"""The envelope's magic and version, the number of RISC Zero, and that of its Groth16 receipts."""


def seal_of(receipt: bytes) -> bytes | None:
    """The seal of a verified receipt, or None if it is of another kind than Groth16.

    Args:
        receipt: an encoded receipt that the verifier has accepted, so that it is well-formed.

    Raises:
        ValueError: it is a Groth16 receipt whose parts are not of their sizes.
    """
    if len(receipt) < _HEADER.size or _HEADER.unpack_from(receipt) != _KIND:
        return None
    _, rest = _blob(receipt[_HEADER.size :])
    body, rest = _blob(rest)
    if rest or len(body) < 4 + PROOF_BYTES + 32:
        raise ValueError("a Groth16 receipt is cut short or has bytes after its end")
    (size,) = struct.unpack_from("<I", body)
    if size != PROOF_BYTES:
        raise ValueError(f"a Groth16 proof has {PROOF_BYTES} bytes, not {size}")
    parameters = body[-32:]
    return parameters[:4] + body[4 : 4 + PROOF_BYTES]


def _blob(data: bytes) -> tuple[bytes, bytes]:
    """The bytes at the start of some data that are preceded by their number, and what follows."""
    (size,) = struct.unpack_from("<Q", data)
    if size > len(data) - 8:
        raise ValueError("a Groth16 receipt is cut short")
    return data[8 : 8 + size], data[8 + size :]
