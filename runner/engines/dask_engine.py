"""The engine for more machines than one: Dask, as a ``concurrent.futures.Executor``."""

from __future__ import annotations

from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from runner.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["dask_executor"]

P = ParamSpec("P")
T = TypeVar("T")


def dask_executor(workers: int, timeout_s: float | None = None, address: str = "") -> Executor:
    """A Dask cluster: the one at ``address``, else one on this machine, on loopback.

    Args:
        workers: processes of the local cluster; a remote one has its own.
        timeout_s: must be None; Dask cannot end a running task.
        address: of a scheduler, e.g. ``tcp://10.0.0.5:8786``; use TLS beyond a trusted network.

    Raises:
        InputError: ``distributed`` is not installed, or a timeout is asked for.
    """
    if timeout_s is not None:
        raise InputError(
            "executor.timeout_s",
            timeout_s,
            "Dask cannot end a running task",
            "set executor.timeout_s=null, or use executor=processes",
        )
    try:
        from distributed import Client, LocalCluster
    except ModuleNotFoundError:
        raise InputError(
            "executor", "dask", "distributed is not installed", "pip install '.[dask]'"
        ) from None
    if address:
        client = Client(address)
    else:
        cluster = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            host="127.0.0.1",
            # Its HTTP server takes any free port: with the fixed one, a second run would collide.
            dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"dashboard": False},
        )
        client = Client(cluster)
    return _DaskExecutor(client)


class _DaskExecutor(Executor):
    """Dask's own executor view of a client, which it also closes."""

    def __init__(self, client: Any) -> None:  # noqa: ANN401  # distributed has no type stubs
        self._client = client
        # pure=False: the same job submitted again, after a failure, must run again.
        self._inner = client.get_executor(pure=False, retries=0)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = self._inner.submit(fn, *args, **kwargs)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._inner.shutdown(wait=wait and not cancel_futures)
        cluster = self._client.cluster
        self._client.close()
        if cluster is not None:
            cluster.close()
