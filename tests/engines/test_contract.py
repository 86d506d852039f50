"""The contract that every engine keeps, and what each says about itself."""

from __future__ import annotations

import functools
import socket
import struct
from typing import TYPE_CHECKING

import pytest

from runner.engines.dask_engine import DaskEngine
from runner.engines.engine import Engine, Host, jobs_at_once, threads_for
from runner.engines.inline import InlineEngine
from runner.engines.retry import RetryPolicy, is_transient
from runner.errors import InputError, JobTimeoutError, ProverError
from runner.executor import PlanExecutor
from runner.limits import cores
from runner.model import Child, ProofJob, ReceiptKind
from runner.plan.journal import AggregationResult
from runner.plan.strategy import make_plan
from runner.provers.prover import load_prover
from runner.provers.worker import perform
from tests.engines.cases import MIB, PATIENCE_S
from tests.fakes import calls
from tests.fakes.jobs import MemoryJobs, RecordingObserver

if TYPE_CHECKING:
    from concurrent.futures import Future
    from pathlib import Path

    from runner.provers.guests import Manifest
    from runner.provers.prover import ProverSpec


class TestContract:
    def test_results_come_back(self, engine: Engine) -> None:
        assert engine.submit(calls.add, 2, b=3).result(PATIENCE_S) == 5
        assert engine.submit(functools.partial(calls.add, 4), 1).result(PATIENCE_S) == 5
        big = engine.submit(calls.zeros, 3 * MIB).result(PATIENCE_S)
        assert big == bytes(3 * MIB)

    def test_none_is_a_result(self, engine: Engine) -> None:
        future: Future[None] = engine.submit(calls.echo, None)
        assert future.exception(PATIENCE_S) is None
        assert future.done()

    @pytest.mark.parametrize(
        "error",
        [
            ProverError("guest_failed", "panic"),
            InputError("guest.inputs[3].n", -1, "too small", "give more"),
            JobTimeoutError(1.5),
            ValueError("plain"),
            OSError(28, "No space left on device"),
            EOFError("not the pipe's"),
        ],
        ids=lambda error: type(error).__name__,
    )
    def test_exceptions_keep_type_and_fields(self, engine: Engine, error: Exception) -> None:
        found = engine.submit(calls.raise_error, error).exception(PATIENCE_S)
        assert type(found) is type(error)
        assert found.args == error.args
        assert {k: v for k, v in vars(found).items() if not k.startswith("__")} == vars(error)

    def test_a_failure_leaves_the_engine_usable(self, engine: Engine) -> None:
        with pytest.raises(ValueError, match="first"):
            engine.submit(calls.raise_error, ValueError("first")).result(PATIENCE_S)
        assert engine.submit(calls.add, 1, 1).result(PATIENCE_S) == 2

    def test_many_jobs_answer_their_own_futures(self, engine: Engine) -> None:
        futures = [engine.submit(calls.add, n, 1000) for n in range(60)]
        assert [future.result(PATIENCE_S) for future in futures] == list(range(1000, 1060))
        assert list(engine.map(calls.add, range(20), range(20))) == list(range(0, 40, 2))

    def test_the_same_call_runs_again(
        self, engine: Engine, guests: Path, fake_spec: ProverSpec, manifest: Manifest
    ) -> None:
        """An engine must not answer a retry from its memory of the first attempt."""
        job = ProofJob(0, "leaf 0", manifest.get("sha256"), b"x", (), fake_spec.kind)
        first, second = (
            engine.submit(perform, fake_spec, job).result(PATIENCE_S) for _ in range(2)
        )
        assert first.receipt == second.receipt
        assert first.finished < second.finished

    def test_jobs_cross_unchanged(self, engine: Engine, manifest: Manifest) -> None:
        child = Child(bytes(32), b"journal", b"receipt" * 1000)
        job = ProofJob(
            7, "leaf 7", manifest.get("sha256"), b"in", (child,), ReceiptKind.SUCCINCT, 2
        )
        assert engine.submit(calls.echo, job).result(PATIENCE_S) == job

    def test_a_plan_with_aggregations_completes(
        self, engine: Engine, manifest: Manifest, fake_spec: ProverSpec
    ) -> None:
        plan = make_plan("two_level", [0, 1, 2, 0, 3, 4, 5], fan_in=2)
        jobs = MemoryJobs(
            plan,
            manifest.get("fibonacci"),
            manifest.get("aggregator"),
            [struct.pack("<I", n) for n in range(plan.leaf_jobs)],
        )
        observer = RecordingObserver()
        PlanExecutor(
            plan,
            engine=engine,
            task=functools.partial(perform, fake_spec),
            jobs=jobs,
            observers=[observer],
            policy=RetryPolicy(attempts=1),
            hosts=engine.hosts(),
            cached=False,
        ).run()
        assert sorted(jobs.accepted) == list(range(plan.jobs))
        root = jobs.outcomes[plan.jobs - 1]
        assert AggregationResult.decode(root.journal) == jobs.expected_root()
        assert root.receipt is not None
        prover = load_prover(fake_spec)
        assert prover.verify(root.receipt, manifest.get("aggregator").image_id) == root.journal
        assert max(active for active, _ in observer.loads) <= 2


class TestWhatAnEngineSays:
    def test_jobs_on_a_host_share_its_cores_and_a_lone_one_has_them_all(self) -> None:
        hosts = [Host("a", 8, 4)]
        assert [threads_for(hosts, jobs) for jobs in (1, 2, 3, 4, 100)] == [8, 4, 3, 2, 2]

    def test_no_core_idles_for_the_last_jobs_and_none_that_the_user_keeps_is_taken(self) -> None:
        assert [threads_for([Host("a", 16, 16)], jobs) for jobs in (9, 15, 16)] == [2, 2, 1]
        assert [threads_for([Host("a", 16, 10)], jobs) for jobs in (9, 10, 11)] == [2, 1, 1]

    def test_the_host_that_gives_least_decides(self) -> None:
        hosts = [Host("large", 64, 2), Host("small", 4, 1)]
        assert jobs_at_once(hosts) == 3
        assert threads_for(hosts, 1) == 4
        assert threads_for([Host("none to spare", 1, 4)], 4) == 1

    def test_the_dask_engine_asks_a_cluster_elsewhere_for_its_workers(self) -> None:
        distributed = pytest.importorskip("distributed")
        with distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
        ) as cluster:
            with DaskEngine(address=cluster.scheduler_address) as engine:
                while jobs_at_once(engine.hosts()) < 2:
                    pass  # the second worker may join a moment later
                assert engine.hosts() == [Host("127.0.0.1", cores(), 2)]
                assert engine.submit(calls.add, 2, b=3).result(PATIENCE_S) == 5
            with pytest.raises(InputError, match=r"executor\.workers = 5: .*its own number"):
                DaskEngine(5, address=cluster.scheduler_address)

    def test_a_cluster_without_workers_is_refused(self) -> None:
        distributed = pytest.importorskip("distributed")
        with (
            distributed.LocalCluster(
                n_workers=0, host="127.0.0.1", dashboard_address="127.0.0.1:0"
            ) as cluster,
            DaskEngine(address=cluster.scheduler_address, wait_s=0.2) as engine,
            pytest.raises(InputError, match=r"executor\.engine\.address = .*no worker after 0\.2"),
        ):
            engine.hosts()

    def test_an_address_where_nobody_answers_is_refused(self) -> None:
        dask = pytest.importorskip("dask")
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            address = f"tcp://127.0.0.1:{unused.getsockname()[1]}"
        with (
            dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
            pytest.raises(InputError, match=r"executor\.engine\.address = .*no Dask scheduler"),
        ):
            DaskEngine(address=address, wait_s=1.0).hosts()

    def test_dask_calls_a_killed_worker_transient(self) -> None:
        distributed = pytest.importorskip("distributed")
        error = distributed.KilledWorker("job", None, 1)
        assert is_transient(error, DaskEngine(1).transient)
        assert not is_transient(error)

    def test_inline_refuses_more_than_one_worker(self) -> None:
        with pytest.raises(InputError, match=r"executor\.workers = 2"):
            InlineEngine(2)


def test_inline_lets_an_interrupt_through() -> None:
    with pytest.raises(KeyboardInterrupt):
        InlineEngine().submit(calls.raise_error, KeyboardInterrupt())  # type: ignore[arg-type]
