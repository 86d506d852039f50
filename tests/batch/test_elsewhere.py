"""Batches whose workers share no file with the runner: what goes by digest, and what is kept."""

from __future__ import annotations

import dataclasses
import gc
import hashlib
import os
import platform
import shutil
import sys
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, TypeVar

import pytest

from runner.batch.batch_run import BatchRun
from runner.batch.leaf_records import LeafRecords
from runner.batch.outcomes import Outcomes
from runner.batch.run import run as run_batch
from runner.batch.settings import StoreSettings
from runner.batch.spool import Spool
from runner.cache.cache import NoCache
from runner.engines.inline import InlineEngine
from runner.engines.processes import ProcessEngine
from runner.errors import BatchFailedError, InputError
from runner.jobs.placement import near
from runner.jobs.site import folder_files
from runner.model import Child, Leaf, Outcome, ProofJob, ReceiptKind, Stored
from runner.store.artifacts import Artifacts
from runner.store.keep import Keep
from runner.store.place import PlaceSettings, UrlPlace
from runner.store.sweep import Bound
from runner.verify.__main__ import main as verify
from tests import builders
from tests.batch.outcomes import made, metrics, record
from tests.fakes.guests import sample_guest
from tests.fakes.jobs import outcome_of
from tests.fakes.prover import ADAPTER

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from pathlib import Path

    from runner.batch.batch import Root
    from runner.batch.settings import Settings
    from runner.engines.engine import Requirements
    from runner.provers.guests import Manifest
    from tests.fakes.behaviours import Behaviours


P = ParamSpec("P")
T = TypeVar("T")


class ElsewhereEngine(InlineEngine):
    """An engine whose only worker has nothing of the runner's files. It is this thread.

    Attributes:
        jobs: the jobs that it was given, as they travelled.
        outcomes: what came back.
    """

    elsewhere: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[ProofJob] = []
        self.outcomes: list[Outcome] = []

    def require(self, requirements: Requirements) -> None:
        keep = Keep()
        for digest in keep.lacks(tuple(requirements.files)):
            keep.put(requirements.files[digest].read_bytes())
        facts = requirements.facts()
        assert {name: facts.get(name) for name in requirements.expected} == requirements.expected

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        (job,) = args
        assert isinstance(job, ProofJob)
        self.jobs.append(job)
        self.before(job)
        future = super().submit(fn, *args, **kwargs)
        if future.exception() is None:
            outcome = future.result()
            assert isinstance(outcome, Outcome)
            self.outcomes.append(outcome)
        return future

    def before(self, job: ProofJob) -> None:
        """What happens before a job; a test may have it otherwise."""


@pytest.fixture
def engine() -> ElsewhereEngine:
    return ElsewhereEngine()


@pytest.fixture(autouse=True)
def own_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the worker keeps on its own disk."""
    monkeypatch.setenv("RUNNER_ARTIFACTS", str(tmp_path / "worker"))
    return tmp_path / "worker"


@pytest.fixture
def shared(settings: Settings, engine: ElsewhereEngine, tmp_path: Path) -> Settings:
    """A batch with a store and workers elsewhere."""
    place = PlaceSettings(f"file://{tmp_path}/store")
    store = StoreSettings(place, Bound(10_000_000))
    return dataclasses.replace(settings, store=store, make_engine=lambda: engine)


def again(settings: Settings, name: str) -> Settings:
    return dataclasses.replace(settings, output=settings.output.with_name(name))


def verified(settings: Settings) -> bool:
    arguments = [str(settings.output), "--adapter", ADAPTER, "--guests", str(settings.guests)]
    return verify(arguments) == 0


def test_no_receipt_passes_through_the_runner(shared: Settings, engine: ElsewhereEngine) -> None:
    summary = run_batch(shared)
    assert made(summary) == (7, 0)
    assert [outcome.receipt for outcome in engine.outcomes] == [None] * 7
    assert all(child.receipt is None for job in engine.jobs for child in job.children)
    assert all(child.stored is not None for child in engine.jobs[-1].children)
    assert verified(shared)
    counted = metrics(shared)
    sent = sum(outcome.visit.sent for outcome in engine.outcomes if outcome.visit is not None)
    assert counted['l2_store_bytes_total{way="sent"}'] == sent > 0
    assert counted['l2_store_bytes_total{way="fetched"}'] == 0
    # The aggregation ran where its children had been made.
    assert counted['l2_store_bytes_total{way="kept"}'] > 0
    assert counted[f'l2_host_jobs{{host="{platform.node()}"}}'] == 7
    assert counted["l2_store_errors_total"] == 0
    found = record(shared)
    assert all(job["receipt_bytes"] > 0 for job in found["jobs"])


def test_the_bound_of_the_store_is_kept_where_only_workers_write(
    shared: Settings, tmp_path: Path
) -> None:
    old = Artifacts(UrlPlace(PlaceSettings(f"file://{tmp_path}/store"))).put(b"old")
    path = tmp_path / "store" / "blobs" / old[:2] / old
    os.utime(path, (0, 0))
    assert shared.store is not None
    bound = Bound(max_bytes=16, protect_s=3600.0)
    run_batch(dataclasses.replace(shared, store=dataclasses.replace(shared.store, bound=bound)))
    assert not path.exists()
    # What this batch has written is young, and stays.
    assert made(run_batch(again(shared, "second"))) == (0, 7)


def test_a_worker_elsewhere_costs_the_runner_no_more_memory_than_one_here(
    shared: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[BatchRun] = []
    run = BatchRun.run

    def noted(self: BatchRun, **named: Any) -> Root | None:  # noqa: ANN401  # those of run
        runs.append(self)
        return run(self, **named)

    monkeypatch.setattr(BatchRun, "run", noted)
    for name, processes in (("one", ElsewhereProcesses), ("two", ProcessEngine)):
        run_batch(
            dataclasses.replace(
                again(shared, name),
                cache=NoCache(),
                make_engine=lambda processes=processes: processes(1),  # type: ignore[misc]
            )
        )
    elsewhere, here = runs
    assert len(elsewhere.outcomes) == len(here.outcomes) == 7
    # Both keep the same, as texts in which the times of each run have more digits or fewer.
    assert held(elsewhere.outcomes) <= 1.01 * held(here.outcomes)


def test_the_memory_for_a_leaf_is_that_of_a_digest_and_a_few_numbers(tmp_path: Path) -> None:
    def kept(leaves: int) -> int:
        """The bytes that are held when so many leaves have finished."""
        found = LeafRecords.of(
            Leaf(index, {"data": f"leaf-{index}"}, b"leaf-%d" % index) for index in range(leaves)
        )
        outcomes, spool = Outcomes(), Spool(tmp_path)
        for index in range(leaves):
            outcome = outcome_of(job_for(index))
            outcomes.put(outcome)
            outcomes.receipt_bytes[index] = 300_000
            digest = hashlib.sha256(b"%d" % index).hexdigest()
            spool.refer(index, Stored(digest, 300_000, f"machine-{index % 9}"))
        assert len(found) == len(outcomes) == leaves
        return held((found, outcomes, spool))

    few, many = 3_000, 9_000  # all of which have more than the records that stay in memory
    assert (kept(many) - kept(few)) / (many - few) < 100


def job_for(index: int) -> ProofJob:
    return ProofJob(
        index, f"leaf {index}", sample_guest(), b"%d" % index, (), ReceiptKind.COMPOSITE
    )


class ElsewhereProcesses(ProcessEngine):
    """Worker processes that have nothing of the runner's files."""

    elsewhere: ClassVar[bool] = True


def held(what: object) -> int:
    """The bytes of all data that an object leads to, each counted once."""
    seen: dict[int, object] = {}
    waiting = [what]
    while waiting:
        one = waiting.pop()
        if id(one) not in seen and not isinstance(one, type | ReceiptKind):
            seen[id(one)] = one
            waiting += gc.get_referents(one)
    return sum(map(sys.getsizeof, seen.values()))


def test_a_worker_has_nothing_but_what_came_by_digest(
    shared: Settings, engine: ElsewhereEngine, own_disk: Path
) -> None:
    run_batch(shared)
    # The program's path on the worker is below the worker's own folder.
    programs = {path.name for path in own_disk.glob("folders/*/elfs/*")}
    assert programs == {"aggregator.bin", "sha256.bin"}


def test_without_a_store_files_and_receipts_go_with_the_jobs(
    settings: Settings, engine: ElsewhereEngine
) -> None:
    settings = dataclasses.replace(settings, make_engine=lambda: engine)
    assert made(run_batch(settings)) == (7, 0)
    assert all(outcome.receipt for outcome in engine.outcomes)
    assert verified(settings)
    # Without a store, the runner looks jobs up in its own cache.
    assert made(run_batch(again(settings, "again"))) == (0, 7)


def test_the_next_run_finds_every_proof_in_the_store(
    shared: Settings, engine: ElsewhereEngine, own_disk: Path
) -> None:
    run_batch(shared)
    shutil.rmtree(own_disk)
    second = again(shared, "second")
    assert made(run_batch(second)) == (0, 7)
    assert (metrics(second)["l2_cache_hits_total"], metrics(second)["l2_cache_misses_total"]) == (
        7,
        7,
    )
    assert verified(second)


def test_what_was_finished_before_a_failure_is_not_proved_again(
    shared: Settings, engine: ElsewhereEngine, behaviours: Behaviours
) -> None:
    behaviours.on("fail", stdin=builders.stdin(4))
    with pytest.raises(BatchFailedError):
        run_batch(shared)
    before = len(behaviours.runs())
    behaviours.clear()
    run_batch(again(shared, "second"))
    finished = before - 1
    assert len(behaviours.runs()) == before + 7 - finished


def test_a_worker_on_one_machine_has_what_another_has_put(
    shared: Settings, tmp_path: Path, behaviours: Behaviours
) -> None:
    """A run with workers of its own has the store as the second tier of its cache."""
    run_batch(shared)
    here = dataclasses.replace(again(shared, "here"), make_engine=builders.TwoWorkers)
    assert made(run_batch(here)) == (0, 7)
    # What came from the store is now in this machine's own cache as well.
    assert here.store is not None
    shutil.rmtree(tmp_path / "store")
    assert made(run_batch(again(here, "later"))) == (0, 7)


def test_a_run_here_gives_its_proofs_to_the_store(
    shared: Settings, tmp_path: Path, engine: ElsewhereEngine
) -> None:
    run_batch(dataclasses.replace(shared, make_engine=builders.TwoWorkers))
    assert made(run_batch(again(shared, "elsewhere"))) == (0, 7)


def test_a_damaged_receipt_in_the_store_is_proved_anew(
    shared: Settings, tmp_path: Path, own_disk: Path
) -> None:
    run_batch(shared)
    shutil.rmtree(own_disk)
    for blob in (tmp_path / "store" / "blobs").glob("??/*"):
        if blob.read_bytes().startswith(b"fake"):
            blob.write_bytes(blob.read_bytes()[:-1] + b"?")
    assert made(run_batch(again(shared, "second"))) == (7, 0)


def test_a_receipt_under_another_key_is_no_hit(
    shared: Settings, tmp_path: Path, own_disk: Path
) -> None:
    run_batch(shared)
    first, second, *_ = sorted((tmp_path / "store" / "proofs").glob("??/*"))
    first_label, second_label = first.read_bytes(), second.read_bytes()
    first.write_bytes(second_label)
    second.write_bytes(first_label)
    assert made(run_batch(again(shared, "second"))) == (2, 5)


def test_a_store_that_fails_in_the_middle_costs_no_proof(
    shared: Settings,
    tmp_path: Path,
    engine: ElsewhereEngine,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from runner.errors import StoreError
    from runner.store.place import UrlPlace

    write = UrlPlace.write

    def full(self: UrlPlace, name: str, data: bytes) -> None:
        if data.startswith(b"fake"):
            raise StoreError(self.url, "no space left")
        write(self, name, data)

    monkeypatch.setattr(UrlPlace, "write", full)
    assert made(run_batch(shared)) == (7, 0)
    assert all(outcome.receipt for outcome in engine.outcomes)  # they came with the outcomes
    assert "no space left" in caplog.text
    assert metrics(shared)["l2_store_errors_total"] == 7
    assert verified(shared)


def test_a_receipt_that_is_gone_fails_its_parent_and_is_proved_by_the_next_run(
    shared: Settings, tmp_path: Path, own_disk: Path, engine: ElsewhereEngine
) -> None:
    def lose(job: ProofJob) -> None:
        if job.children:
            for folder in (own_disk, tmp_path / "store" / "blobs"):
                for blob in folder.glob("??/*"):
                    if blob.read_bytes().startswith(b"fake"):
                        blob.unlink()

    engine.before = lose  # type: ignore[method-assign]
    with pytest.raises(BatchFailedError, match="is not there"):
        run_batch(shared)
    del engine.before
    assert made(run_batch(again(shared, "second"))) == (7, 0)


def test_strategy_none_leaves_every_receipt_in_the_folder(shared: Settings) -> None:
    settings = dataclasses.replace(shared, strategy=builders.strategy("none"))
    run_batch(settings)
    assert len(list((settings.output / "receipts").iterdir())) == 6
    assert verified(settings)


def test_a_store_that_cannot_be_written_is_refused_before_any_proof(
    shared: Settings, tmp_path: Path, behaviours: Behaviours
) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert shared.store is not None
    place = PlaceSettings(f"file://{tmp_path}/file")
    broken = dataclasses.replace(shared, store=dataclasses.replace(shared.store, place=place))
    with pytest.raises(InputError, match=r"store\.url = "):
        run_batch(broken)
    assert behaviours.runs() == []


def test_worker_processes_of_this_machine_do_the_same(shared: Settings) -> None:
    settings = dataclasses.replace(shared, make_engine=lambda: ElsewhereProcesses(2))
    assert made(run_batch(settings)) == (7, 0)
    assert verified(settings)


def test_an_aggregation_runs_best_where_most_of_its_bytes_are() -> None:
    def child(host: str, size: int) -> Child:
        return Child(bytes(32), b"", None, Stored("00" * 32, size, host))

    job = ProofJob(9, "aggregation 9", sample_guest(), b"", (), ReceiptKind.COMPOSITE)
    assert near(job) is None
    children = (child("b", 10), child("a", 6), child("a", 5))
    assert near(dataclasses.replace(job, children=children)) == "a"
    assert near(dataclasses.replace(job, children=(child("b", 1), child("a", 1)))) == "a"
    by_value = (Child(bytes(32), b"", b"receipt"),)
    assert near(dataclasses.replace(job, children=by_value)) is None


def test_a_program_that_lies_elsewhere_than_the_guests_goes_too(
    guests: Path, tmp_path: Path, manifest: Manifest
) -> None:
    program = tmp_path / "program.bin"
    program.write_bytes(manifest.get("sha256").elf_path.read_bytes())
    guest = dataclasses.replace(manifest.get("sha256"), elf_path=program)
    files = folder_files(guests, [guest])
    assert files[f"programs/{guest.elf_sha256}.bin"] == program
    assert "manifest.json" in files
