"""What each machine of a cluster has done in a batch, for a number of machines that is bounded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner.model import Visit

__all__ = ["MOST_HOSTS", "OTHERS", "HostShare", "HostTally"]

MOST_HOSTS = 32
"""The number of machines that are told apart. A label in Prometheus is for ever, and a cluster that
gives each worker a new name would have a new series for each."""

OTHERS = "(others)"
"""The name of all further machines together."""


@dataclass(frozen=True, slots=True)
class HostShare:
    """What a machine has done.

    Attributes:
        host: the name of the machine, or :data:`OTHERS`.
        jobs: the number of jobs that it has finished, those from the store included.
        fetched: the bytes that it took from the store.
        kept: the bytes that it needed and had on its own disk.
        sent: the bytes that it gave to the store.
    """

    host: str
    jobs: int = 0
    fetched: int = 0
    kept: int = 0
    sent: int = 0


class HostTally:
    """Counts what machines do. One thread counts, and any thread may read."""

    def __init__(self) -> None:
        self._shares: dict[str, HostShare] = {}

    def count(self, visit: Visit) -> None:
        """Count a job that a machine has finished."""
        known = visit.host in self._shares or len(self._shares) < MOST_HOSTS
        host = visit.host if known else OTHERS
        share = self._shares.get(host, HostShare(host))
        self._shares[host] = replace(
            share,
            jobs=share.jobs + 1,
            fetched=share.fetched + visit.fetched,
            kept=share.kept + visit.kept,
            sent=share.sent + visit.sent,
        )

    def shares(self) -> tuple[HostShare, ...]:
        """What each machine has done. The machines that have done most come first."""

        def order(share: HostShare) -> tuple[bool, int, str]:
            return share.host == OTHERS, -share.jobs, share.host

        return tuple(sorted([*self._shares.values()], key=order))
