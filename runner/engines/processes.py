"""Engines that run jobs: any ``concurrent.futures.Executor`` will do, these are ours.

``ProcessExecutor`` exists because the pools at hand (``concurrent.futures``, loky, pebble) share
one result pipe among their workers: a worker killed while it writes a receipt of megabytes leaves
the pipe locked or half a message in it, and the whole pool hangs or breaks. Here every worker has
a pipe of its own, so its death is seen at once, costs one job, and that job can be tried again.
What runs inside it is in :mod:`runner.engines.worker_process`.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle
import queue
import select
import signal
import threading
from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from runner.engines import worker_process
from runner.errors import JobTimeoutError, WorkerDiedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

__all__ = ["ProcessExecutor"]

P = ParamSpec("P")
T = TypeVar("T")

_LONGEST_MS = 2.0**31 - 1  # what poll(2) can wait, 24 days

_Call = tuple["Future[Any]", "Callable[..., Any]", tuple[Any, ...], dict[str, Any]]


class ProcessExecutor(Executor):
    """Worker processes that can be ended; each is started when first needed.

    A job whose worker dies fails with WorkerDiedError, one that overruns with JobTimeoutError;
    either way the worker is replaced and the others go on. Workers end with their parent, also
    when it is killed.

    Args:
        workers: number of processes, at least 1.
        timeout_s: seconds one job may take in its worker; None for no limit.
    """

    def __init__(self, workers: int, timeout_s: float | None = None) -> None:
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._slots = [_Slot(timeout_s) for _ in range(workers)]
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._closed = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue a picklable call; raises RuntimeError after :meth:`shutdown`."""
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("the executor is shut down")
            self._calls.put((future, fn, args, kwargs))
            if len(self._threads) < len(self._slots):
                slot = self._slots[len(self._threads)]
                thread = threading.Thread(target=self._serve, args=(slot,), daemon=True)
                self._threads.append(thread)
                thread.start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers, after the queued jobs or, with ``cancel_futures``, without them."""
        with self._lock:
            self._close(cancel_futures=cancel_futures)
        if wait:
            for thread in self._threads:
                thread.join()

    def kill(self) -> None:
        """End all workers at once; running jobs fail with WorkerDiedError."""
        with self._lock:
            self._close(cancel_futures=True)
        for slot in self._slots:
            slot.kill()

    def pids(self) -> list[int]:
        """Process ids of the workers alive now."""
        return [pid for slot in self._slots if (pid := slot.pid) is not None]

    def _close(self, *, cancel_futures: bool) -> None:
        if cancel_futures:
            with contextlib.suppress(queue.Empty):
                while True:
                    call = self._calls.get_nowait()
                    # The second call tells whoever waits for several futures at once.
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
            except Exception as error:  # noqa: BLE001  # the future carries whatever it was
                future.set_exception(error)
            # Do not hold a receipt of megabytes until the next job comes.
            del call, future, fn, args, kwargs
        slot.close()


class _Slot:
    """One worker process and the pipe to it; used by one thread, killed from any."""

    def __init__(self, timeout_s: float | None) -> None:
        self._timeout_s = timeout_s
        self._process: SpawnProcess | None = None
        self._pipe: Connection[Any, Any] | None = None
        self._answer = select.poll()  # `connection.wait` would make a selector for every job
        self._dead = False

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
            # Readable, too, when the worker has died: end of file.
            if not self._answer.poll(timeout_ms):
                process.kill()
                self._discard()
                raise JobTimeoutError(self._timeout_s or 0.0)
            answer = pipe.recv_bytes()
        except (EOFError, OSError):  # OSError also where the worker died in mid-message
            process.kill()
            process.join()
            detail = _how_it_ended(process.exitcode)
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
            with contextlib.suppress(ValueError):  # closed by its own thread meanwhile
                process.kill()

    def close(self) -> None:
        """Ask the worker to end, and see that it does."""
        if self._process is None:
            return
        if self._pipe is not None:
            self._pipe.close()  # the worker's recv ends with EOFError
        self._process.join(timeout=2)
        if self._process.is_alive():
            self._process.kill()
        self._discard()

    def _ready(self) -> tuple[SpawnProcess, Connection[Any, Any]]:
        if self._pipe is not None and self._process is not None and self._process.is_alive():
            return self._process, self._pipe
        self._discard()
        # spawn: a fork would copy locks held by other threads, and the zkVM's thread pool.
        context = multiprocessing.get_context("spawn")
        # A run inside joblib's launcher has loky's start method as the default, and tells it to
        # the processes it spawns, which do not know it.
        if multiprocessing.get_start_method() not in multiprocessing.get_all_start_methods():
            multiprocessing.set_start_method("spawn", force=True)
        pipe, theirs = context.Pipe()
        process = context.Process(target=worker_process.serve, args=(theirs,), daemon=True)
        process.start()
        # Only the worker may hold its end, or its death would not show as end of file here.
        theirs.close()
        self._process, self._pipe = process, pipe
        self._answer.register(pipe.fileno(), select.POLLIN)
        self._answer.register(process.sentinel, select.POLLIN)
        if self._dead:  # since before there was a process to end
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
