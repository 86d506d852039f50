"""The wire formats of the aggregator guest.

Everything on a guest's stdin is a sequence of little-endian u32 words, the unit in which the zkVM
reads. Byte strings are zero-padded to a multiple of four bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "MAX_CHILDREN",
    "AggregationResult",
    "aggregator_stdin",
    "padded",
]

_RESULT = struct.Struct("<32sI32s")
_WORD = struct.Struct("<I")

MAX_CHILDREN = 4095
"""The largest number of children that the aggregator guest takes (``guests/core``)."""


@dataclass(frozen=True, slots=True)
class AggregationResult:
    """The aggregator's journal: 68 bytes, ``32 || u32 little-endian || 32``.

    Attributes:
        self_image_id: the 32-byte image id that the aggregator was told is its own. A verifier
            must compare it with the image id that the receipt was verified against.
        verified_count: the number of leaves below the aggregation, which is not the number of its
            children.
        combined_hash: the 32-byte tree hash over the children, see :mod:`runner.plan.merkle`.
    """

    self_image_id: bytes
    verified_count: int
    combined_hash: bytes

    def encode(self) -> bytes:
        """Return the journal's 68 bytes.

        Raises:
            ValueError: a field has the wrong size.
        """
        _check_id(self.self_image_id, "self image id")
        _check_id(self.combined_hash, "combined hash")
        _check_word(self.verified_count, "verified count")
        return _RESULT.pack(self.self_image_id, self.verified_count, self.combined_hash)

    @classmethod
    def decode(cls, journal: bytes) -> AggregationResult:
        """Read a journal.

        Raises:
            ValueError: the journal does not have exactly 68 bytes.
        """
        if len(journal) != _RESULT.size:
            raise ValueError(f"an aggregation journal has 68 bytes, not {len(journal)}")
        return cls(*_RESULT.unpack(journal))


def aggregator_stdin(self_image_id: bytes, children: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Encode the aggregator's input.

    The input begins with the aggregator's image id in eight words (the 32 bytes as they are) and
    the number of children in one word. For each child there follow its image id in eight words,
    the length of its journal in bytes in one word, and the journal, padded to whole words.

    Args:
        self_image_id: the aggregator's own image id, 32 bytes.
        children: the (image id, journal) of each child in order. A child that stands several times
            in the aggregation is given as many times.

    Raises:
        ValueError: an image id does not have 32 bytes, or there are no children or more than
            :data:`MAX_CHILDREN`.
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
    """Encode a byte string: its length in one word, then the bytes, zero-padded to whole words."""
    return _word(len(data), "byte length") + data + bytes(-len(data) % 4)


def _word(value: int, what: str) -> bytes:
    _check_word(value, what)
    return _WORD.pack(value)


def _check_word(value: int, what: str) -> None:
    if not 0 <= value < 2**32:
        raise ValueError(f"{what} {value} does not fit in 32 bits")


def _check_id(value: bytes, what: str) -> None:
    if len(value) != 32:
        raise ValueError(f"{what} has {len(value)} bytes, not 32")
