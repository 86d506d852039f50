"""The default engine: worker processes on this machine, which can be ended one by one.

It exists because the pools of ``concurrent.futures``, loky and pebble share one result pipe among
all workers. A worker that is killed while it writes a receipt of several megabytes leaves this pipe
locked, or with half a message in it. The whole pool then hangs or breaks. Here every worker has its
own pipe. The death of a worker is noticed at once and costs one attempt at one job. What runs
inside a worker is in ``worker_process.py``.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle
import platform
import queue
import select
import signal
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, TypeVar

from runner import stopping, threads
from runner.engines import start, worker_process
from runner.engines.engine import Engine, Host
from runner.errors import JobTimeoutError, WorkerDiedError
from runner.limits import cores, oom_kills

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

__all__ = ["ProcessEngine"]

P = ParamSpec("P")
T = TypeVar("T")

_LONGEST_MS = 2.0**31 - 1
"""The longest timeout of poll(2) in milliseconds, which is 24 days."""

_Call = tuple["Future[Any]", "Callable[..., Any]", tuple[Any, ...], dict[str, Any]]


class ProcessEngine(Engine):
    """Runs jobs in worker processes. A worker is started when the first job needs it.

    A job whose worker dies fails with WorkerDiedError, and a job that exceeds the time limit fails
    with JobTimeoutError. In both cases the worker is replaced and the other workers go on. All
    workers end with their parent process, even if it is killed.

    Args:
        workers: The number of processes, at least 1, or None for one on each core.
        timeout_s: The time limit of one job in seconds, or None for no limit.
    """

    ends_jobs: ClassVar[bool] = True
    transient = (WorkerDiedError, JobTimeoutError)

    def __init__(self, workers: int | None = None, timeout_s: float | None = None) -> None:
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._left_to_us = workers is None
        self._timeout_s = timeout_s
        self._slots = [_Slot(timeout_s) for _ in range(workers or cores())]
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._ended = 0  # the threads that are to end, or have ended, before the others
        self._closed = False
        self._oom_kills = oom_kills()  # those that are known, or were some worker's death

    def suggest_workers(self, workers: int) -> None:
        """See :class:`Engine`."""
        if self._left_to_us:
            self._slots = [_Slot(self._timeout_s) for _ in range(workers)]

    def hosts(self) -> Sequence[Host]:
        """This machine."""
        return [Host(platform.node(), cores(), len(self._slots))]

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue a picklable call.

        Raises:
            RuntimeError: The engine is shut down.
        """
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("the engine is shut down")
            self._calls.put((future, fn, args, kwargs))
            if self._ended == 0 and len(self._threads) < len(self._slots):
                slot = self._slots[len(self._threads)]
                with stopping.held():
                    self._threads.append(threads.start("worker", self._serve, slot))
        return future

    def run_fewer(self, workers: int) -> None:
        """See :class:`Engine`. The workers that wait end first, and others after their jobs."""
        with self._lock:
            surplus = len(self._threads) - self._ended - workers
            for _ in range(surplus):
                self._calls.put(None)
            self._ended += max(0, surplus)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers when all jobs are done.

        Args:
            wait: Whether to return only after all workers have ended.
            cancel_futures: Whether to drop the jobs that are queued.
        """
        with self._lock:
            self._close(cancel_futures=cancel_futures)
        if wait:
            for thread in self._threads:
                thread.join()

    def kill(self) -> None:
        """End all workers at once. Running jobs fail with WorkerDiedError."""
        with self._lock:
            self._close(cancel_futures=True)
        for slot in self._slots:
            slot.kill()

    def pids(self) -> list[int]:
        """The process ids of the workers that are alive now."""
        return [pid for slot in self._slots if (pid := slot.pid) is not None]

    def _close(self, *, cancel_futures: bool) -> None:
        if cancel_futures:
            with contextlib.suppress(queue.Empty):
                while True:
                    call = self._calls.get_nowait()
                    # The second call wakes threads that wait for several futures at once.
                    if call is not None and call[0].cancel():
                        call[0].set_running_or_notify_cancel()
        if cancel_futures or not self._closed:
            for _ in self._threads:
                self._calls.put(None)
        self._closed = True

    def _serve(self, slot: _Slot) -> None:
        while (call := self._calls.get()) is not None:
            future, fn, args, kwargs = call
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(slot.run(fn, args, kwargs))
            except WorkerDiedError as error:
                future.set_exception(self._judged(error))
            except Exception as error:  # noqa: BLE001  # the future carries whatever it was
                future.set_exception(error)
            # A receipt of megabytes must not be held until the next job comes.
            del call, future, fn, args, kwargs
        slot.close()

    def _judged(self, error: WorkerDiedError) -> WorkerDiedError:
        """Say of a worker that was killed whether the system did it for want of memory.

        The system tells how many processes it killed so, and not which. Each of these kills is
        taken for one death.
        """
        if error.killed:
            with self._lock:
                if oom_kills() > self._oom_kills:
                    self._oom_kills += 1
                    return WorkerDiedError(error.detail, out_of_memory=True)
        return error


class _Slot:
    """The place of one worker: its process, which may be replaced, and the pipe to it.

    One thread of the engine uses it. Any thread may kill it.
    """

    def __init__(self, timeout_s: float | None) -> None:
        self._timeout_s = timeout_s
        self._process: SpawnProcess | None = None
        self._pipe: Connection[Any, Any] | None = None
        # `connection.wait` would make a selector for every job, so one `poll` object is kept.
        self._answer = select.poll()
        self._dead = False
        self._answered = False  # whether the worker of now has done a job

    @property
    def pid(self) -> int | None:
        process = self._process
        return process.pid if process is not None and process.is_alive() else None

    def run(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
        if self._dead:
            raise WorkerDiedError("ended by the runner")
        call = pickle.dumps((fn, args, kwargs))
        timeout_ms = None if self._timeout_s is None else min(self._timeout_s * 1000, _LONGEST_MS)
        process, pipe = self._ready()
        try:
            pipe.send_bytes(call)
            # The pipe is also readable when the worker has died. Reading then gives end of file.
            if not self._answer.poll(timeout_ms):
                process.kill()
                self._discard()
                raise JobTimeoutError(self._timeout_s or 0.0)
            answer = pipe.recv_bytes()
            self._answered = True
        except (EOFError, OSError):  # OSError means that the worker died while it wrote a message
            process.kill()
            process.join()
            detail = _how_it_ended(process.exitcode)
            if not self._answered and (process.exitcode or 0) > 0:
                detail += start.failure()
            self._discard()
            raise WorkerDiedError(detail) from None
        ok, value = pickle.loads(answer)  # noqa: S301  # from our own worker
        if ok:
            return value
        raise value

    def kill(self) -> None:
        self._dead = True
        process = self._process
        if process is not None:
            with contextlib.suppress(ValueError):  # the slot's own thread may have closed it
                process.kill()

    def close(self) -> None:
        """Ask the worker to end, and kill it if it has not ended after two seconds."""
        if self._process is None:
            return
        if self._pipe is not None:
            self._pipe.close()  # this makes the worker's `recv_bytes` raise EOFError
        self._process.join(timeout=2)
        if self._process.is_alive():
            self._process.kill()
        self._discard()

    def _ready(self) -> tuple[SpawnProcess, Connection[Any, Any]]:
        if self._pipe is not None and self._process is not None and self._process.is_alive():
            return self._process, self._pipe
        self._discard()
        # A fork would copy locks that other threads hold, and the zkVM's thread pool.
        context = multiprocessing.get_context("spawn")
        # Inside joblib's launcher, the default start method is loky's. A spawned process is told
        # the name of the default, and would not know that one.
        if multiprocessing.get_start_method() not in multiprocessing.get_all_start_methods():
            multiprocessing.set_start_method("spawn", force=True)
        pipe, theirs = context.Pipe()
        process = context.Process(target=worker_process.serve, args=(theirs,), daemon=True)
        start.without_folder()
        process.start()
        # If this process kept the worker's end open, the worker's death would give no end of file.
        theirs.close()
        self._process, self._pipe, self._answered = process, pipe, False
        self._answer.register(pipe.fileno(), select.POLLIN)
        self._answer.register(process.sentinel, select.POLLIN)
        if self._dead:  # `kill` was called before there was a process
            process.kill()
        return process, pipe

    def _discard(self) -> None:
        self._answer = select.poll()
        if self._pipe is not None:
            self._pipe.close()
        if self._process is not None:
            self._process.join()
        self._pipe = self._process = None


def _how_it_ended(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        try:
            return f"signal {signal.Signals(-exitcode).name}"
        except ValueError:
            return f"signal {-exitcode}"
    return f"exit code {exitcode}"
