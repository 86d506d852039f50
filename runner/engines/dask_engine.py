"""The engine for several machines, which runs jobs on a Dask cluster.

Dask has the scheduler, the network and the workers. What is decided here is who may work
(``dask_fleet.py``), that a job runs in a process that can be ended (``station.py``), and what
becomes of jobs whose scheduler is gone.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import pickle
import threading
import time
import uuid
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, TypeVar

from runner import threads
from runner.engines import station
from runner.engines.dask_cluster import Cluster, ClusterSettings
from runner.engines.dask_fleet import Fleet
from runner.engines.engine import Engine, Host, Requirements
from runner.errors import InputError, JobTimeoutError, WorkerDiedError
from runner.limits import cores

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["DaskEngine"]

P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger(__name__)
_ON_THE_WAY: Any = object()
"""What a job has in place of Dask's future while a thread gives it to the scheduler."""


@dataclass(eq=False)
class _Job:
    """A call that has not ended.

    Attributes:
        future: The future that the runner has.
        call: What is sent: the pickled call.
        near: The machine that it had best run on, or None.
        pinned: The workers that Dask may give it to, or nothing for all.
        sent: Dask's future, or None if Dask does not have the call, or :data:`_ON_THE_WAY`.
    """

    future: Future[Any]
    call: bytes
    near: str | None
    pinned: frozenset[str] = frozenset()
    sent: Any = None


class DaskEngine(Engine):
    """Runs jobs on the Dask cluster at ``address``, or on a cluster that it starts here.

    A cluster that it starts consists of processes on this machine and listens on loopback only.

    Args:
        workers: The number of processes of a cluster that is started here, or None for one on each
            core. It must be None if ``address`` is given, because such a cluster has its workers.
        timeout_s: The time limit of one job in seconds, or None for no limit.
        address: The address of the scheduler, e.g. ``tls://10.0.0.5:8786``, or empty to start a
            cluster here. Outside a trusted network the cluster must use TLS.
        tls: The files ``ca_file``, ``cert_file`` and ``key_file`` of this client, or None to take
            those of Dask's own configuration.
        resources: The resources of Dask that each job asks for, by name, e.g. ``{GPU: 1}``.
        wait_s: The seconds to wait for the scheduler, and then for the first worker that may work.
        heartbeat_s: The seconds between two looks at who is in the cluster.
        lost_s: The seconds without a sign of life after which a worker is dropped, and those
            without any worker or scheduler after which jobs fail.

    Raises:
        InputError: ``distributed`` is not installed, or a setting cannot be used.
    """

    ends_jobs: ClassVar[bool] = True
    elsewhere: ClassVar[bool] = True

    def __init__(  # noqa: PLR0913, PLR0917  # the settings of one engine, by their names
        self,
        workers: int | None = None,
        timeout_s: float | None = None,
        address: str = "",
        tls: Mapping[str, str] | None = None,
        resources: Mapping[str, float] | None = None,
        wait_s: float = 60.0,
        heartbeat_s: float = 2.0,
        lost_s: float = 120.0,
    ) -> None:
        try:
            import distributed
        except ModuleNotFoundError:
            raise InputError(
                "executor", "dask", "distributed is not installed", "pip install '.[dask]'"
            ) from None
        if address and workers is not None:
            raise InputError(
                "executor.workers",
                workers,
                f"the cluster at {address} has its own number of workers",
                "leave it at auto, and start or stop workers there",
            )
        for name, value in (("wait_s", wait_s), ("heartbeat_s", heartbeat_s), ("lost_s", lost_s)):
            _check_number(f"executor.engine.{name}", value)
        for name, value in (resources or {}).items():
            _check_number(f"executor.engine.resources.{name}", value)
        self.transient = (distributed.KilledWorker, WorkerDiedError, JobTimeoutError)
        self._left_to_us = workers is None
        self._settings = ClusterSettings(
            address,
            {name: str(Path(file).expanduser()) for name, file in (tls or {}).items()},
            workers or cores(),
            wait_s,
        )
        self._timeout_s, self._resources = timeout_s, dict(resources or {})
        self._wait_s, self._heartbeat_s, self._lost_s = wait_s, heartbeat_s, lost_s
        self._requirements: Requirements | None = None
        self._run = uuid.uuid4().hex
        self._cluster: Cluster | None = None
        self._fleet = self._new_fleet()
        self._jobs: set[_Job] = set()
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._watch: threading.Thread | None = None
        self._idle = threading.Condition(self._lock)

    # -- before the first job ------------------------------------------------------------------

    def suggest_workers(self, workers: int) -> None:
        """See :class:`Engine`. A cluster at an address has its own number of workers."""
        if self._left_to_us:
            self._settings = self._settings.with_workers(workers)

    def require(self, requirements: Requirements) -> None:
        """See :class:`Engine`."""
        self._requirements = requirements
        self._fleet = self._new_fleet()

    def hosts(self) -> Sequence[Host]:
        """The machines of the cluster whose workers may work. A worker may join later, too.

        Raises:
            InputError: No scheduler answers at the address, or no worker may work.
        """
        cluster = self._connect()
        wanted = 1 if self._settings.address else self._settings.workers
        deadline = time.monotonic() + self._wait_s
        while time.monotonic() < deadline:
            found = self._fleet.hosts()
            if found and not self._fleet.pending() and sum(h.workers for h in found) >= wanted:
                break
            with contextlib.suppress(OSError):
                self._fleet.look(cluster.client)
            self._closing.wait(0.05)
        self._fleet.changed()
        found = self._fleet.hosts()
        if not found:
            refusals = self._fleet.refusals()
            where = self._settings.address
            raise InputError(
                "executor.engine.address",
                where,
                f"the cluster has no worker that may work; {'; '.join(refusals)}"
                if refusals
                else f"the cluster has no worker after {self._wait_s:g} s",
                f"start one with `dask worker {where}` (docs/cluster.md)",
            )
        return found

    def changed(self) -> Sequence[Host] | None:
        """See :class:`Engine`. A cluster without a worker keeps the last number for its return."""
        return (self._fleet.hosts() or None) if self._fleet.changed() else None

    # -- jobs ----------------------------------------------------------------------------------

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Give a picklable call to the cluster. A cluster on this machine is started if needed."""
        if self._closing.is_set():
            raise RuntimeError("the engine is shut down")
        if self._cluster is None:
            self.hosts()
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        required = self._requirements
        near = required.near(args[0]) if required is not None and args else None
        job = _Job(future, pickle.dumps((fn, args, kwargs)), near)
        with self._lock:
            self._jobs.add(job)
        self._send(job)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leave the cluster, and end it if it was started here."""
        with self._idle:
            if wait and not cancel_futures:
                self._idle.wait_for(lambda: not self._jobs)
            self._closing.set()
            cluster, self._cluster = self._cluster, None
            jobs, self._jobs = self._jobs, set()
        for job in jobs:
            job.future.set_exception(WorkerDiedError("ended by the runner"))
        if cluster is not None:
            self._fleet.end(cluster.client)
            cluster.close()
        if self._watch is not None:
            self._watch.join()
            self._watch = None

    def kill(self) -> None:
        """Drop what waits, and end the run's child processes on all workers."""
        self.shutdown(wait=False, cancel_futures=True)

    def _send(self, job: _Job) -> None:
        """Give a job to the scheduler. One that cannot be given waits for the next look."""
        cluster = self._cluster
        if cluster is None or not cluster.is_connected():
            return
        with self._lock:
            if job.sent is not None:
                return  # another thread sends it
            job.sent = _ON_THE_WAY
        try:
            job.pinned = self._best(cluster, job.near)
            sent = cluster.client.submit(
                station.run_in_child,
                self._run,
                self._timeout_s,
                job.call,
                key=f"proof-{self._run}-{uuid.uuid4().hex}",
                # With pure=True, a job that is submitted again would not run again.
                pure=False,
                retries=0,
                workers=sorted(job.pinned) or None,
                resources={self._badge: 1, **self._resources},
            )
        except Exception as error:  # noqa: BLE001  # it is sent again when the scheduler is back
            _log.debug("a job could not be sent: %s", error)
            job.sent = None
            return
        job.sent = sent
        self._follow(job, sent)

    def _follow(self, job: _Job, sent: Any) -> None:  # noqa: ANN401  # distributed has no type stubs
        """Take what Dask's future has, as soon as it has something.

        The result is fetched in a thread of its own. Dask has one thread for all callbacks, and a
        worker that freezes when a job has just ended would hold up the results of all others.
        """
        sent.add_done_callback(lambda _: threads.start("result", self._ended, job, sent))

    def _best(self, cluster: Cluster, host: str | None) -> frozenset[str]:
        """The workers on a machine that have a free slot now; nothing if there are none.

        A job that waits for the machine with its bytes would lose more than it gains.
        """
        slots = self._fleet.on(host) if host else {}
        if not slots:
            return frozenset()
        busy = cluster.client.processing(list(slots))
        return frozenset(one for one, most in slots.items() if len(busy.get(one, ())) < most)

    def _ended(self, job: _Job, sent: Any) -> None:  # noqa: ANN401  # distributed has no type stubs
        """Take what Dask's future has."""
        if job.sent is not sent or self._closing.is_set():
            return
        try:
            result, error = pickle.loads(sent.result(timeout=self._lost_s)), None  # noqa: S301
        except BaseException as raised:  # noqa: BLE001  # the future carries whatever it was
            result, error = None, raised
        if isinstance(error, TimeoutError) and sent.status == "pending":
            self._follow(job, sent)  # the worker that had the result is gone, and Dask does it anew
            return
        job.sent = None
        if error is not None and (_is_lost(error) or sent.status in ("cancelled", "lost")):
            return  # the scheduler forgot it, so that it is sent again at the next look
        if isinstance(error, TimeoutError) and sent.status == "finished":
            return  # the worker that has the result does not give it, so that another makes it anew
        with self._idle:
            if job not in self._jobs:
                return
            self._jobs.discard(job)
            self._idle.notify_all()
        if error is None:
            job.future.set_result(result)
        else:
            job.future.set_exception(error)

    # -- the cluster ---------------------------------------------------------------------------

    @property
    def _badge(self) -> str:
        """The badge's name is the same for runs that ask the same of a worker."""
        expected = sorted((self._requirements.expected if self._requirements else {}).items())
        return f"runner-{hashlib.sha256(repr(expected).encode()).hexdigest()[:16]}"

    def _new_fleet(self) -> Fleet:
        return Fleet(
            run=self._run,
            badge=self._badge,
            requirements=self._requirements,
            timeout_s=self._timeout_s,
            resources=self._resources,
            lost_s=self._lost_s,
        )

    def _connect(self) -> Cluster:
        with self._lock:
            if self._cluster is None:
                self._cluster = Cluster(self._settings)
                self._watch = threads.start("fleet", self._look)
            return self._cluster

    def _look(self) -> None:
        """Look at the cluster again and again, until the engine is shut down."""
        alone = time.monotonic()
        while not self._closing.wait(self._heartbeat_s):
            cluster = self._cluster
            if cluster is None:
                continue
            try:
                if cluster.reconnect():
                    self._fleet.forget()
                self._fleet.look(cluster.client)
            except Exception as error:  # noqa: BLE001  # the next look may be luckier
                _log.debug("the cluster was not looked at: %s", error)
            if self._fleet.hosts():
                alone = time.monotonic()
            elif time.monotonic() - alone > self._lost_s:
                self._fail_all(
                    WorkerDiedError(f"the cluster has had no worker for {self._lost_s:g} s")
                )
            if cluster.is_connected():
                self._send_again()

    def _send_again(self) -> None:
        """Send the jobs that Dask does not have, or gives to workers only that have left."""
        with self._lock:
            jobs = [*self._jobs]
        for job in jobs:
            sent = job.sent
            pinned = job.pinned if sent not in (None, _ON_THE_WAY) else None
            if pinned and not self._fleet.work(pinned):
                job.near, job.sent = None, None
                sent.cancel()
            self._send(job)

    def _fail_all(self, error: WorkerDiedError) -> None:
        with self._idle:
            jobs, self._jobs = self._jobs, set()
            self._idle.notify_all()
        for job in jobs:
            job.sent = None
            job.future.set_exception(error)


def _check_number(field: str, value: object) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or value <= 0:
        raise InputError(field, value, "not a positive number", "give one")


def _is_lost(error: BaseException) -> bool:
    """Whether an error of Dask's says that a result is gone, and nothing about the job."""
    return type(error).__name__ in (
        "FuturesCancelledError",
        "FutureCancelledError",
        "CancelledError",
    )
