"""What a batch keeps of each of its jobs: as records on disk, and as columns of numbers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import records as records_module
from runner.batch.leaf_records import LeafRecords
from runner.batch.outcomes import Outcomes
from runner.errors import InputError
from runner.model import Cycles, GpuUse, Leaf, Outcome, ReceiptKind
from runner.records import Numbers, Records
from tests.builders import batch_settings


def open_files() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


class TestRecords:
    @given(st.lists(st.binary(max_size=40)))
    def test_each_record_is_what_was_added(self, given_records: list[bytes]) -> None:
        kept, most = Records(), records_module._MOST_IN_MEMORY
        records_module._MOST_IN_MEMORY = 64
        try:
            assert [kept.append(one) for one in given_records] == [*range(len(given_records))]
        finally:
            records_module._MOST_IN_MEMORY = most
        assert [*kept] == given_records
        assert kept[1:] == given_records[1:]
        assert len(kept) == len(given_records)

    def test_there_is_no_record_beyond_the_last(self) -> None:
        kept = Records()
        kept.append(b"one")
        assert kept[-1] == b"one"
        with pytest.raises(IndexError):
            kept[1]

    def test_memory_holds_only_the_last_ones(self) -> None:
        kept = Records()
        for number in range(300):
            kept.append(bytes([number % 256]) * 1000)
        assert len(kept._tail) < 2 * records_module._MOST_IN_MEMORY
        assert kept[0] == bytes(1000)
        assert kept[299] == bytes([43]) * 1000

    def test_the_file_goes_with_the_records(self) -> None:
        before = open_files()
        kept = Records()
        kept.append(bytes(100_000))
        assert len(open_files() - before) == 1
        del kept
        assert open_files() == before


class TestNumbers:
    @given(st.dictionaries(st.integers(0, 50), st.integers(0, 2**62)), st.integers(0, 50))
    def test_they_are_those_of_a_dictionary(self, pairs: dict[int, int], gone: int) -> None:
        numbers = Numbers()
        numbers.update(pairs)
        assert dict(numbers) == pairs
        assert [*numbers] == sorted(pairs)
        numbers.pop(gone, None)
        pairs.pop(gone, None)
        assert dict(numbers) == pairs
        assert len(numbers) == len(pairs)
        assert numbers.get(gone) is None

    def test_neither_keys_nor_numbers_are_negative(self) -> None:
        numbers = Numbers()
        for key, value in ((-1, 0), (0, -1)):
            with pytest.raises(ValueError, match="negative"):
                numbers[key] = value
        assert -1 not in numbers


def test_a_leaf_is_what_it_was() -> None:
    leaves = [
        Leaf(0, {"data": "a\nb", "n": 2**70, "list": [1.5, None, True]}, b"\nstdin\n\x00"),
        Leaf(7, {}, b"", "other", '[{"leaf": 3}]'),
        Leaf(8, {"text": "\ud800 \u00e4"}, b"x"),
    ]
    assert [*LeafRecords.of(iter(leaves))] == leaves
    assert LeafRecords.of(leaves)[1:] == leaves[1:]


def test_an_outcome_is_what_it_was() -> None:
    first = Outcome(
        job_id=3,
        image_id=bytes(range(32)),
        journal=b"\njournal\n",
        receipt=None,
        kind=ReceiptKind.SUCCINCT,
        cycles=Cycles(1, 2, 3, 4),
        prove_s=0.1,
        verify_s=1e-9,
        verifications=5,
        worker=6,
        started=1764250000.123456,
        finished=1764250001.654321,
    )
    second = Outcome(
        **{name: getattr(first, name) for name in first.__slots__}
        | {"job_id": 0, "cached": True, "attempts": 2, "parts": 7, "halvings": 1}
        | {"gpu": GpuUse("GPU-1", 2.5, "it failed")}
    )
    outcomes = Outcomes()
    outcomes.put(first)
    outcomes.put(second)
    outcomes.receipt_bytes[3] = 99
    assert dict(outcomes) == {0: second, 3: first}
    assert [*outcomes] == [0, 3]
    renamed = outcomes.only({3: 1})
    assert [*renamed] == [1]
    assert renamed[1].journal == first.journal
    assert dict(renamed.receipt_bytes) == {1: 99}


def test_a_disk_that_takes_no_leaves_is_one_line_before_any_proof(
    tmp_path: Path, guests: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runner.batch.prepare import prepare

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    settings = batch_settings(tmp_path / "out", guests, count=5_000)
    with pytest.raises(InputError, match=r"does not take the leaves of the batch .*No space left"):
        prepare(settings)
