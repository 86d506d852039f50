"""Whole runs whose segments' receipts are lifted and joined: kept, found again, verified, told."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import pytest

from runner.batch.run import run as run_batch
from runner.batch.segment_store import SegmentStore
from runner.cache.cache import NoCache
from runner.engines.processes import ProcessEngine
from runner.errors import BatchFailedError
from runner.model import ReceiptKind, Span
from runner.provers.prover import ProverSpec
from tests import builders
from tests.batch.killed_runs import LONG, kill_the_runner
from tests.batch.outcomes import metrics, record
from tests.batch.test_long_runs import left_over
from tests.fakes.long_prover import ADAPTER

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from runner.batch.settings import Settings
    from tests.fakes.behaviours import Behaviours

SUCCINCT = ProverSpec(ADAPTER, ReceiptKind.SUCCINCT)

PARTS = {"segment", "lift", "join", "resolve"}


@pytest.fixture
def long(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A batch of one long leaf and a short one, with a cache."""
    monkeypatch.setenv("RUNNER_SECRET", str(tmp_path / "secret"))
    monkeypatch.setenv("RUNNER_SEGMENTS", str(tmp_path / "segments"))
    return dataclasses.replace(
        settings,
        prover=SUCCINCT,
        inputs=[LONG, "short"],
        count=None,
        strategy=builders.strategy("single"),
        cache=builders.disk_cache(tmp_path / "long-cache"),
    )


def made(behaviours: Behaviours) -> list[tuple[str, int]]:
    """What workers began to make, in order: the step, and a position that tells it from others.

    It is the segment that is proved or lifted, or with which the second half of a join begins.
    """
    runs = [run for run in behaviours.runs() if run.guest in PARTS]
    return [(run.guest, int(bytes.fromhex(run.stdin) or b"0")) for run in runs]


def everything(segments: int) -> list[tuple[str, int]]:
    one_by_one: Iterable[int] = range(segments)
    proved = [(step, index) for step in ("segment", "lift") for index in one_by_one]
    return sorted([*proved, *(("join", index) for index in range(1, segments)), ("resolve", 0)])


@pytest.mark.parametrize("segments", [2, 7, 9])
def test_a_long_leaf_is_proved_lifted_and_joined(
    long: Settings, behaviours: Behaviours, tmp_path: Path, segments: int
) -> None:
    settings = dataclasses.replace(
        long,
        inputs=[f"!long {segments} leaf", "short"],
        audit=tmp_path / "audit.jsonl",
        make_engine=lambda: ProcessEngine(2),
    )
    summary = run_batch(settings)
    assert sorted(made(behaviours)) == everything(segments)
    assert (summary.made, summary.cached) == (3, 0)
    rows = {job["id"]: job for job in record(settings)["jobs"]}
    assert rows[0]["segments_proved_apart"] == segments
    assert rows[0]["lifts_and_joins"] == 2 * segments - 1
    assert rows[1]["lifts_and_joins"] == 0
    found = metrics(settings)
    assert found["l2_segment_proofs_total"] == segments
    assert found["l2_segment_joins_total"] == 2 * segments - 1
    assert found["l2_segment_join_duration_seconds_count"] == 2 * segments - 1
    assert left_over(tmp_path) == []
    events = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    joined = [event for event in events if event.get("event") == "segments_joined"]
    assert [event["step"] for event in joined].count("lift") == segments
    assert (joined[-1]["step"], joined[-1]["segments"]) == ("join", segments)
    again = run_batch(dataclasses.replace(settings, output=long.output / "again"))
    assert (again.made, again.cached) == (0, 3)


def test_an_aggregation_of_several_segments_is_joined_too(
    long: Settings, behaviours: Behaviours, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its assumptions, the receipts of the leaves, are resolved in the end."""
    from tests.fakes import long_prover

    plain = long_prover.segments_of

    def segments(stdin: bytes) -> int | None:
        # The input of the aggregation begins with the image id of the aggregator.
        return 3 if len(stdin) > 100 else plain(stdin)

    monkeypatch.setattr(long_prover, "segments_of", segments)
    settings = dataclasses.replace(long, inputs=["one", "two"])
    run_batch(settings)
    assert sorted(made(behaviours)) == everything(3)
    assert record(settings)["jobs"][2]["lifts_and_joins"] == 5


def test_a_worker_that_dies_costs_what_it_made(long: Settings, behaviours: Behaviours) -> None:
    behaviours.on("kill", stdin=b"4", guest="join", times=1)
    behaviours.on("kill", stdin=b"2", guest="lift", times=1)
    summary = run_batch(dataclasses.replace(long, make_engine=lambda: ProcessEngine(2)))
    assert summary.retries == 2
    assert sorted(made(behaviours)) == sorted([*everything(9), ("join", 4), ("lift", 2)])


def test_a_forged_receipt_is_not_used(long: Settings, behaviours: Behaviours) -> None:
    """What a worker has lifted or joined is verified before it leaves the worker."""
    behaviours.on("forge", stdin=b"2", guest="lift", times=1)
    behaviours.on("forge", stdin=b"8", guest="join", times=1)
    run_batch(long)
    assert sorted(made(behaviours)) == sorted([*everything(9), ("join", 8), ("lift", 2)])


@pytest.mark.parametrize(("step", "position"), [("lift", 6), ("join", 4), ("resolve", 0)])
def test_a_run_that_failed_goes_on_with_what_is_missing(
    long: Settings, behaviours: Behaviours, tmp_path: Path, step: str, position: int
) -> None:
    stdin = b"" if step == "resolve" else b"%d" % position
    behaviours.on("fail", stdin=stdin, guest=step)
    with pytest.raises(BatchFailedError):
        run_batch(long)
    assert left_over(tmp_path) == []
    before = made(behaviours)
    behaviours.clear()
    run_batch(dataclasses.replace(long, output=long.output / "again"))
    after = made(behaviours)[len(before) :]
    assert sorted(after) == sorted({*everything(9)} - {*before} | {(step, position)})


def test_the_runner_is_killed(long: Settings, behaviours: Behaviours, tmp_path: Path) -> None:
    """It waits for the lift of segment 5, and everything that does not need it is made."""
    behaviours.hold(b"5")  # the segment, its lift, and the join whose second half it begins
    # All of the other eight segments, their lifts, the joins at 1, 2, 3 and 7, and the short leaf.
    kill_the_runner(long, tmp_path / "long-cache", 8 + 8 + 4 + 1)
    before = made(behaviours)
    behaviours.release(b"5")
    behaviours.clear()
    run_batch(dataclasses.replace(long, cache=builders.disk_cache(tmp_path / "long-cache")))
    missing = {("segment", 5), ("lift", 5)} | {("join", at) for at in (4, 5, 6, 8)}
    assert set(made(behaviours)[len(before) :]) == missing | {("resolve", 0)}
    assert len(made(behaviours)[len(before) :]) == len(missing) + 1


def test_a_joined_receipt_that_was_changed_is_made_again(
    long: Settings, behaviours: Behaviours, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no cache, so that everything below it is proved again as well."""
    plain = SegmentStore.receipts
    done: list[Span] = []

    def receipts(self: SegmentStore, job_id: int, spans: tuple[Span, ...]) -> tuple[bytes, ...]:
        if not done and spans[0] == Span(0, 4):
            name, _ = self._receipts[job_id][spans[0]]
            (self._folder / name).write_bytes(b"other")
            done.append(spans[0])
        return plain(self, job_id, spans)

    monkeypatch.setattr(SegmentStore, "receipts", receipts)
    assert run_batch(dataclasses.replace(long, cache=NoCache())).retries == 1
    again = [(step, at) for step in ("segment", "lift") for at in range(4)]
    again += [("join", at) for at in (1, 2, 3)]
    assert sorted(made(behaviours)) == sorted(everything(9) + again)


def test_with_a_cache_only_what_was_changed_is_made_again(
    long: Settings, behaviours: Behaviours, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = SegmentStore.receipts
    done: list[Span] = []

    def receipts(self: SegmentStore, job_id: int, spans: tuple[Span, ...]) -> tuple[bytes, ...]:
        if not done and spans[0] == Span(0, 4):
            name, _ = self._receipts[job_id][spans[0]]
            (self._folder / name).unlink()
            done.append(spans[0])
        return plain(self, job_id, spans)

    monkeypatch.setattr(SegmentStore, "receipts", receipts)
    run_batch(long)
    assert done
    assert sorted(made(behaviours)) == everything(9)


def test_a_receipt_is_removed_as_soon_as_it_is_joined(
    long: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk holds what is in no join yet, and not one receipt for each segment."""
    plain = SegmentStore.put_receipt
    most = 0

    def put(self: SegmentStore, *args: object) -> None:
        nonlocal most
        plain(self, *args)  # type: ignore[arg-type]
        most = max(most, len(list(self._folder.glob("*.receipt"))))

    monkeypatch.setattr(SegmentStore, "put_receipt", put)
    run_batch(dataclasses.replace(long, inputs=["!long 64 leaf", "short"], cache=NoCache()))
    assert 2 <= most <= 12


@pytest.mark.parametrize("kind", [ReceiptKind.SUCCINCT, ReceiptKind.COMPOSITE])
def test_the_receipts_of_segments_leave_a_full_cache_before_others(
    long: Settings, tmp_path: Path, kind: ReceiptKind
) -> None:
    """The cache has room for those of one run, and an older proof has to stay."""
    room = 26 if kind is ReceiptKind.SUCCINCT else 10
    cache = builders.disk_cache(tmp_path / "small", max_entries=room + 1)
    long = dataclasses.replace(long, cache=cache, prover=ProverSpec(ADAPTER, kind))
    none = dataclasses.replace(long, strategy=builders.strategy("none"))
    run_batch(dataclasses.replace(none, inputs=["older"], output=long.output / "older"))
    run_batch(dataclasses.replace(none, inputs=[LONG], output=long.output / "one"))
    run_batch(dataclasses.replace(none, inputs=["!long 5 two"], output=long.output / "two"))
    for again in ("older", LONG, "!long 5 two"):
        name = again.strip("! ").replace(" ", "-")
        output = long.output / f"again-{name}"
        assert run_batch(dataclasses.replace(none, inputs=[again], output=output)).cached == 1


def test_a_cache_entry_that_does_not_verify_is_made_again(
    long: Settings, behaviours: Behaviours, tmp_path: Path
) -> None:
    behaviours.on("fail", stdin=b"", guest="resolve")
    with pytest.raises(BatchFailedError):
        run_batch(long)
    behaviours.clear()
    before = len(made(behaviours))
    changed = 0
    for path in (tmp_path / "long-cache").rglob("*"):
        if path.is_file() and b'"count": 4' in (data := path.read_bytes()):
            path.write_bytes(data.replace(b'"count": 4', b'"count": 5'))
            changed += 1
    assert changed == 2  # the joins of segments 0 to 3 and 4 to 7
    run_batch(dataclasses.replace(long, output=long.output / "again"))
    again = made(behaviours)[before:]
    assert sorted(again) == [("join", 2), ("join", 6), ("resolve", 0)]
