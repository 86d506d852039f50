"""A Dask cluster whose workers join late, are refused, die, freeze, and lose their scheduler."""

from __future__ import annotations

import functools
import os
import platform
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("distributed", reason="the Dask engine needs the dask extra")

from runner.engines.dask_engine import DaskEngine
from runner.engines.dask_fleet import Fleet
from runner.engines.engine import Host, Requirements, jobs_at_once
from runner.errors import InputError, JobTimeoutError, WorkerDiedError
from tests.engines.cases import PATIENCE_S, until
from tests.engines.machines import Machines
from tests.fakes import calls

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

pytestmark = pytest.mark.cluster


def facts(expected: Mapping[str, str]) -> dict[str, str]:
    """What a worker says of itself; the environment may have it say something else."""
    found = {**expected, "host": host_of(), "cores": "4"}
    if "FAKE_ZKVM" in os.environ:
        found["zkVM"] = os.environ["FAKE_ZKVM"]
    return found


def host_of(near: str = "") -> str:
    """The name of the machine; the environment may have it another."""
    return os.environ.get("FAKE_HOST", platform.node())


def hold(near: str, started: Path, gate: Path) -> str:
    calls.wait_for(started, gate, 0)
    return host_of()


EXPECTED = {"zkVM": "fake 1.0.0", "Python": platform.python_version()}


def required() -> Requirements:
    return Requirements(functools.partial(facts, EXPECTED), EXPECTED, {})


class EngineUnderTest(DaskEngine):
    """An engine that does not wait for its jobs when a test has failed."""

    def __exit__(self, kind: object, *_: object) -> None:
        self.kill() if kind else self.shutdown()


def engine_at(machines: Machines, **settings: float) -> DaskEngine:
    given = {"wait_s": PATIENCE_S, "heartbeat_s": 0.1, **settings}
    engine = EngineUnderTest(address=machines.address, **given)  # type: ignore[arg-type]
    engine.require(required())
    return engine


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    with Machines(tmp_path) as started:
        started.start_scheduler()
        yield started


class TestWhoMayWork:
    def test_a_worker_that_differs_is_refused_by_name_and_the_others_go_on(
        self, machines: Machines, caplog: pytest.LogCaptureFixture, tmp_path: Path
    ) -> None:
        hidden = tmp_path / "hidden" / "runner"
        hidden.mkdir(parents=True)
        (hidden / "__init__.py").write_text("raise ImportError('the runner is not here')\n")
        machines.start_worker("differs", FAKE_ZKVM="fake 0.9.0")
        machines.start_worker("without", PYTHONPATH=str(hidden.parent))
        machines.start_worker("right")
        with engine_at(machines) as engine:
            assert engine.hosts() == [Host("127.0.0.1", 4, 1)]
            pids = {engine.submit(calls.own_pid).result(PATIENCE_S) for _ in range(4)}
            assert len(pids) == 1
            until(lambda: len(engine._fleet.refusals()) == 2)
            # One that joins while the batch runs is taken in, and the executor is told.
            machines.start_worker("late", "--nthreads", "2")
            until(lambda: jobs_at_once(engine.changed() or ()) == 3)
        lines = sorted(record.message for record in caplog.records if "no jobs" in record.message)
        assert len(lines) == 2
        assert any("its zkVM is fake 0.9.0, the runner's is fake 1.0.0" in line for line in lines)
        assert any("the runner is not here" in line for line in lines)

    def test_nobody_is_taken_for_gone_whom_dasks_own_look_leaves_out(
        self, machines: Machines, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")
        machines.start_worker("one")
        with engine_at(machines) as engine:
            engine.hosts()
            assert engine._cluster is not None
            client, looked = engine._cluster.client, threading.Event()

            def look_without_workers() -> None:
                while not looked.is_set():
                    client.sync(client._update_scheduler_info, n_workers=0)

            dask = threading.Thread(target=look_without_workers)
            dask.start()
            try:
                for _ in range(200):
                    engine._fleet.look(client)
            finally:
                looked.set()
                dask.join()
        assert [line for line in caplog.messages if "has left the cluster" in line] == []

    def test_a_cluster_of_refused_workers_is_one_line_before_any_proof(
        self, machines: Machines
    ) -> None:
        machines.start_worker("differs", FAKE_ZKVM="fake 0.9.0")
        until(lambda: "Registered to" in machines.log("differs"))
        engine = engine_at(machines, wait_s=12.0)  # a machine with much to do looks for seconds
        with pytest.raises(InputError, match=r"no worker that may work.* its zkVM is fake 0\.9\.0"):
            engine.hosts()
        engine.kill()

    def test_jobs_ask_for_resources(self, machines: Machines) -> None:
        machines.start_worker("plain", "--nthreads", "4")
        machines.start_worker("gpus", "--nthreads", "4", "--resources", "GPU=2")
        engine = DaskEngine(address=machines.address, resources={"GPU": 1}, heartbeat_s=0.1)
        with engine:
            assert jobs_at_once(engine.hosts()) == 2
            until(lambda: len(engine._fleet.refusals()) == 1)
            assert "GPU=1" in engine._fleet.refusals()[0]
            assert engine.submit(calls.add, 1, 2).result(PATIENCE_S) == 3


class TestJobsThatEnd:
    def test_time_limits_and_deaths_mean_what_they_mean_here(self, machines: Machines) -> None:
        machines.start_worker("one")
        engine = DaskEngine(address=machines.address, timeout_s=2.0, heartbeat_s=0.1)
        with engine:
            with pytest.raises(JobTimeoutError):
                engine.submit(time.sleep, 3600).result(PATIENCE_S)
            with pytest.raises(WorkerDiedError, match="signal SIGKILL"):
                engine.submit(calls.end, "kill").result(PATIENCE_S)
            assert engine.submit(calls.add, 1, 2).result(PATIENCE_S) == 3

    def test_a_kill_ends_what_runs_on_the_workers(self, machines: Machines, tmp_path: Path) -> None:
        machines.start_worker("one")
        engine = engine_at(machines)
        engine.hosts()
        pid = engine.submit(calls.own_pid).result(PATIENCE_S)
        started = tmp_path / "started"
        future = engine.submit(calls.wait_for, started, tmp_path / "never", 1)
        until(started.exists)
        engine.kill()
        assert isinstance(future.exception(PATIENCE_S), WorkerDiedError)
        until(lambda: not _alive(pid))

    def test_two_runs_on_one_cluster_end_only_their_own_jobs(
        self, machines: Machines, tmp_path: Path
    ) -> None:
        machines.start_worker("one", "--nthreads", "2")
        first, second = engine_at(machines), engine_at(machines)
        first.hosts()
        second.hosts()
        started, gate = tmp_path / "started", tmp_path / "gate"
        future = second.submit(calls.wait_for, started, gate, 7)
        until(started.exists)
        assert first.submit(calls.add, 1, 2).result(PATIENCE_S) == 3
        first.kill()
        gate.touch()
        assert future.result(PATIENCE_S) == 7
        second.shutdown()


class TestPlacement:
    def test_a_job_runs_near_its_bytes_while_there_is_room_and_elsewhere_otherwise(
        self, machines: Machines, tmp_path: Path
    ) -> None:
        machines.start_worker("first", FAKE_HOST="one")
        machines.start_worker("second", FAKE_HOST="two")
        with engine_at(machines) as engine:
            requirements = Requirements(functools.partial(facts, EXPECTED), EXPECTED, {}, near=str)
            engine.require(requirements)
            engine.hosts()
            until(lambda: jobs_at_once(engine._fleet.hosts()) == 2)
            for name in ("one", "two"):
                assert engine.submit(host_of, name).result(PATIENCE_S) == name
            assert {engine.submit(host_of, "two").result(PATIENCE_S) for _ in range(5)} == {"two"}
            started, gate = tmp_path / "started", tmp_path / "gate"
            blocked = engine.submit(hold, "two", started, gate)
            until(started.exists)
            assert engine.submit(host_of, "two").result(PATIENCE_S) == "one"
            gate.touch()
            assert blocked.result(PATIENCE_S) == "two"

    def test_a_job_that_was_pinned_to_a_machine_that_is_gone_goes_to_another(
        self, machines: Machines, tmp_path: Path
    ) -> None:
        machines.start_worker("first", FAKE_HOST="one")
        machines.start_worker("second", FAKE_HOST="two")
        with engine_at(machines) as engine:
            engine.require(Requirements(functools.partial(facts, EXPECTED), EXPECTED, {}, near=str))
            engine.hosts()
            until(lambda: jobs_at_once(engine._fleet.hosts()) == 2)
            started, gate = tmp_path / "started", tmp_path / "gate"
            future = engine.submit(hold, "two", started, gate)
            until(started.exists)
            started.unlink()
            machines.kill("second")
            until(started.exists)
            gate.touch()
            assert future.result(PATIENCE_S) == "one"


class TestLoss:
    def test_the_job_of_a_worker_that_loses_its_power_goes_to_another(
        self, machines: Machines, tmp_path: Path
    ) -> None:
        machines.start_worker("first")
        started, gate = tmp_path / "started", tmp_path / "gate"
        with engine_at(machines) as engine:
            engine.hosts()
            future = engine.submit(calls.wait_for, started, gate, 7)
            until(started.exists)
            started.unlink()
            machines.start_worker("second")
            machines.kill("first")
            until(started.exists)
            gate.touch()
            assert future.result(PATIENCE_S) == 7

    def test_a_frozen_worker_is_dropped_and_its_job_done_once(
        self, machines: Machines, tmp_path: Path
    ) -> None:
        machines.start_worker("first")
        started, gate = tmp_path / "started", tmp_path / "gate"
        with engine_at(machines, lost_s=3.0) as engine:
            engine.hosts()
            future = engine.submit(calls.wait_for, started, gate, 7)
            until(started.exists)
            started.unlink()
            machines.start_worker("second")
            until(lambda: jobs_at_once(engine._fleet.hosts()) == 2)
            machines.freeze("first")
            until(started.exists)  # the other worker has begun it
            gate.touch()
            assert future.result(PATIENCE_S) == 7
            machines.thaw("first")
            assert engine.submit(calls.add, 1, 2).result(PATIENCE_S) == 3

    def test_a_worker_that_freezes_with_a_result_holds_up_nothing(
        self, machines: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        machines.start_worker("first", FAKE_HOST="one")
        gate, ended = threading.Event(), DaskEngine._ended

        def held(self: DaskEngine, job: Any, sent: Any) -> None:  # noqa: ANN401  # what it has
            assert gate.wait(PATIENCE_S)
            ended(self, job, sent)

        with engine_at(machines, lost_s=12.0) as engine:
            engine.require(Requirements(functools.partial(facts, EXPECTED), EXPECTED, {}, near=str))
            engine.hosts()
            # The worker is not dropped, so that its result stays out of reach.
            monkeypatch.setattr(Fleet, "_drop", lambda *_: None)
            monkeypatch.setattr(DaskEngine, "_ended", held)
            stuck = engine.submit(host_of, "one")
            (job,) = engine._jobs
            until(lambda: job.sent is not None and job.sent.status == "finished")
            machines.start_worker("second", FAKE_HOST="two")
            until(lambda: jobs_at_once(engine._fleet.hosts()) == 2)
            machines.freeze("first")
            gate.set()
            assert engine.submit(host_of, "two").result(PATIENCE_S) == "two"
            assert not stuck.done()
            # Dask may give it to the frozen worker again, as it is still in the cluster.
            job.near = "two"
            assert stuck.result(PATIENCE_S) == "two"
            machines.thaw("first")

    def test_a_scheduler_that_is_started_again_gets_the_jobs_again(
        self, machines: Machines, tmp_path: Path
    ) -> None:
        machines.start_worker("first")
        started, gate = tmp_path / "started", tmp_path / "gate"
        with engine_at(machines) as engine:
            engine.hosts()
            future = engine.submit(calls.wait_for, started, gate, 7)
            until(started.exists)
            started.unlink()
            machines.kill("scheduler")
            machines.kill("first")
            later = engine.submit(calls.add, 1, 2)  # while there is no scheduler
            machines.start_scheduler()
            machines.start_worker("second")
            until(started.exists)
            gate.touch()
            assert future.result(PATIENCE_S) == 7
            assert later.result(PATIENCE_S) == 3

    def test_a_cluster_that_stays_empty_fails_its_jobs(self, machines: Machines) -> None:
        machines.start_worker("only")
        engine = engine_at(machines, lost_s=2.0)
        engine.hosts()
        machines.kill("only")
        future = engine.submit(calls.add, 1, 2)
        with pytest.raises(WorkerDiedError, match="no worker for 2 s"):
            future.result(PATIENCE_S)
        engine.kill()


def _alive(pid: int) -> bool:
    from tests.engines.cases import gone

    return not gone(pid)
