"""Runs of several segments whose workers share no file with the runner."""

from __future__ import annotations

import dataclasses
import json
import pickle
import shutil
from typing import TYPE_CHECKING

import pytest

from runner.batch.run import run as run_batch
from runner.batch.segment_store import SegmentStore
from runner.batch.settings import StoreSettings
from runner.errors import BatchFailedError, StoreError
from runner.jobs.placement import near
from runner.model import Part, ProofJob, ReceiptKind, Span, Step, Stored
from runner.provers.prover import ProverSpec
from runner.store.place import PlaceSettings, UrlPlace
from runner.store.sweep import Bound
from tests import builders
from tests.batch.killed_runs import LONG
from tests.batch.outcomes import metrics, record
from tests.batch.test_elsewhere import ElsewhereEngine, ElsewhereProcesses
from tests.batch.test_long_runs import proved_segments
from tests.fakes.guests import sample_guest
from tests.fakes.long_prover import ADAPTER

if TYPE_CHECKING:
    from pathlib import Path

    from runner.batch.settings import Settings
    from tests.fakes.behaviours import Behaviours


@pytest.fixture
def engine() -> ElsewhereEngine:
    return ElsewhereEngine()


@pytest.fixture
def long(
    settings: Settings, engine: ElsewhereEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """A batch of one leaf with nine segments and a short one, with a store."""
    monkeypatch.setenv("RUNNER_SECRET", str(tmp_path / "secret"))
    monkeypatch.setenv("RUNNER_SEGMENTS", str(tmp_path / "segments"))
    monkeypatch.setenv("RUNNER_ARTIFACTS", str(tmp_path / "worker"))
    place = PlaceSettings(f"file://{tmp_path}/store")
    return dataclasses.replace(
        settings,
        prover=ProverSpec(ADAPTER, ReceiptKind.COMPOSITE),
        inputs=[LONG, "short"],
        count=None,
        strategy=builders.strategy("single"),
        store=StoreSettings(place, Bound(10_000_000)),
        make_engine=lambda: engine,
    )


def again(settings: Settings, name: str) -> Settings:
    return dataclasses.replace(settings, output=settings.output.with_name(name))


def in_store(tmp_path: Path, begin: bytes) -> list[Path]:
    """The blobs of the store that begin with these bytes."""
    blobs = (tmp_path / "store" / "blobs").glob("??/*")
    return [blob for blob in blobs if blob.read_bytes().startswith(begin)]


SEGMENT = b'{"image"'


def test_segments_and_their_receipts_go_by_digest(
    long: Settings, engine: ElsewhereEngine, behaviours: Behaviours, tmp_path: Path
) -> None:
    summary = run_batch(long)
    assert proved_segments(behaviours) == list(range(9))
    assert (summary.made, summary.cached) == (3, 0)
    parts = [job.part for job in engine.jobs if job.part is not None]
    assert len(parts) == 10
    assert all(part.data == (b"",) * len(part.stored) for part in parts)
    assert all(outcome.receipt is None for outcome in engine.outcomes)
    rows = {job["id"]: job for job in record(long)["jobs"]}
    assert rows[0]["segments_proved_apart"] == 9
    # Nothing was written to the runner's own disk, and no segment is left in the store.
    assert not (tmp_path / "segments").exists()
    assert in_store(tmp_path, SEGMENT) == []
    counted = metrics(long)
    assert counted["l2_cache_misses_total"] == 3 + 9
    assert counted['l2_store_bytes_total{way="fetched"}'] > 0
    assert sum(v for k, v in counted.items() if k.startswith("l2_host_jobs{")) == 3 + 9 + 1


def test_what_travels_does_not_grow_with_the_segments(
    long: Settings, engine: ElsewhereEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json, "dumps", padded(json.dumps))
    run_batch(long)
    segments = [job for job in engine.jobs if job.part is not None]
    assert max(len(pickle.dumps(job)) for job in segments) < 4_000
    assert max(len(pickle.dumps(outcome)) for outcome in engine.outcomes) < 4_000


def padded(dumps: object) -> object:
    """``json.dumps`` with a megabyte of space at the end of each segment."""

    def longer(value: object, *given: object, **named: object) -> str:
        text: str = dumps(value, *given, **named)  # type: ignore[operator]
        is_segment = isinstance(value, dict) and set(value) == {"image", "run", "index"}
        return text + " " * 1_000_000 if is_segment else text

    return longer


def test_worker_processes_do_the_same(long: Settings, behaviours: Behaviours) -> None:
    settings = dataclasses.replace(long, make_engine=lambda: ElsewhereProcesses(2))
    assert run_batch(settings).made == 3
    assert sorted(proved_segments(behaviours)) == list(range(9))


def test_the_next_run_finds_the_segments_that_were_proved(
    long: Settings, behaviours: Behaviours, tmp_path: Path
) -> None:
    behaviours.on("fail", stdin=b"6", guest="segment")
    with pytest.raises(BatchFailedError, match="segment 7 of 9 failed after 1 attempt"):
        run_batch(long)
    assert in_store(tmp_path, SEGMENT) == []
    before = proved_segments(behaviours)
    behaviours.clear()
    shutil.rmtree(tmp_path / "worker")
    assert run_batch(again(long, "second")).made == 2
    after = proved_segments(behaviours)[len(before) :]
    assert sorted(after) == sorted({*range(9)} - {*before} | {6})


def test_another_runs_receipt_under_a_segments_key_is_no_hit(
    long: Settings, behaviours: Behaviours, tmp_path: Path
) -> None:
    behaviours.on("fail", stdin=b"8", guest="segment")
    with pytest.raises(BatchFailedError):
        run_batch(long)
    before = len(proved_segments(behaviours))
    behaviours.clear()
    for receipt in in_store(tmp_path, b"fake"):
        receipt.write_bytes(receipt.read_bytes()[:-1] + b"?")
    shutil.rmtree(tmp_path / "worker")
    run_batch(again(long, "second"))
    assert len(proved_segments(behaviours)) == before + 9


@pytest.mark.parametrize("damage", [b"{", None])
def test_a_segment_that_is_gone_from_the_store_is_cut_again(
    long: Settings,
    engine: ElsewhereEngine,
    behaviours: Behaviours,
    tmp_path: Path,
    damage: bytes | None,
) -> None:
    done: list[int] = []

    def lose(job: ProofJob) -> None:
        if job.part is not None and job.part.number == 3 and not done:
            done.append(3)
            digest = job.part.digest.hex()
            path = tmp_path / "store" / "blobs" / digest[:2] / digest
            path.unlink()
            if damage is not None:
                path.write_bytes(damage)

    engine.before = lose  # type: ignore[method-assign]
    assert run_batch(long).retries == 1
    assert done == [3]
    assert sorted(proved_segments(behaviours)) == list(range(9))


def test_a_receipt_of_a_segment_that_is_gone_is_made_again(
    long: Settings, engine: ElsewhereEngine, behaviours: Behaviours, tmp_path: Path
) -> None:
    done: list[int] = []

    def lose(job: ProofJob) -> None:
        if job.part is not None and job.part.last and not done:
            stored = job.part.stored[5]
            assert stored is not None
            done.append(5)
            for folder in (tmp_path / "worker", tmp_path / "store" / "blobs"):
                (folder / stored.sha256[:2] / stored.sha256).unlink()

    engine.before = lose  # type: ignore[method-assign]
    run_batch(long)
    assert done == [5]
    assert sorted(proved_segments(behaviours)) == sorted([*range(9), 5])


def test_segments_that_the_store_does_not_take_go_with_the_jobs(
    long: Settings,
    engine: ElsewhereEngine,
    behaviours: Behaviours,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    write = UrlPlace.write

    def full(self: UrlPlace, name: str, data: bytes) -> None:
        if data.startswith((SEGMENT, b"fake")):
            raise StoreError(self.url, "no space left")
        write(self, name, data)

    monkeypatch.setattr(UrlPlace, "write", full)
    assert run_batch(long).made == 3
    assert sorted(proved_segments(behaviours)) == list(range(9))
    assert all(outcome.receipt or outcome.long for outcome in engine.outcomes)
    assert "the store failed on a segment" in caplog.text


def test_receipts_are_lifted_and_joined_elsewhere_too(
    long: Settings, engine: ElsewhereEngine, behaviours: Behaviours, tmp_path: Path
) -> None:
    """One joined receipt is lost on the way, and the store has all that it is made from."""
    done: list[Span] = []

    def lose(job: ProofJob) -> None:
        if job.part is not None and job.part.step is Step.RESOLVE and not done:
            done.append(job.part.span)
            (stored,) = job.part.stored
            assert stored is not None
            for folder in (tmp_path / "worker", tmp_path / "store" / "blobs"):
                (folder / stored.sha256[:2] / stored.sha256).unlink()

    engine.before = lose  # type: ignore[method-assign]
    succinct = ProverSpec(ADAPTER, ReceiptKind.SUCCINCT)
    assert run_batch(dataclasses.replace(long, prover=succinct)).made == 3
    assert done == [Span(0, 9)]
    runs = [(run.guest, run.stdin) for run in behaviours.runs()]
    steps = [step for step, _ in runs]
    assert (steps.count("segment"), steps.count("lift")) == (9, 9)
    assert steps.count("join") == 8 + 1  # the last one again
    parts = [job.part for job in engine.jobs if job.part is not None]
    assert all(part.data == (b"",) * len(part.stored) for part in parts)


def test_without_a_store_a_run_stays_whole(
    long: Settings, behaviours: Behaviours, engine: ElsewhereEngine
) -> None:
    run_batch(dataclasses.replace(long, store=None))
    assert proved_segments(behaviours) == []
    assert all(not job.seed for job in engine.jobs)


def test_a_run_is_put_together_where_most_of_its_receipts_are(tmp_path: Path) -> None:
    job = ProofJob(0, "leaf 0", sample_guest(), b"", (), ReceiptKind.COMPOSITE)
    one, two = Stored("00" * 32, 5, "a"), Stored("01" * 32, 6, "b")
    whole = dataclasses.replace(
        job, part=Part(Step.ASSEMBLE, Span(0, 3), 3, stored=(one, None, two))
    )
    assert near(whole) == "b"
    # A segment that the runner has cut is on no worker's disk.
    cut = Part(Step.SEGMENT, Span(1, 1), 3, 20, bytes(32), (b"",), (Stored("02" * 32, 9),))
    assert near(dataclasses.replace(job, part=cut)) is None
    assert SegmentStore(tmp_path, "run").stored(bytes(32)) is None
