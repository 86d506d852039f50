"""Engines: the contract that all of them keep, and what only worker processes can do."""

from __future__ import annotations

import contextlib
import functools
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import pytest

from runner.engines.dask_engine import DaskEngine
from runner.engines.dask_engine import _hosts as cluster_hosts
from runner.engines.engine import Engine, Host, jobs_at_once, threads_for
from runner.engines.inline import InlineEngine
from runner.engines.machine import cores
from runner.engines.processes import ProcessEngine, _Slot
from runner.engines.retry import RetryPolicy, is_transient
from runner.errors import InputError, JobTimeoutError, ProverError, WorkerDiedError
from runner.executor import PlanExecutor
from runner.model import Child, ProofJob, ReceiptKind
from runner.plan.journal import AggregationResult
from runner.plan.strategy import make_plan
from runner.provers.prover import load_prover
from runner.provers.worker import perform
from tests.fakes import calls
from tests.fakes.jobs import MemoryJobs, RecordingObserver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from runner.provers.guests import Manifest
    from runner.provers.prover import ProverSpec

PATIENCE_S = 60.0
"""The longest that a test waits. Nothing here takes long unless something is wrong."""

MIB = 1 << 20

P = ParamSpec("P")
T = TypeVar("T")


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def gone(pid: int) -> bool:
    """Whether there is no such process, or only one that waits to be collected."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


# -- the contract -----------------------------------------------------------------------------


class ThreadEngine(Engine):
    """An engine that somebody else might write, over a pool of the standard library."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(2)

    def hosts(self) -> Sequence[Host]:
        return [Host("here", 2, 2)]

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        return self._pool.submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._pool.shutdown(wait, cancel_futures=cancel_futures)


def dask_cluster() -> Engine:
    pytest.importorskip("distributed", reason="the Dask engine needs the dask extra")
    # Another cluster on this machine may have Dask's usual port.
    with socket.socket() as other, contextlib.suppress(OSError):
        other.bind(("127.0.0.1", 8787))
        other.listen()
        return DaskEngine(2)
    return DaskEngine(2)  # there is another one


ENGINES: dict[str, Callable[[], Engine]] = {
    "inline": InlineEngine,
    "processes": functools.partial(ProcessEngine, 2, timeout_s=PATIENCE_S),
    "threads": ThreadEngine,
    "dask": dask_cluster,
}


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Each engine in turn, started once for all tests of the contract."""
    with ENGINES[request.param]() as executor:
        yield executor


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
        assert [threads_for(hosts, jobs) for jobs in (1, 2, 3, 4, 100)] == [8, 4, 2, 2, 2]

    def test_the_host_that_gives_least_decides(self) -> None:
        hosts = [Host("large", 64, 2), Host("small", 4, 1)]
        assert jobs_at_once(hosts) == 3
        assert threads_for(hosts, 1) == 4
        assert threads_for([Host("none to spare", 1, 4)], 4) == 1

    def test_the_cores_of_a_clusters_workers_count_and_not_the_runners(self) -> None:
        workers = {
            "tcp://10.0.0.1:1": {"host": "10.0.0.1", "nthreads": 1},
            "tcp://10.0.0.1:2": {"host": "10.0.0.1", "nthreads": 1},
            "tcp://10.0.0.2:1": {"host": "10.0.0.2", "nthreads": 1},
        }
        cores_of = dict.fromkeys(workers, 96)
        hosts = cluster_hosts(workers, cores_of)
        assert hosts == [Host("10.0.0.1", 96, 2), Host("10.0.0.2", 96, 1)]
        assert threads_for(hosts, 3) == 48

    def test_the_dask_engine_asks_a_cluster_elsewhere_for_its_workers(self) -> None:
        distributed = pytest.importorskip("distributed")
        with distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
        ) as cluster:
            with DaskEngine(address=cluster.scheduler_address) as engine:
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
            DaskEngine(address=cluster.scheduler_address) as engine,
            pytest.raises(InputError, match=r"executor\.engine\.address = .*has no worker"),
        ):
            engine.hosts()

    def test_an_address_where_nobody_answers_is_refused(self) -> None:
        dask = pytest.importorskip("dask")
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            address = f"tcp://127.0.0.1:{unused.getsockname()[1]}"
        with dask.config.set({"distributed.comm.timeouts.connect": "1s"}):
            with pytest.raises(
                InputError, match=r"executor\.engine\.address = .*no Dask scheduler"
            ):
                DaskEngine(address=address).hosts()

    def test_dask_calls_a_killed_worker_transient(self) -> None:
        distributed = pytest.importorskip("distributed")
        error = distributed.KilledWorker("job", None, 1)
        assert is_transient(error, DaskEngine(1).transient)
        assert not is_transient(error)

    def test_inline_refuses_more_workers_than_it_is(self) -> None:
        with pytest.raises(InputError, match=r"executor\.workers = 2"):
            InlineEngine(2)


def test_inline_lets_an_interrupt_through() -> None:
    with pytest.raises(KeyboardInterrupt):
        InlineEngine().submit(calls.raise_error, KeyboardInterrupt())  # type: ignore[arg-type]


# -- worker processes -------------------------------------------------------------------------


@pytest.fixture
def one() -> Iterator[ProcessEngine]:
    with ProcessEngine(1, timeout_s=PATIENCE_S) as executor:
        yield executor


@pytest.fixture
def two() -> Iterator[ProcessEngine]:
    with ProcessEngine(2, timeout_s=PATIENCE_S) as executor:
        yield executor


class TestDeath:
    def test_a_killed_worker_costs_only_its_own_job(self, two: ProcessEngine) -> None:
        before = [two.submit(calls.add, n) for n in range(5)]
        victim = two.submit(calls.end, "kill")
        after = [two.submit(calls.add, n) for n in range(5)]
        with pytest.raises(WorkerDiedError, match="signal SIGKILL"):
            victim.result(PATIENCE_S)
        assert [f.result(PATIENCE_S) for f in before + after] == [*range(5), *range(5)]

    def test_an_exit_is_told_with_its_code(self, one: ProcessEngine) -> None:
        with pytest.raises(WorkerDiedError, match="exit code 3"):
            one.submit(calls.end, "exit").result(PATIENCE_S)
        assert one.submit(calls.add, 1).result(PATIENCE_S) == 1

    def test_killed_in_mid_answer(self, two: ProcessEngine) -> None:
        victim = two.submit(calls.die_writing, 4 * MIB)
        other = two.submit(calls.zeros, 4 * MIB)
        with pytest.raises(WorkerDiedError, match="signal SIGKILL"):
            victim.result(PATIENCE_S)
        assert other.result(PATIENCE_S) == bytes(4 * MIB)
        assert two.submit(calls.add, 1).result(PATIENCE_S) == 1

    def test_killed_around_the_answer_at_random(self, two: ProcessEngine) -> None:
        rng = random.Random(7)
        size = 4 * MIB
        for _ in range(6):
            victim = two.submit(calls.die_soon, rng.uniform(0, 0.01), size)
            others = [two.submit(calls.zeros, size) for _ in range(2)]
            error = victim.exception(PATIENCE_S)
            assert error is None or isinstance(error, WorkerDiedError)
            if error is None:
                assert victim.result() == bytes(size)
            for other in others:
                # A worker may die after its answer, when it has the next job already.
                found = other.exception(PATIENCE_S)
                assert found is None or isinstance(found, WorkerDiedError)
                assert found is not None or other.result() == bytes(size)

    def test_an_idle_worker_that_was_killed_is_replaced(self, one: ProcessEngine) -> None:
        pid = one.submit(calls.own_pid).result(PATIENCE_S)
        assert one.pids() == [pid]
        os.kill(pid, signal.SIGKILL)
        until(lambda: one.pids() == [])
        assert one.submit(calls.own_pid).result(PATIENCE_S) not in (pid, os.getpid())

    def test_an_overrun_ends_the_worker(self, one: ProcessEngine) -> None:
        pid = one.submit(calls.own_pid).result(PATIENCE_S)
        one._slots[0]._timeout_s = 0.05
        with pytest.raises(JobTimeoutError) as caught:
            one.submit(time.sleep, 3600).result(PATIENCE_S)
        assert caught.value.timeout_s == 0.05
        assert gone(pid)
        one._slots[0]._timeout_s = PATIENCE_S
        assert one.submit(calls.own_pid).result(PATIENCE_S) != pid

    def test_workers_end_with_a_parent_that_is_killed(self, tmp_path: Path) -> None:
        script = (
            "import sys, time; from pathlib import Path\n"
            f"sys.path[:0] = {sys.path!r}\n"
            "from runner.engines.processes import ProcessEngine\n"
            "from tests.fakes import calls\n"
            "engine, folder = ProcessEngine(2), Path(sys.argv[1])\n"
            "for n in '01':\n"
            "    engine.submit(calls.wait_for, folder / n, folder / 'never', 0)\n"
            "while not ((folder / '0').exists() and (folder / '1').exists()): time.sleep(0.01)\n"
            "print(*engine.pids(), flush=True)\n"
            "time.sleep(3600)\n"
        )
        with subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True
        ) as parent:
            try:
                assert parent.stdout is not None
                pids = [int(pid) for pid in parent.stdout.readline().split()]
                assert len(pids) == 2
                assert not any(gone(pid) for pid in pids)
            finally:
                parent.kill()
        until(lambda: all(gone(pid) for pid in pids))


def test_what_does_not_pickle_says_so_and_spares_the_worker(one: ProcessEngine) -> None:
    pid = one.submit(calls.own_pid).result(PATIENCE_S)

    result = one.submit(calls.unpicklable).exception(PATIENCE_S)
    assert type(result) is TypeError
    assert str(result).startswith("the result does not pickle: ")

    error = one.submit(calls.raise_unpicklable, loads=True).exception(PATIENCE_S)
    assert repr(error) == """RuntimeError("UnpicklableError: ('one', 'two')")"""
    error = one.submit(calls.raise_unpicklable, loads=False).exception(PATIENCE_S)
    assert repr(error) == "RuntimeError('UnloadableError: one two')"

    argument = one.submit(calls.echo, lambda: None).exception(PATIENCE_S)
    assert "pickle" in str(argument)
    argument = one.submit(calls.echo, calls.BadCargo()).exception(PATIENCE_S)
    assert str(argument) == "will not load [bad_argument]"

    assert one.submit(calls.own_pid).result(PATIENCE_S) == pid


class TestEnd:
    def test_workers_start_when_needed(self) -> None:
        with ProcessEngine(3) as executor:
            assert executor.pids() == []
            pid = executor.submit(calls.own_pid).result(PATIENCE_S)
            assert executor.pids() == [pid]
            assert pid != os.getpid()
        assert executor.pids() == []
        assert gone(pid)

    def test_shutdown_finishes_what_is_queued(self) -> None:
        executor = ProcessEngine(1)
        futures = [executor.submit(calls.add, n) for n in range(5)]
        executor.shutdown(wait=False)
        assert [future.result(PATIENCE_S) for future in futures] == list(range(5))
        executor.shutdown()
        with pytest.raises(RuntimeError, match="shut down"):
            executor.submit(calls.add, 1)

    def test_shutdown_of_an_engine_never_used(self) -> None:
        ProcessEngine(2).shutdown()
        ProcessEngine(2).kill()

    @pytest.mark.parametrize("late", [False, True], ids=["at once", "on second thought"])
    def test_cancel_futures_spares_the_running_job(
        self, one: ProcessEngine, tmp_path: Path, *, late: bool
    ) -> None:
        started, gate = tmp_path / "started", tmp_path / "gate"
        running = one.submit(calls.wait_for, started, gate, 5)
        queued = [one.submit(calls.add, n) for n in range(3)]
        until(started.exists)
        if late:
            one.shutdown(wait=False)
        one.shutdown(wait=False, cancel_futures=True)
        assert all(future.cancelled() for future in queued)
        gate.touch()
        assert running.result(PATIENCE_S) == 5
        one.shutdown()
        assert one.pids() == []

    def test_kill_ends_everything_at_once(self, two: ProcessEngine, tmp_path: Path) -> None:
        names = ["a", "b"]
        running = [
            two.submit(calls.wait_for, tmp_path / name, tmp_path / "never", 0) for name in names
        ]
        queued = [two.submit(calls.add, n) for n in range(3)]
        until(lambda: all((tmp_path / name).exists() for name in names))
        pids = two.pids()
        assert len(pids) == 2
        waiting = threading.Thread(target=wait, args=(queued, PATIENCE_S))
        waiting.start()
        two.kill()
        for future in running:
            with pytest.raises(WorkerDiedError):
                future.result(PATIENCE_S)
        for future in queued:
            with pytest.raises(CancelledError):
                future.result(PATIENCE_S)
        # A thread that waits for several futures at once is told too.
        assert not wait([*running, *queued], PATIENCE_S / 2).not_done
        two.shutdown()
        waiting.join(PATIENCE_S / 2)
        assert not waiting.is_alive()
        assert all(gone(pid) for pid in pids)
        with pytest.raises(RuntimeError, match="shut down"):
            two.submit(calls.add, 1)

    def test_kill_while_a_worker_starts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        slot = _Slot(None)
        discard = slot._discard

        def killed_meanwhile() -> None:
            discard()
            slot.kill()  # there is no process yet

        monkeypatch.setattr(slot, "_discard", killed_meanwhile)
        with pytest.raises(WorkerDiedError):
            slot.run(time.sleep, (3600,), {})

    def test_a_cancelled_job_never_runs(self, one: ProcessEngine, tmp_path: Path) -> None:
        gate = tmp_path / "gate"
        running = one.submit(calls.wait_for, tmp_path / "started", gate, 1)
        cancelled = one.submit(calls.wait_for, tmp_path / "never", gate, 2)
        last = one.submit(calls.add, 3)
        assert cancelled.cancel()
        gate.touch()
        assert (running.result(PATIENCE_S), last.result(PATIENCE_S)) == (1, 3)
        assert not (tmp_path / "never").exists()

    def test_an_interrupt_of_the_group_is_the_parents_to_judge(
        self, one: ProcessEngine, tmp_path: Path
    ) -> None:
        gate = tmp_path / "gate"
        running = one.submit(calls.wait_for, tmp_path / "started", gate, 1)
        until((tmp_path / "started").exists)
        os.kill(one.pids()[0], signal.SIGINT)
        gate.touch()
        assert running.result(PATIENCE_S) == 1
