"""Whole runs whose guests have several segments: what is kept, found again, made again and told."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import pytest

from runner.audit.trail import NoTrail
from runner.batch.counters import RunCounters
from runner.batch.lookup import Lookup
from runner.batch.run import run as run_batch
from runner.batch.segment_jobs import SegmentJobs
from runner.batch.segment_store import SegmentStore
from runner.cache.cache import NoCache
from runner.engines.processes import ProcessEngine
from runner.errors import BatchFailedError, ProverError, SegmentLostError
from runner.metrics import Recorder
from runner.model import Part, ProofJob, ReceiptKind, Span, Step
from runner.plan.strategy import make_plan
from runner.provers.prover import ProverSpec
from tests import builders
from tests.batch.killed_runs import LONG, kill_the_runner
from tests.batch.outcomes import metrics, record
from tests.fakes import long_prover
from tests.fakes.guests import sample_guest
from tests.fakes.jobs import long_outcome
from tests.fakes.long_prover import ADAPTER, LongProver

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from runner.batch.settings import Settings
    from tests.fakes.behaviours import Behaviours


@pytest.fixture
def long(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A batch of one long leaf and a short one, with a cache."""
    monkeypatch.setenv("RUNNER_SECRET", str(tmp_path / "secret"))
    monkeypatch.setenv("RUNNER_SEGMENTS", str(tmp_path / "segments"))
    return dataclasses.replace(
        settings,
        prover=ProverSpec(ADAPTER, ReceiptKind.COMPOSITE),
        inputs=[LONG, "short"],
        count=None,
        strategy=builders.strategy("single"),
        cache=builders.disk_cache(tmp_path / "long-cache"),
    )


def left_over(tmp_path: Path) -> list[Path]:
    """The folders of runs that kept segments."""
    return [one for one in (tmp_path / "segments").iterdir() if one.is_dir()]


def proved_segments(behaviours: Behaviours) -> list[int]:
    """The positions of the segments whose proofs began, in order."""
    return [int(bytes.fromhex(run.stdin)) for run in behaviours.runs() if run.guest == "segment"]


def test_a_long_leaf_is_proved_segment_by_segment(
    long: Settings, behaviours: Behaviours, tmp_path: Path
) -> None:
    summary = run_batch(long)
    assert proved_segments(behaviours) == list(range(9))
    assert (summary.made, summary.cached) == (3, 0)
    rows = {job["id"]: job for job in record(long)["jobs"]}
    assert rows[0]["segments_proved_apart"] == 9
    assert rows[1]["segments_proved_apart"] == 0
    assert rows[0]["total_cycles"] == 9 << 20
    found = metrics(long)
    assert found["l2_segment_proofs_total"] == 9
    assert found["l2_long_runs_total"] == 1
    assert found["l2_segment_proof_duration_seconds_count"] == 9
    assert left_over(tmp_path) == []


def test_each_run_is_proved_once_whatever_it_has(long: Settings, behaviours: Behaviours) -> None:
    run_batch(long)
    summary = run_batch(dataclasses.replace(long, output=long.output / "again"))
    assert (summary.made, summary.cached) == (0, 3)
    assert len(proved_segments(behaviours)) == 9


def test_two_long_leaves(long: Settings, behaviours: Behaviours) -> None:
    summary = run_batch(dataclasses.replace(long, inputs=[LONG, "!long 2 other"]))
    assert summary.made == 3
    assert len(proved_segments(behaviours)) == 11


def test_a_worker_that_dies_costs_the_segment_that_it_proved(
    long: Settings, behaviours: Behaviours
) -> None:
    behaviours.on("kill", stdin=b"4", guest="segment", times=1)
    summary = run_batch(dataclasses.replace(long, make_engine=lambda: ProcessEngine(2)))
    assert summary.retries == 1
    assert sorted(proved_segments(behaviours)) == [0, 1, 2, 3, 4, 4, 5, 6, 7, 8]


def test_a_run_that_failed_goes_on_with_the_segments_that_are_missing(
    long: Settings, behaviours: Behaviours, tmp_path: Path
) -> None:
    behaviours.on("fail", stdin=b"6", guest="segment")
    with pytest.raises(BatchFailedError, match="segment 7 of 9 failed after 1 attempt"):
        run_batch(long)
    assert left_over(tmp_path) == []
    before = proved_segments(behaviours)
    behaviours.clear()
    run_batch(dataclasses.replace(long, output=long.output / "again"))
    after = proved_segments(behaviours)[len(before) :]
    assert sorted(after) == sorted({*range(9)} - {*before} | {6})


@pytest.mark.parametrize("long_input", ["!long 9 most 18 leaf", "!long 1 most 18 leaf"])
def test_a_worker_without_the_memory_for_a_segment_makes_a_smaller_cut(
    long: Settings,
    behaviours: Behaviours,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    long_input: str,
) -> None:
    """The workers have memory for segments of 2^18, and the settings ask for 2^20."""
    log = tmp_path / "audit.jsonl"
    settings = dataclasses.replace(
        long, inputs=[long_input, "short"], make_engine=lambda: ProcessEngine(2), audit=log
    )
    summary = run_batch(settings)
    rows = {job["id"]: job for job in record(settings)["jobs"]}
    segments = 36 if "9" in long_input else 4
    assert (rows[0]["segments_halved"], rows[0]["segments_proved_apart"]) == (2, segments)
    assert rows[0]["total_cycles"] == segments << 18
    assert rows[0]["attempts"] == 3
    assert rows[1]["segments_halved"] == 0
    assert summary.cut_smaller == 1
    assert "cut into smaller segments" in capsys.readouterr().out
    assert left_over(tmp_path) == []
    assert sorted(set(proved_segments(behaviours))) == list(range(segments))
    events = [json.loads(line) for line in log.read_text().splitlines()]
    reasons = [event["reason"] for event in events if event.get("event") == "retried"]
    assert all("cut into smaller segments" in reason for reason in reasons)
    assert 2 <= len(reasons) <= 4
    splits = [event["segment_po2"] for event in events if event.get("event") == "split"]
    assert splits[-1] == 18
    # The proof is found again, whatever the cut was.
    again = run_batch(dataclasses.replace(settings, output=long.output / "again"))
    assert (again.made, again.cached) == (0, 3)


def test_the_other_runs_of_a_batch_learn_for_which_segments_there_is_no_memory(
    tmp_path: Path,
) -> None:
    prover = LongProver(ProverSpec(ADAPTER, ReceiptKind.COMPOSITE))
    plan = make_plan("none", range(3))
    kind = ReceiptKind.COMPOSITE
    counters = RunCounters(Recorder(), plan, zkvm="fake", kind=kind, guests=())
    lookup = Lookup(NoCache(), prover, counters, NoTrail())
    jobs = SegmentJobs(prover, SegmentStore(tmp_path, "run"), lookup, bytes(32))

    def whole(job_id: int) -> ProofJob:
        job = ProofJob(job_id, "leaf", sample_guest(), b"", (), ReceiptKind.COMPOSITE)
        return jobs.seeded(job)

    assert jobs.limited(whole(1)).most_po2 == 0
    # The size of the segment is known for which there was no memory.
    part = Part(Step.SEGMENT, Span(2, 1), 9, 18)
    again = jobs.smaller(dataclasses.replace(whole(0), part=part), whole)
    assert again is not None
    assert (again.part, again.halvings, again.most_po2) == (None, 1, 17)
    assert jobs.limited(whole(1)).most_po2 == 17
    # That of a whole run is not. It may be smaller than the others may be, and is when it is cut.
    again = jobs.smaller(jobs.limited(whole(1)), whole)
    assert again is not None
    assert (again.halvings, again.most_po2) == (1, 16)
    assert jobs.limited(whole(2)).most_po2 == 17
    outcome = long_outcome(whole(1), 4, 15)
    assert outcome.long is not None
    jobs.split(outcome.long, outcome)
    assert jobs.limited(whole(2)).most_po2 == 17
    jobs.split(outcome.long, dataclasses.replace(outcome, halvings=1))
    assert jobs.limited(whole(2)).most_po2 == 15
    assert jobs.limited(again).most_po2 == 15
    # There is no segment that is smaller than the smallest.
    part = Part(Step.SEGMENT, Span(0, 1), 2, 14)
    assert jobs.smaller(dataclasses.replace(whole(2), part=part), whole) is None
    # A job without a seed is proved as a whole.
    assert jobs.limited(dataclasses.replace(whole(3), seed=b"")).most_po2 == 0


@pytest.mark.parametrize(("own", "warned"), [(6 << 20, True), (7 << 20, False)])
def test_segments_that_are_mostly_padding_are_warned_of_once_before_they_are_proved(
    long: Settings,
    behaviours: Behaviours,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    *,
    own: int,
    warned: bool,
) -> None:
    monkeypatch.setattr(long_prover, "OWN_CYCLES", (own - 2000, 2000))
    behaviours.on("fail", guest="segment")
    with pytest.raises(BatchFailedError):
        run_batch(dataclasses.replace(long, inputs=[LONG, "!long 9 other"]))
    said = [text for text in caplog.messages if "padded" in text]
    assert len(said) == warned
    if warned:
        assert "9 segments of at most 2^20 are padded from 6,291,456 cycles to 9,437,184" in said[0]
        assert "1.5 times as many" in said[0]


def test_a_guest_that_fails_in_a_later_segment_shows_its_message_and_keeps_earlier_ones(
    long: Settings, behaviours: Behaviours, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guest ended well when it was executed, and panics when it is cut."""
    plain = long_prover.LongProver.cut

    def cut(self: long_prover.LongProver, *args: Any, sink: Any, **options: Any) -> None:  # noqa: ANN401
        def until_57(index: int, data: bytes) -> None:
            if index == 56:
                raise ProverError("guest_failed", "guest panicked: no more of this", "so far\n")
            sink(index, data)

        plain(self, *args, sink=until_57, **options)

    monkeypatch.setattr(long_prover.LongProver, "cut", cut)
    settings = dataclasses.replace(long, inputs=["!long 80 leaf", "short"])
    with pytest.raises(BatchFailedError, match="guest panicked: no more of this") as caught:
        run_batch(settings)
    assert caught.value.exit_code == 1
    kept = proved_segments(behaviours)
    assert kept
    assert max(kept) < 56
    monkeypatch.setattr(long_prover.LongProver, "cut", plain)
    run_batch(dataclasses.replace(settings, output=long.output / "again"))
    assert sorted(proved_segments(behaviours)) == list(range(80))  # each was proved once


def test_without_memory_for_the_smallest_segment_the_job_fails(long: Settings) -> None:
    settings = dataclasses.replace(
        long, inputs=["!long 1 most 13 leaf"], make_engine=lambda: ProcessEngine(2)
    )
    with pytest.raises(BatchFailedError, match="signal SIGABRT"):
        run_batch(settings)


def test_the_runner_is_killed(long: Settings, behaviours: Behaviours, tmp_path: Path) -> None:
    behaviours.hold(b"5")
    # All other segments and the short leaf are kept while one segment is held.
    kill_the_runner(long, tmp_path / "long-cache", 8 + 1)
    before = proved_segments(behaviours)
    assert sorted(before) == list(range(9))
    assert len(left_over(tmp_path)) == 1
    behaviours.release(b"5")
    behaviours.clear()
    run_batch(dataclasses.replace(long, cache=builders.disk_cache(tmp_path / "long-cache")))
    assert proved_segments(behaviours)[len(before) :] == [5]
    assert left_over(tmp_path) == []  # those of the run that was killed are gone too


def test_a_cache_entry_of_a_segment_that_does_not_verify_is_proved_again(
    long: Settings, behaviours: Behaviours, tmp_path: Path
) -> None:
    behaviours.on("fail", stdin=b"8", guest="segment")
    with pytest.raises(BatchFailedError):
        run_batch(long)
    before = len(proved_segments(behaviours))
    behaviours.clear()
    # Another secret makes other segments, for which these receipts are those of another run.
    (tmp_path / "secret").write_bytes(bytes(32))
    run_batch(dataclasses.replace(long, output=long.output / "again"))
    assert len(proved_segments(behaviours)) == before + 9


@pytest.mark.parametrize("damage", [b"", b"{", None])
def test_a_segment_file_that_was_changed_is_cut_again(
    long: Settings, behaviours: Behaviours, monkeypatch: pytest.MonkeyPatch, damage: bytes | None
) -> None:
    """The file is cut short, changed, or removed."""
    plain = SegmentStore.segment
    done: list[int] = []

    def segment(self: SegmentStore, job_id: int, index: int, digest: bytes) -> bytes:
        if index == 3 and not done:
            done.append(index)
            path = self._folder / f"{digest.hex()}.segment"
            path.unlink()
            if damage is not None:
                path.write_bytes(damage)
        return plain(self, job_id, index, digest)

    monkeypatch.setattr(SegmentStore, "segment", segment)
    summary = run_batch(dataclasses.replace(long, cache=NoCache()))
    assert done == [3]
    assert summary.retries == 1
    assert sorted(proved_segments(behaviours)) == list(range(9))


def test_a_receipt_that_was_changed_is_made_again(
    long: Settings, behaviours: Behaviours, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = SegmentStore.receipts
    done: list[int] = []

    def receipts(self: SegmentStore, job_id: int, spans: Iterable[Span]) -> tuple[bytes, ...]:
        if not done:
            path = next(self._folder.glob("*.receipt"))
            done.append(path.write_bytes(b"other"))
        return plain(self, job_id, spans)

    monkeypatch.setattr(SegmentStore, "receipts", receipts)
    run_batch(dataclasses.replace(long, cache=NoCache()))
    assert done
    assert len(proved_segments(behaviours)) == 10


def test_a_disk_that_is_full_while_a_run_is_cut(
    long: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: SegmentStore, job_id: int, data: bytes) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(SegmentStore, "put_segment", full)
    with pytest.raises(BatchFailedError, match=r"leaf 0 failed after 1 attempt.*No space left"):
        run_batch(long)


def test_the_store_gives_only_what_was_put_into_it(tmp_path: Path) -> None:
    store = SegmentStore(tmp_path / "segments", "one")
    digest = store.put_segment(3, b"segment")
    assert store.segment(3, 1, digest) == b"segment"
    (tmp_path / "segments" / "one" / f"{digest.hex()}.segment").write_bytes(b"other")
    with pytest.raises(SegmentLostError, match="not what was kept") as caught:
        store.segment(3, 1, digest)
    assert (caught.value.job, caught.value.index) == (3, 1)


def test_the_audit_log_tells_of_every_segment(long: Settings, tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    run_batch(dataclasses.replace(long, audit=log))
    events = [json.loads(line) for line in log.read_text().splitlines()]
    (split,) = [event for event in events if event.get("event") == "split"]
    assert (split["segments"], split["segment_po2"], split["job"]) == (9, 20, 0)
    proved = [event["segment"] for event in events if event.get("event") == "segment_proved"]
    assert sorted(proved) == list(range(9))


def test_the_secret_is_the_users_alone(long: Settings, tmp_path: Path) -> None:
    run_batch(long)
    secret = tmp_path / "secret"
    assert len(secret.read_bytes()) == 32
    assert secret.stat().st_mode & 0o777 == 0o600


def test_a_store_removes_what_dead_runs_have_left_and_nothing_of_others(tmp_path: Path) -> None:
    alive, dead = SegmentStore(tmp_path, "alive"), tmp_path / "dead"
    digest = alive.put_segment(3, b"segment")
    dead.mkdir()
    (dead / "00.segment").write_bytes(b"left")
    store = SegmentStore(tmp_path, "store")
    store.put_segment(3, b"another")
    assert not dead.exists()
    assert alive.segment(0, 0, digest) == b"segment"
    store.clear()
    alive.clear()
    assert sorted(one.name for one in tmp_path.iterdir()) == [".lock"]
