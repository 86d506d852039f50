"""Bits of receipts that can be flipped unnoticed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

REJECTED = {"malformed_receipt", "verification_failed"}


def unnoticed_flips(
    native: Any,  # noqa: ANN401  # the extension of either zkVM
    receipt: bytes,
    places: Iterable[int],
    image_id: bytes,
    chance: random.Random,
) -> list[int]:
    """The places in a receipt at which a flipped bit, which ``chance`` picks, goes unnoticed."""
    found = []
    for place in places:
        damaged = bytearray(receipt)
        damaged[place] ^= 1 << chance.randrange(8)
        try:
            native.verify(bytes(damaged), image_id)
        except native.NativeError as error:
            if error.args[0] in REJECTED:
                continue
        found.append(place)
    return found
