"""A few real proofs by the RISC Zero extension, and every way to take their receipts apart."""

from __future__ import annotations

import hashlib
import random
import struct
from typing import NamedTuple

import pytest
import runner_risc0 as native

from runner.plan import merkle
from runner.plan.journal import AggregationResult, aggregator_stdin, padded
from runner.provers.guests import AGGREGATOR
from tests.native.flips import REJECTED, unnoticed_flips
from tests.native.risc0 import (
    RECURSION,
    Proofs,
    elf,
    failure,
    image_id,
    result_over,
    word,
)

COPY = 4
"""The kind of an assumption that is the same as an earlier one."""


class Parts(NamedTuple):
    """A composite receipt taken apart."""

    journal: bytes
    parameters: bytes
    segments: list[bytes]
    assumptions: list[tuple[int, bytes]]

    @classmethod
    def of(cls, receipt: bytes) -> Parts:
        assert receipt[:8] == b"ZKRC\x01\x00\x01\x01"
        journal, at = blob(receipt, 8)
        body, at = blob(receipt, at)
        assert at == len(receipt)
        return cls(journal, *cls._body(body))

    @staticmethod
    def _body(body: bytes) -> tuple[bytes, list[bytes], list[tuple[int, bytes]]]:
        segments, assumptions = [], []
        (count,) = struct.unpack_from("<I", body, 32)
        at = 36
        for _ in range(count):
            segment, at = blob(body, at)
            segments.append(segment)
        (count,) = struct.unpack_from("<I", body, at)
        at += 4
        for _ in range(count):
            # A copy is the number of an earlier assumption, four bytes without a length.
            copy = body[at] == COPY
            inner, end = (body[at + 1 : at + 5], at + 5) if copy else blob(body, at + 1)
            assumptions.append((body[at], inner))
            at = end
        assert at == len(body)
        return body[:32], segments, assumptions

    def body(self) -> bytes:
        parts = [self.parameters, word(len(self.segments))]
        parts += [unblob(segment) for segment in self.segments]
        parts.append(word(len(self.assumptions)))
        parts += [
            bytes([kind]) + (inner if kind == COPY else unblob(inner))
            for kind, inner in self.assumptions
        ]
        return b"".join(parts)

    def receipt(self) -> bytes:
        return b"ZKRC\x01\x00\x01\x01" + unblob(self.journal) + unblob(self.body())


def blob(data: bytes, at: int) -> tuple[bytes, int]:
    (length,) = struct.unpack_from("<Q", data, at)
    end = at + 8 + length
    assert end <= len(data)
    return data[at + 8 : end], end


def unblob(data: bytes) -> bytes:
    return struct.pack("<Q", len(data)) + data


@pytest.mark.real
def test_leaves_verify(proofs: Proofs) -> None:
    assert proofs.children[0][1] == (55).to_bytes(8, "little")
    assert proofs.children[1][1] == hashlib.sha256(b"hello").digest()
    assert proofs.sha256.execution.journal == proofs.children[1][1]
    executed = native.execute(elf("sha256"), padded(b"hello"))
    assert proofs.sha256.execution.user_cycles == executed.user_cycles
    assert proofs.sha256.execution.total_cycles == executed.total_cycles


@pytest.mark.real
def test_a_proof_of_several_segments() -> None:
    message = bytes(range(200))
    proof = native.prove(elf("sha256"), padded(message), segment_po2=14)
    own = image_id("sha256")
    assert native.verify(proof.receipt, own) == hashlib.sha256(message).digest()
    info = native.describe(proof.receipt)
    assert info.segments == proof.execution.segments > 1
    parts = Parts.of(proof.receipt)
    for segments in (
        parts.segments[:-1],
        parts.segments[1:],
        parts.segments[::-1],
        [*parts.segments, parts.segments[-1]],
        [parts.segments[0], *parts.segments],
    ):
        changed = parts._replace(segments=segments).receipt()
        assert failure(native.verify, changed, own)[0] == "verification_failed"


@pytest.mark.real
def test_the_aggregation_verifies(proofs: Proofs) -> None:
    receipt = proofs.aggregation.receipt
    journal = native.verify(receipt, image_id(AGGREGATOR))
    expected = result_over([(1, merkle.leaf_hash(*child)) for child in proofs.children])
    assert AggregationResult.decode(journal) == expected
    assert expected.verified_count == 3
    assert proofs.aggregation.execution.journal == journal


@pytest.mark.real
def test_descriptions(proofs: Proofs) -> None:
    first, second, top = (
        native.describe(receipt)
        for receipt in (proofs.fibonacci, proofs.sha256.receipt, proofs.aggregation.receipt)
    )
    for info in (first, second):
        assert (info.kind, info.segments, info.assumptions) == ("composite", 1, 0)
        assert info.seal_bytes > 100_000
    assert (top.kind, top.segments, top.assumptions) == ("composite", 1, 3)
    assert top.seal_bytes > 2 * first.seal_bytes + second.seal_bytes
    assert first.seal_bytes < len(proofs.fibonacci)
    assert (first.journal, second.journal) == (proofs.children[0][1], proofs.children[1][1])


@pytest.mark.real
def test_receipts_of_another_program_are_rejected(proofs: Proofs) -> None:
    receipts = {
        "fibonacci": proofs.fibonacci,
        "sha256": proofs.sha256.receipt,
        AGGREGATOR: proofs.aggregation.receipt,
    }
    for name, receipt in receipts.items():
        nearly = bytearray(image_id(name))
        nearly[31] ^= 1
        others = [image_id(other) for other in receipts if other != name]
        for wrong in [*others, bytes(nearly), bytes(32)]:
            code, _ = failure(native.verify, receipt, wrong)
            assert code == "verification_failed"


@pytest.mark.real
def test_taking_apart_and_putting_together_changes_nothing(proofs: Proofs) -> None:
    for receipt in (proofs.fibonacci, proofs.aggregation.receipt):
        assert Parts.of(receipt).receipt() == receipt


@pytest.mark.real
def test_children_cannot_be_exchanged(proofs: Proofs) -> None:
    parts = Parts.of(proofs.aggregation.receipt)
    first, second, third = parts.assumptions
    other = (1, Parts.of(proofs.aggregation.receipt).body())
    for assumptions in (
        [],
        [first],
        [first, second],
        [first, second, second],
        [second, second, second],
        [second, first, third],
        [first, second, third, third],
        [first, second, other],
        [(kind + 1, body) for kind, body in parts.assumptions],
        [(3, body) for _, body in parts.assumptions],
        [(0, body) for _, body in parts.assumptions],
    ):
        changed = parts._replace(assumptions=assumptions).receipt()
        code, _ = failure(native.verify, changed, image_id(AGGREGATOR))
        assert code in REJECTED


@pytest.mark.real
def test_journals_and_segments_cannot_be_exchanged(proofs: Proofs) -> None:
    first, second = Parts.of(proofs.fibonacci), Parts.of(proofs.sha256.receipt)
    own = image_id("fibonacci")
    for changed in (
        first._replace(journal=second.journal),
        first._replace(journal=b""),
        first._replace(journal=first.journal + b"\0"),
        first._replace(journal=first.journal[:-1]),
        first._replace(segments=[]),
        first._replace(segments=second.segments),
        first._replace(segments=first.segments * 2),
        first._replace(segments=second.segments + first.segments),
        first._replace(assumptions=[(1, second.body())]),
        second._replace(journal=first.journal),
    ):
        code, _ = failure(native.verify, changed.receipt(), own)
        assert code == "verification_failed"


@pytest.mark.real
def test_every_flipped_byte_of_an_aggregation_is_noticed(proofs: Proofs) -> None:
    receipt = proofs.aggregation.receipt
    parts = Parts.of(receipt)
    chance = random.Random(1)
    # Everything but the seals: the head, the end of the segment, and each child's head and end.
    (seal_words,) = struct.unpack_from("<I", parts.segments[0])
    seal_start = receipt.index(parts.segments[0]) + 4
    seal_end = seal_start + 4 * seal_words
    children_end = len(receipt)
    children_start = children_end - sum(len(body) + 9 for _, body in parts.assumptions)
    places = [*range(100), *range(seal_end, children_start + 70, 3)]
    start = children_start
    for _, body in parts.assumptions:
        start += 9 + len(body)
        places += range(start - 200, min(start + 60, children_end), 11)
    places += chance.sample(range(seal_start, children_end), 120)
    assert unnoticed_flips(native, receipt, places, image_id(AGGREGATOR), chance) == []


@pytest.mark.real
def test_no_part_of_an_aggregation_is_a_receipt(proofs: Proofs) -> None:
    receipt = proofs.aggregation.receipt
    chance = random.Random(2)
    for length in [*range(120), *(chance.randrange(len(receipt)) for _ in range(100))]:
        for call in (native.describe, lambda data: native.verify(data, image_id(AGGREGATOR))):
            code, _ = failure(call, receipt[:length])
            assert code == "malformed_receipt"


@pytest.mark.real
def test_a_receipt_does_not_stand_for_another_input(proofs: Proofs) -> None:
    """The executor finds no receipt for a journal that a leaf did not commit."""
    claim = image_id("fibonacci"), (89).to_bytes(8, "little")
    stdin = aggregator_stdin(image_id(AGGREGATOR), [claim])
    code, message = failure(native.prove, elf(AGGREGATOR), stdin, [proofs.fibonacci])
    assert code == "guest_failed"
    assert "no receipt found" in message


@pytest.mark.real
@pytest.mark.skipif(not RECURSION, reason="this build has no recursion programs")
def test_succinct(proofs: Proofs) -> None:
    proof = native.prove(
        elf(AGGREGATOR),
        aggregator_stdin(image_id(AGGREGATOR), proofs.children),
        [proofs.fibonacci, proofs.sha256.receipt],
        kind="succinct",
    )
    journal = native.verify(proof.receipt, image_id(AGGREGATOR))
    assert journal == proofs.aggregation.execution.journal
    info = native.describe(proof.receipt)
    assert (info.kind, info.segments, info.assumptions) == ("succinct", 1, 0)
    assert len(proof.receipt) < len(proofs.aggregation.receipt)
    chance = random.Random(3)
    for place in [*range(40), *(chance.randrange(len(proof.receipt)) for _ in range(100))]:
        flipped = bytearray(proof.receipt)
        flipped[place] ^= 1 << chance.randrange(8)
        code, _ = failure(native.verify, bytes(flipped), image_id(AGGREGATOR))
        assert code in REJECTED


def path_index(succinct: bytes) -> range:
    """The bytes of the position of a succinct receipt's control id, which the path follows.

    The path has eight digests of 32 bytes, after their number, and ends the receipt.
    """
    start = len(succinct) - 8 * 32 - 4 - 4
    return range(start, start + 4)


@pytest.mark.real
@pytest.mark.skipif(not RECURSION, reason="this build has no recursion programs")
def test_labels_of_a_succinct_assumption_are_compared(proofs: Proofs) -> None:
    """The library reads eight bits of the position of a control id."""
    child = native.prove(elf("fibonacci"), word(10), kind="succinct").receipt
    own = image_id("fibonacci")
    chance = random.Random(4)
    assert native.verify(child, own) == proofs.children[0][1]
    assert unnoticed_flips(native, child, path_index(child), own, chance) == []
    stdin = aggregator_stdin(image_id(AGGREGATOR), proofs.children[:1])
    top = native.prove(elf(AGGREGATOR), stdin, [child]).receipt
    assert native.verify(top, image_id(AGGREGATOR))
    parts = Parts.of(top)
    ((kind, inner),) = parts.assumptions
    assert kind == 2
    assert top.endswith(inner)
    seal = 4 + 4 * struct.unpack_from("<I", inner)[0]
    places = range(len(top) - len(inner) + seal, len(top))
    assert set(path_index(top)) < set(places)
    assert unnoticed_flips(native, top, places, image_id(AGGREGATOR), chance) == []
