"""Wire formats of the aggregator guest, and journals for people to read.

Everything on a guest's stdin is little-endian u32 words, the unit in which the zkVM reads; byte
strings are zero-padded to a multiple of four.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "JOURNAL_TYPES",
    "MAX_CHILDREN",
    "AggregationResult",
    "aggregator_stdin",
    "journal_bytes",
    "padded",
    "show_journal",
]

_RESULT = struct.Struct("<32sI32s")
_WORD = struct.Struct("<I")

MAX_CHILDREN = 4095
"""Most children of one aggregation: what the aggregator guest takes (``guests/core``)."""

_BYTES = {"u64": 8, "u32": 4}
JOURNAL_TYPES = (*_BYTES, "hex")
"""What a guest's config may say about its journal."""


@dataclass(frozen=True, slots=True)
class AggregationResult:
    """The aggregator's journal: 68 bytes, ``32 || u32 little-endian || 32``.

    Attributes:
        self_image_id: the aggregator's own image id, 32 bytes, as it was told; whoever verifies
            must compare it with the id that the receipt verified against.
        verified_count: leaves below it, not children.
        combined_hash: 32 bytes, see :mod:`runner.plan.merkle`.
    """

    self_image_id: bytes
    verified_count: int
    combined_hash: bytes

    def encode(self) -> bytes:
        """The 68 bytes; ValueError where a field has the wrong size."""
        _check_id(self.self_image_id, "self image id")
        _check_id(self.combined_hash, "combined hash")
        _check_word(self.verified_count, "verified count")
        return _RESULT.pack(self.self_image_id, self.verified_count, self.combined_hash)

    @classmethod
    def decode(cls, journal: bytes) -> AggregationResult:
        """Read a journal; ValueError unless it has exactly 68 bytes."""
        if len(journal) != _RESULT.size:
            raise ValueError(f"an aggregation journal has 68 bytes, not {len(journal)}")
        return cls(*_RESULT.unpack(journal))


def aggregator_stdin(self_image_id: bytes, children: Sequence[tuple[bytes, bytes]]) -> bytes:
    """The aggregator's input.

    Eight words self image id (the 32 bytes as they are), one word number of children, then for
    each child eight words image id, one word journal length in bytes, the journal padded.

    Args:
        self_image_id: 32 bytes, the aggregator's own.
        children: (image id, journal) in order; one that stands more than once is given as often.

    Raises:
        ValueError: an id that is not 32 bytes, no children, or more than :data:`MAX_CHILDREN`.
    """
    _check_id(self_image_id, "self image id")
    if not 1 <= len(children) <= MAX_CHILDREN:
        raise ValueError(f"an aggregation takes 1 to {MAX_CHILDREN} children, not {len(children)}")
    parts = [self_image_id, _word(len(children), "number of children")]
    for image_id, journal in children:
        _check_id(image_id, "child image id")
        parts += (image_id, padded(journal))
    return b"".join(parts)


def padded(data: bytes) -> bytes:
    """One word length in bytes, then the bytes, zero-padded to a whole number of words."""
    return _word(len(data), "byte length") + data + bytes(-len(data) % 4)


def show_journal(journal_type: str, journal: bytes) -> str:
    """A leaf's journal for people.

    Args:
        journal_type: one of :data:`JOURNAL_TYPES`; numbers are little-endian.
        journal: bytes. A size that does not fit the type is shown as hex with a note: a proof
            that took minutes is not lost over how its result is displayed.

    Raises:
        ValueError: an unknown type.
    """
    if journal_type not in JOURNAL_TYPES:
        raise ValueError(f"journal type {journal_type!r} is not one of {', '.join(JOURNAL_TYPES)}")
    if journal_type == "hex":
        return journal.hex()
    if len(journal) != _BYTES[journal_type]:
        return f"{journal.hex()} ({len(journal)} bytes, not a {journal_type})"
    return str(int.from_bytes(journal, "little"))


def journal_bytes(journal_type: str) -> int:
    """Bytes of a leaf's journal, for estimates; a digest's 32 where the type does not say."""
    return _BYTES.get(journal_type, 32)


def _word(value: int, what: str) -> bytes:
    _check_word(value, what)
    return _WORD.pack(value)


def _check_word(value: int, what: str) -> None:
    if not 0 <= value < 2**32:
        raise ValueError(f"{what} {value} does not fit in 32 bits")


def _check_id(value: bytes, what: str) -> None:
    if len(value) != 32:
        raise ValueError(f"{what} has {len(value)} bytes, not 32")
