"""One stored receipt with every kind of damage."""

from __future__ import annotations

import random

import pytest
import runner_risc0 as native

from tests.native.flips import unnoticed_flips
from tests.native.receipts import (
    AFTER_SEAL,
    IMAGE,
    JOURNAL,
    PARAMETERS,
    RECEIPT,
    SEAL,
    SEAL_WORDS,
    P,
    malformed,
    rejection,
    seal_words,
    with_seal,
)

# The stored receipt.


def test_the_stored_receipt() -> None:
    assert native.verify(RECEIPT, IMAGE) == JOURNAL
    info = native.describe(RECEIPT)
    assert (info.kind, info.segments, info.assumptions) == ("composite", 1, 0)
    assert info.journal == JOURNAL
    assert info.seal_bytes == 4 * SEAL_WORDS
    assert with_seal(seal_words()) == RECEIPT
    assert RECEIPT[AFTER_SEAL + 4 : AFTER_SEAL + 17] == b"\x09\x00\x00\x00poseidon2"


def test_only_its_own_program_verifies() -> None:
    for wrong in (bytes(32), IMAGE[::-1], IMAGE[:31] + bytes([IMAGE[31] ^ 1])):
        with pytest.raises(native.NativeError) as caught:
            native.verify(RECEIPT, wrong)
        assert caught.value.args[0] == "verification_failed"


def test_every_flipped_byte_is_noticed() -> None:
    chance = random.Random(1)
    places = [*range(SEAL + 8), *range(AFTER_SEAL, len(RECEIPT), 2)]
    places += chance.sample(range(SEAL, AFTER_SEAL), 150)
    assert unnoticed_flips(native, RECEIPT, places, IMAGE, chance) == []


@pytest.mark.parametrize(
    ("place", "what"),
    [
        (PARAMETERS, "composite parameters differ"),
        (PARAMETERS + 31, "composite parameters differ"),
        (AFTER_SEAL, "number is not its position"),
        (AFTER_SEAL + 3, "number is not its position"),
        (AFTER_SEAL + 17, "segment parameters differ"),
        (AFTER_SEAL + 17 + 31, "segment parameters differ"),
        (16, "claim digest"),
    ],
)
def test_labels_that_the_proof_does_not_cover_are_compared(place: int, what: str) -> None:
    damaged = bytearray(RECEIPT)
    damaged[place] ^= 1
    code, message = rejection(bytes(damaged))
    assert code == "verification_failed"
    assert what in message


def test_every_cut_is_noticed() -> None:
    chance = random.Random(2)
    lengths = [*range(SEAL + 40), *range(AFTER_SEAL - 8, len(RECEIPT))]
    for length in lengths + [chance.randrange(len(RECEIPT)) for _ in range(200)]:
        malformed(RECEIPT[:length])


@pytest.mark.parametrize("tail", [b"\0", b"ZKRC", bytes(1000), RECEIPT])
def test_appended_bytes_are_noticed(tail: bytes) -> None:
    assert f"{len(tail)} bytes after its end" in malformed(RECEIPT + tail)


def test_seals_of_every_length() -> None:
    words = seal_words()
    for count in [0, 1, 2, 89, 90, 91, 92, 93, 94, 1000, 20_000, SEAL_WORDS - 1]:
        assert rejection(with_seal(words[:count]))[0] == "verification_failed"
    assert rejection(with_seal([*words, 0]))[0] == "verification_failed"
    assert rejection(with_seal(words * 2))[0] == "verification_failed"


def test_every_cycle_count_in_the_seal() -> None:
    # This is word 91, after the version and the 90 public words.
    words = seal_words()
    assert words[91] == 14
    for po2 in [*range(40), 2**31, 2**32 - 1]:
        if po2 != 14:
            words[91] = po2
            assert rejection(with_seal(words))[0] == "verification_failed"


def test_field_elements_have_one_encoding() -> None:
    chance = random.Random(3)
    words = seal_words()
    for place in [*range(100), *(chance.randrange(SEAL_WORDS) for _ in range(60))]:
        if words[place] + P < 2**32:
            changed = words.copy()
            changed[place] += P
            assert rejection(with_seal(changed))[0] == "verification_failed"
