"""The connection to a Dask cluster: one at an address, or one that is started on this machine."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from runner.errors import InputError
from runner.text import one_line

__all__ = ["Cluster", "ClusterSettings"]

_log = logging.getLogger(__name__)
_TLS = ("ca_file", "cert_file", "key_file")


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """Where a cluster is, and how it is reached.

    Attributes:
        address: The address of the scheduler, or empty to start a cluster on this machine.
        tls: The files of the client by name, or nothing to take those of Dask's configuration.
        workers: The number of worker processes of a cluster that is started here.
        wait_s: The seconds to wait for the scheduler.
    """

    address: str
    tls: dict[str, str] = field(default_factory=dict)
    workers: int = 1
    wait_s: float = 30.0

    def __post_init__(self) -> None:
        if not self.tls:
            return
        for name in sorted(self.tls.keys() ^ set(_TLS)):
            raise InputError(
                f"executor.engine.tls.{name}",
                self.tls.get(name),
                "missing" if name in _TLS else "no such setting",
                f"give {', '.join(_TLS)}, or null for those of Dask's configuration",
            )
        for name, path in self.tls.items():
            if not Path(path).is_file():
                raise InputError(
                    f"executor.engine.tls.{name}", path, "there is no such file", "docs/cluster.md"
                )

    def with_workers(self, workers: int) -> Self:
        """The same cluster with another number of workers."""
        return replace(self, workers=workers)


class Cluster:
    """A connected cluster.

    Args:
        settings: Where it is.

    Attributes:
        client: Dask's client. It is another one after a scheduler was gone for long.

    Raises:
        InputError: No scheduler answers at the address.
    """

    def __init__(self, settings: ClusterSettings) -> None:
        self._settings = settings
        self._local: Any = None  # distributed has no type stubs
        _quieten()
        if settings.address:
            try:
                self.client: Any = self._new_client()
            except Exception as error:  # noqa: BLE001  # TLS and address have errors of many kinds
                raise InputError(
                    "executor.engine.address",
                    settings.address,
                    f"no Dask scheduler answers ({one_line(error)})",
                    "start one with `dask scheduler`, check executor.engine.tls, or use"
                    " executor=processes",
                ) from None
            if not settings.address.startswith("tls://"):
                _log.warning("the cluster at %s is reached without TLS", settings.address)
            return
        from distributed import Client, LocalCluster

        self._local = LocalCluster(
            n_workers=settings.workers,
            threads_per_worker=1,
            host="127.0.0.1",
            # Dask's default port is fixed, so that two runs on one machine would collide.
            dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"dashboard": False},
            silence_logs=logging.CRITICAL,
        )
        self.client = Client(self._local)

    def is_connected(self) -> bool:
        """Whether the scheduler can be given a job now."""
        return self.client.status == "running"  # type: ignore[no-any-return]

    def reconnect(self) -> bool:
        """Connect again if Dask's client has given up. Returns whether it is a new connection.

        Raises:
            OSError: The scheduler does not answer.
        """
        if self.client.status in ("running", "connecting", "newly-created"):
            return False
        fresh = self._new_client()
        with contextlib.suppress(Exception):
            self.client.close(timeout=0)
        self.client = fresh
        return True

    def close(self) -> None:
        """Leave the cluster, and end it if it was started here."""
        # What waits for a scheduler that is gone must not keep the runner.
        with contextlib.suppress(Exception):
            self.client.close(timeout=5)
        if self._local is not None:
            self._local.close()

    def _new_client(self) -> Any:  # noqa: ANN401
        from distributed import Client
        from distributed.security import Security

        security = None
        if tls := self._settings.tls:
            security = Security(
                tls_ca_file=tls["ca_file"],
                tls_client_cert=tls["cert_file"],
                tls_client_key=tls["key_file"],
                require_encryption=True,
            )
        # The client must not become the default one of this process, which may have its own.
        return Client(
            self._settings.address,
            security=security,
            set_as_default=False,
            timeout=self._settings.wait_s,
        )


def _quieten() -> None:
    """Leave it to the runner to say what happens. Dask reports each of its connections."""
    import distributed  # noqa: F401  # it sets the levels of its loggers when it is imported

    for name in [*logging.root.manager.loggerDict]:
        if name == "distributed" or name.startswith("distributed."):
            logging.getLogger(name).setLevel(logging.CRITICAL)
