"""The engine for several machines, which runs jobs on a Dask cluster."""

from __future__ import annotations

import platform
from collections import defaultdict
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from runner.engines.engine import Engine, Host
from runner.errors import InputError
from runner.limits import cores

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Future

__all__ = ["DaskEngine"]

P = ParamSpec("P")
T = TypeVar("T")


class DaskEngine(Engine):
    """Runs jobs on the Dask cluster at ``address``, or on a cluster that it starts here.

    A cluster that it starts consists of processes on this machine and listens on loopback only.

    Args:
        workers: The number of processes of a cluster that is started here, or None for one on each
            core. It must be None if ``address`` is given, because such a cluster has its workers.
        timeout_s: Always None, because Dask cannot end a running task.
        address: The address of the scheduler, e.g. ``tcp://10.0.0.5:8786``, or empty to start a
            cluster here. Outside a trusted network the cluster must use TLS.

    Raises:
        InputError: ``distributed`` is not installed, or both ``address`` and ``workers`` are given.
    """

    def __init__(
        self, workers: int | None = None, timeout_s: float | None = None, address: str = ""
    ) -> None:
        del timeout_s  # an engine without `ends_jobs` is never given one
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
        self._left_to_us = workers is None
        self._workers = workers or cores()
        self._address = address
        self._client: Any = None  # distributed has no type stubs
        self._inner: Any = None
        self.transient = (distributed.KilledWorker,)

    def suggest_workers(self, workers: int) -> None:
        """See :class:`Engine`. A cluster at an address has its own number of workers."""
        if self._left_to_us:
            self._workers = workers

    def hosts(self) -> Sequence[Host]:
        """This machine, or the machines of the cluster with the workers that they have now.

        Raises:
            InputError: No scheduler answers at the address, or the cluster has no worker.
        """
        if not self._address:
            return [Host(platform.node(), cores(), self._workers)]
        self._connect()
        found = _hosts(self._client.scheduler_info(n_workers=-1)["workers"], self._cores_of())
        if not found:
            raise InputError(
                "executor.engine.address",
                self._address,
                "the cluster has no worker",
                f"start one with `dask worker {self._address}`",
            )
        return found

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Give a picklable call to the cluster. A cluster on this machine is started if needed."""
        self._connect()
        future: Future[T] = self._inner.submit(fn, *args, **kwargs)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leave the cluster, and end it if it was started here."""
        if self._client is None:
            return
        client, self._client = self._client, None
        self._inner.shutdown(wait=wait and not cancel_futures)
        cluster = client.cluster
        client.close()
        if cluster is not None:
            cluster.close()

    def _connect(self) -> None:
        if self._client is not None:
            return
        from distributed import Client, LocalCluster

        if self._address:
            try:
                self._client = Client(self._address)
            except (OSError, ValueError) as error:
                raise InputError(
                    "executor.engine.address",
                    self._address,
                    f"no Dask scheduler answers ({error})",
                    "start one with `dask scheduler`, or use executor=processes",
                ) from None
        else:
            cluster = LocalCluster(
                n_workers=self._workers,
                threads_per_worker=1,
                host="127.0.0.1",
                # Dask's default port is fixed, so that two runs on one machine would collide.
                dashboard_address="127.0.0.1:0",
                scheduler_kwargs={"dashboard": False},
            )
            self._client = Client(cluster)
        # With pure=True, a job that is submitted again after a failure would not run again.
        self._inner = self._client.get_executor(pure=False, retries=0)

    def _cores_of(self) -> Mapping[str, int]:
        """The number of cores that each worker process may use, by the worker's address."""
        found: Mapping[str, int] = self._client.run(cores)
        return found


def _hosts(workers: Mapping[str, Mapping[str, Any]], cores_of: Mapping[str, int]) -> list[Host]:
    """The machines of a cluster. All workers on one machine share its cores.

    Args:
        workers: Dask's description of each worker, by the worker's address.
        cores_of: The number of cores that each worker may use, by the worker's address.
    """
    jobs: dict[str, int] = defaultdict(int)
    most: dict[str, int] = defaultdict(int)
    for address, worker in workers.items():
        jobs[worker["host"]] += worker["nthreads"]
        most[worker["host"]] = max(most[worker["host"]], cores_of.get(address, 1))
    return [Host(name, most[name], jobs[name]) for name in sorted(jobs)]
