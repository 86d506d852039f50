"""A stored receipt of the RISC Zero extension, and builders of bytes that look like one.

``data/fibonacci-10.receipt`` is a composite receipt of fib(10) in version 1 of the encoding. An
earlier build of the guest made it, whose image id stands beside it: old receipts stay readable.
"""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
import runner_risc0 as native

DATA = Path(__file__).parent / "data"
RECEIPT = (DATA / "fibonacci-10.receipt").read_bytes()
IMAGE = bytes.fromhex((DATA / "fibonacci-10.image_id").read_text())
JOURNAL = (55).to_bytes(8, "little")

COMPOSITE, SUCCINCT, GROTH16 = 1, 2, 3
P = 15 * 2**27 + 1
"""The order of the field whose elements are the words of the seal."""

# The places of the parts of the stored receipt. ``test_the_stored_receipt`` checks them.
BODY = 16 + len(JOURNAL) + 8
PARAMETERS = BODY
SEGMENT = BODY + 32 + 4 + 8
SEAL = SEGMENT + 4
SEAL_WORDS = struct.unpack_from("<I", RECEIPT, SEGMENT)[0]
AFTER_SEAL = SEAL + 4 * SEAL_WORDS
"""The place of the segment's number, hash function, verifier parameters and claim, and of the
number of assumptions."""
ONE_SEGMENT = RECEIPT[SEGMENT:-4]
"""The receipt of its segment alone."""


def blob(data: bytes) -> bytes:
    return struct.pack("<Q", len(data)) + data


def receipt(body: bytes, kind: int = COMPOSITE, journal: bytes = b"") -> bytes:
    return b"ZKRC\x01\x00\x01" + bytes([kind]) + blob(journal) + blob(body)


def composite(segments: tuple[bytes, ...] = (), assumptions: tuple[bytes, ...] = ()) -> bytes:
    """The body of a composite receipt. Each assumption comes with its kind."""
    parts = [bytes(32), struct.pack("<I", len(segments)), *map(blob, segments)]
    return b"".join([*parts, struct.pack("<I", len(assumptions)), *assumptions])


def nested(levels: int) -> bytes:
    """Composite receipts in composite receipts, built from the outside to take linear time."""
    sizes = [40 + 9 * (levels - level) + 40 * (levels - level) for level in range(1, levels + 1)]
    parts = [bytes(32) + struct.pack("<II", 0, 1) + b"\x01" + struct.pack("<Q", n) for n in sizes]
    return b"".join([*parts, composite()])


def with_seal(words: list[int]) -> bytes:
    """The stored receipt with other words in its seal."""
    seal = struct.pack(f"<{len(words) + 1}I", len(words), *words)
    segment = seal + RECEIPT[AFTER_SEAL:-4]
    body = RECEIPT[PARAMETERS : PARAMETERS + 32] + struct.pack("<I", 1) + blob(segment) + bytes(4)
    return receipt(body, journal=JOURNAL)


def seal_words() -> list[int]:
    return list(struct.unpack_from(f"<{SEAL_WORDS}I", RECEIPT, SEAL))


def rejection(data: bytes) -> tuple[str, str]:
    """The error of ``verify`` for bytes that must not verify."""
    with pytest.raises(native.NativeError) as caught:
        native.verify(data, IMAGE)
    code, message = caught.value.args
    assert code in {"malformed_receipt", "verification_failed"}
    assert isinstance(message, str)
    return code, message


def malformed(data: bytes) -> str:
    """The error for bytes that are not a receipt. All calls that take receipts must agree on it."""
    messages = set()
    for call in (native.describe, lambda data: native.verify(data, IMAGE)):
        with pytest.raises(native.NativeError) as caught:
            call(data)
        code, message = caught.value.args
        assert code == "malformed_receipt"
        messages.add(message)
    assert len(messages) == 1
    return str(messages.pop())
