"""Wire formats of the aggregator, byte by byte."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.plan.journal import (
    AggregationResult,
    aggregator_stdin,
    padded,
)

OWN = bytes(range(32))
ids = st.binary(min_size=32, max_size=32)


def test_the_journal_is_68_bytes_in_this_order() -> None:
    result = AggregationResult(OWN, 0x01020304, bytes([0xAA] * 32))
    assert result.encode() == OWN + b"\x04\x03\x02\x01" + bytes([0xAA] * 32)


@given(ids, st.integers(0, 2**32 - 1), ids)
def test_round_trip(own: bytes, count: int, combined: bytes) -> None:
    result = AggregationResult(own, count, combined)
    assert AggregationResult.decode(result.encode()) == result


@pytest.mark.parametrize("size", [0, 67, 69, 136])
def test_other_sizes_are_not_an_aggregation(size: int) -> None:
    with pytest.raises(ValueError, match=f"68 bytes, not {size}"):
        AggregationResult.decode(bytes(size))


@pytest.mark.parametrize(
    "result",
    [
        AggregationResult(OWN[:31], 1, OWN),
        AggregationResult(OWN, 1, OWN + b"x"),
        AggregationResult(OWN, 2**32, OWN),
        AggregationResult(OWN, -1, OWN),
    ],
)
def test_unencodable_results(result: AggregationResult) -> None:
    with pytest.raises(ValueError, match=r"bytes, not|32 bits"):
        result.encode()


def test_aggregator_stdin_byte_by_byte() -> None:
    other = bytes([7] * 32)
    stdin = aggregator_stdin(OWN, [(other, b"12345"), (OWN, b"")])
    assert stdin == (
        OWN + b"\x02\0\0\0" + other + b"\x05\0\0\0" + b"12345\0\0\0" + OWN + b"\0\0\0\0"
    )


def read_back(stdin: bytes) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """Read a journal as the guest does, in whole words."""
    words = list(struct.unpack(f"<{len(stdin) // 4}I", stdin))

    def take(n: int) -> bytes:
        taken = [words.pop(0) for _ in range(n)]
        return struct.pack(f"<{n}I", *taken)

    own, children = take(8), []
    for _ in range(words.pop(0)):
        image_id, length = take(8), words.pop(0)
        children.append((image_id, take(-(-length // 4))[:length]))
    assert not words
    return own, children


@given(ids, st.lists(st.tuples(ids, st.binary(max_size=80)), min_size=1, max_size=6))
def test_the_guest_reads_what_was_written(own: bytes, children: list[tuple[bytes, bytes]]) -> None:
    assert read_back(aggregator_stdin(own, children)) == (own, children)


def test_unusable_children() -> None:
    with pytest.raises(ValueError, match="1 to 4095 children, not 0"):
        aggregator_stdin(OWN, [])
    with pytest.raises(ValueError, match="not 4096"):
        aggregator_stdin(OWN, [(OWN, b"")] * 4_096)
    with pytest.raises(ValueError, match="child image id has 3"):
        aggregator_stdin(OWN, [(b"abc", b"")])
    with pytest.raises(ValueError, match="self image id has 0"):
        aggregator_stdin(b"", [(OWN, b"")])


@pytest.mark.parametrize(("data", "size"), [(b"", 4), (b"a", 8), (b"abcd", 8), (b"abcde", 12)])
def test_padding(data: bytes, size: int) -> None:
    assert len(padded(data)) == size
    assert padded(data)[4 : 4 + len(data)] == data
