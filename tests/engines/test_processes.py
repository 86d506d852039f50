"""Worker processes: how they die, what they cannot send, and how they end."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError, wait
from typing import TYPE_CHECKING

import pytest

from runner.engines.processes import ProcessEngine, _Slot
from runner.errors import JobTimeoutError, WorkerDiedError
from tests.engines.cases import MIB, PATIENCE_S, gone, until
from tests.fakes import calls

if TYPE_CHECKING:
    from pathlib import Path


class TestDeath:
    def test_a_killed_worker_costs_only_its_own_job(self, two: ProcessEngine) -> None:
        before = [two.submit(calls.add, n) for n in range(5)]
        victim = two.submit(calls.end, "kill")
        after = [two.submit(calls.add, n) for n in range(5)]
        with pytest.raises(WorkerDiedError, match=r"SIGKILL.*lower executor.workers"):
            victim.result(PATIENCE_S)
        assert [f.result(PATIENCE_S) for f in before + after] == [*range(5), *range(5)]

    def test_an_exit_is_reported_with_its_code(self, one: ProcessEngine) -> None:
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

    def test_where_memory_is_short_idle_workers_end_and_the_others_go_on(
        self, two: ProcessEngine
    ) -> None:
        wait([two.submit(time.sleep, 0.5) for _ in range(2)])
        assert len(two.pids()) == 2
        two.run_fewer(1)
        until(lambda: len(two.pids()) == 1)
        two.run_fewer(1)  # nothing ends twice
        (left,) = two.pids()
        assert [two.submit(calls.own_pid).result(PATIENCE_S) for _ in range(3)] == [left] * 3
        assert two.pids() == [left]

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
