"""Bytes that are not receipts, and pieces of a receipt in other places."""

from __future__ import annotations

import json
import struct
import subprocess
import sys

import pytest
import runner_risc0 as native
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runner.files import SHIPPED
from tests.native.receipts import (
    AFTER_SEAL,
    BODY,
    GROTH16,
    IMAGE,
    JOURNAL,
    RECEIPT,
    SEAL,
    SEGMENT,
    SUCCINCT,
    blob,
    composite,
    malformed,
    nested,
    receipt,
    rejection,
)


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


@pytest.mark.parametrize("kind", [0, 5, 255])
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
import json, resource, time
import runner_risc0 as native
from tests.native.receipts import *

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
        [sys.executable, "-c", HOSTILE],
        cwd=SHIPPED,
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
