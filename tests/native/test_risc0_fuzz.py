"""Bytes that are not receipts, and one stored receipt with every kind of damage.

``data/fibonacci-10.receipt`` is a composite receipt of fib(10) in version 1 of the encoding. An
earlier build of the guest made it, whose image id stands beside it: old receipts stay readable.
"""

from __future__ import annotations

import json
import random
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import runner_risc0 as native
from hypothesis import example, given, settings
from hypothesis import strategies as st

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
    unnoticed = []
    for place in places:
        damaged = bytearray(RECEIPT)
        damaged[place] ^= 1 << chance.randrange(8)
        try:
            native.verify(bytes(damaged), IMAGE)
        except native.NativeError as error:
            if error.args[0] in {"malformed_receipt", "verification_failed"}:
                continue
        unnoticed.append(place)
    assert unnoticed == []


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


# Bytes that are not receipts.


@pytest.mark.parametrize(
    ("place", "value", "what"),
    [
        (0, b"ZKRD", "magic"),
        (0, b"zkrc", "magic"),
        (4, b"\x00\x00", "version 0"),
        (4, b"\x02\x00", "version 2"),
        (4, b"\x01\x01", "version 257"),
        (6, b"\x00", "zkVM number 0"),
        (6, b"\x02", "zkVM number 2"),
        (7, b"\x00", "receipt kind 0"),
        (7, b"\x04", "receipt kind 4"),
        (7, b"\xff", "receipt kind 255"),
    ],
)
def test_the_head_says_what_is_wrong_with_it(place: int, value: bytes, what: str) -> None:
    damaged = bytearray(RECEIPT)
    damaged[place : place + len(value)] = value
    assert what in malformed(bytes(damaged))


@pytest.mark.parametrize("kind", [SUCCINCT, GROTH16])
def test_another_kind_of_receipt_does_not_fit(kind: int) -> None:
    damaged = bytearray(RECEIPT)
    damaged[7] = kind
    malformed(bytes(damaged))


def test_a_composite_without_segments_decodes_and_proves_nothing() -> None:
    data = receipt(composite())
    assert native.describe(data).seal_bytes == 0
    assert rejection(data)[0] == "verification_failed"


@pytest.mark.parametrize("kind", [0, 4, 255])
def test_assumptions_of_an_unknown_kind(kind: int) -> None:
    body = composite(assumptions=(bytes([kind]) + blob(composite()),))
    assert f"unknown assumption kind {kind}" in malformed(receipt(body))


def test_nesting_has_a_limit() -> None:
    assert nested(0) == composite()
    assert nested(2) == composite(
        assumptions=(b"\x01" + blob(composite(assumptions=(b"\x01" + blob(composite()),))),)
    )
    assert native.describe(receipt(nested(15))).assumptions == 1
    assert rejection(receipt(nested(15)))[0] == "verification_failed"
    for levels in (16, 17, 1000, 100_000):
        assert "deeper than 16" in malformed(receipt(nested(levels)))


HOSTILE = """
import json, resource, sys, time
sys.path.insert(0, sys.argv[1])
import runner_risc0 as native
from test_risc0_fuzz import *

cases = {
    "nested": receipt(nested(100_000)),
    "nested, cut": receipt(nested(100_000)[:-50]),
    "wide": receipt(composite(assumptions=(b"\\x01" + blob(composite()),) * 100_000)),
    "empty segments": receipt(composite(segments=(b"",) * 100_000)),
    "zeros": bytes(20_000_000),
    "all ones": b"\\xff" * 20_000_000,
    "one seal": receipt(composite(segments=(b"\\xff" * 20_000_000,))),
    "long seal": with_seal([2] + [0] * 3_000_000),
}
for count in (2**31, 2**32 - 1):
    many = struct.pack("<I", count)
    cases[f"{count} segments"] = receipt(bytes(32) + many + blob(b"") * 1000)
    some = (b"\\x01" + blob(composite())) * 1000
    cases[f"{count} assumptions"] = receipt(bytes(36) + many + some)
    cases[f"seal of {count}"] = receipt(composite(segments=(many + bytes(1000),)))
    for kind in (SUCCINCT, GROTH16):
        cases[f"kind {kind}, {count}"] = receipt(many * 100, kind)
        inside = bytes([kind]) + blob(many * 100)
        cases[f"kind {kind} inside, {count}"] = receipt(composite(assumptions=(inside,)))
for length in (2**31, 2**32, 2**62, 2**63, 2**64 - 1, 2**64 - 24):
    huge = struct.pack("<Q", length)
    cases[f"journal of {length}"] = RECEIPT[:8] + huge + RECEIPT[16:]
    cases[f"body of {length}"] = RECEIPT[:BODY - 8] + huge + RECEIPT[BODY:]
    cases[f"segment of {length}"] = RECEIPT[:SEGMENT - 8] + huge + RECEIPT[SEGMENT:]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = {}
for name, data in cases.items():
    for call in (native.describe, lambda data: native.verify(data, IMAGE)):
        start = time.process_time()
        try:
            call(data)
            code = "ok"
        except native.NativeError as error:
            code = error.args[0]
        found.setdefault(name, []).append([code, time.process_time() - start])
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"found": found, "grown_mb": (after - before) / 1024}))
"""


def test_hostile_bytes_cost_neither_memory_nor_time_nor_the_process() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HOSTILE, str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"exit {done.returncode}: {done.stderr[-2000:]}"
    seen = json.loads(done.stdout)
    assert seen["grown_mb"] < 200
    # These are well-formed and meaningless, so they can be described.
    decodable = {"wide", "long seal"}
    for name, ((described, _), (verified, seconds)) in seen["found"].items():
        assert described == ("ok" if name in decodable else "malformed_receipt"), name
        expected = "verification_failed" if name in decodable else "malformed_receipt"
        assert verified == expected, name
        assert seconds < 10, name


@settings(deadline=None)
@given(st.binary(max_size=300))
@example(b"")
@example(b"ZKRC")
def test_random_bytes(data: bytes) -> None:
    malformed(data)


@settings(deadline=None)
@given(
    kind=st.integers(0, 255),
    journal=st.binary(max_size=20),
    body=st.binary(max_size=300),
)
def test_random_bodies(kind: int, journal: bytes, body: bytes) -> None:
    data = receipt(body, kind, journal)
    assert rejection(data)[0] in {"malformed_receipt", "verification_failed"}


@settings(deadline=None)
@given(data=st.data())
def test_mutated_receipts(data: st.DataObject) -> None:
    """Pieces of the receipt are taken out, put in, doubled or replaced."""
    size = len(RECEIPT)
    edges = [0, 4, 8, 16, BODY - 8, BODY, SEGMENT - 8, SEGMENT, SEAL, AFTER_SEAL, size - 4, size]
    place = st.sampled_from(edges) | st.integers(0, size)
    start, end = sorted((data.draw(place), data.draw(place)))
    middle = data.draw(
        st.sampled_from([b"", b"\0", bytes(4), b"\xff" * 8, RECEIPT[start:end] * 2])
        | st.binary(max_size=40)
    )
    changed = RECEIPT[:start] + middle + RECEIPT[end:]
    if changed == RECEIPT:
        assert native.verify(changed, IMAGE) == JOURNAL
    else:
        rejection(changed)


@settings(deadline=None)
@given(
    segments=st.lists(
        st.binary(max_size=60)
        | st.builds(
            lambda seal, index, name, tail: (
                struct.pack(f"<{len(seal) + 1}I", len(seal), *seal)
                + struct.pack("<II", index, len(name))
                + name
                + tail
            ),
            st.lists(st.integers(0, 2**32 - 1), max_size=5),
            st.integers(0, 3),
            st.sampled_from([b"poseidon2", b"sha-256", b""]),
            st.just(RECEIPT[AFTER_SEAL + 17 : -4]) | st.binary(max_size=200),
        ),
        max_size=3,
    ),
    assumptions=st.lists(
        st.builds(lambda kind, body: bytes([kind]) + blob(body), st.integers(0, 4), st.binary()),
        max_size=3,
    ),
)
def test_composites_of_anything(segments: list[bytes], assumptions: list[bytes]) -> None:
    rejection(receipt(composite(tuple(segments), tuple(assumptions))))


@settings(deadline=None)
@given(st.binary(max_size=200), st.binary(max_size=50))
def test_random_binaries(head: bytes, stdin: bytes) -> None:
    for binary in (head, b"R0BF\x01\x00\x00\x00" + head):
        with pytest.raises(native.NativeError) as caught:
            native.image_id(binary)
        assert caught.value.args[0] == "bad_elf"
        with pytest.raises(native.NativeError) as caught:
            native.execute(binary, stdin)
        assert caught.value.args[0] == "bad_elf"
