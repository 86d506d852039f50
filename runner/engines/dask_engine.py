"""The engine for several machines: a Dask cluster."""

from __future__ import annotations

import platform
from collections import defaultdict
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from runner.engines.engine import Engine, Host
from runner.engines.machine import cores
from runner.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Future

__all__ = ["DaskEngine"]

P = ParamSpec("P")
T = TypeVar("T")


class DaskEngine(Engine):
    """The Dask cluster at ``address``, or else a cluster of processes on this machine, on loopback.

    Args:
        workers: The number of processes of a cluster on this machine; None for one on each core.
            Another cluster has the workers that it has, and takes None alone.
        timeout_s: None, since Dask cannot end a task that runs.
        address: The scheduler's address, for example ``tcp://10.0.0.5:8786``. TLS is a must beyond
            a trusted network.

    Raises:
        InputError: ``distributed`` is not installed, or workers are asked of a cluster elsewhere.
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
        self._workers = workers or cores()
        self._address = address
        self._client: Any = None  # distributed has no type stubs
        self._inner: Any = None
        self.transient = (distributed.KilledWorker,)

    def hosts(self) -> Sequence[Host]:
        """This machine, or the machines of the cluster with the workers they have now.

        Raises:
            InputError: Nobody answers at the address, or the cluster has no worker.
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
        """Hand a picklable call to the cluster, which is started here if it is this machine's."""
        self._connect()
        future: Future[T] = self._inner.submit(fn, *args, **kwargs)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leave the cluster; one that was started here ends."""
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
                # With its fixed port, the HTTP server of a second run would collide with this one.
                dashboard_address="127.0.0.1:0",
                scheduler_kwargs={"dashboard": False},
            )
            self._client = Client(cluster)
        # With pure=True a job that is submitted again after a failure would not run again.
        self._inner = self._client.get_executor(pure=False, retries=0)

    def _cores_of(self) -> Mapping[str, int]:
        """The cores that each worker's process may use, by the worker's address."""
        found: Mapping[str, int] = self._client.run(cores)
        return found


def _hosts(workers: Mapping[str, Mapping[str, Any]], cores_of: Mapping[str, int]) -> list[Host]:
    """The machines of a cluster. Workers on one of them share its cores."""
    jobs: dict[str, int] = defaultdict(int)
    most: dict[str, int] = defaultdict(int)
    for address, worker in workers.items():
        jobs[worker["host"]] += worker["nthreads"]
        most[worker["host"]] = max(most[worker["host"]], cores_of.get(address, 1))
    return [Host(name, most[name], jobs[name]) for name in sorted(jobs)]
