"""Machines of a simulated cluster: which of them runs a job, and the bytes on every link.

What travels is what the runner would send: calls and outcomes are pickled as ``executor=dask``
pickles them, and receipts go through the store unless the machine has made them itself. Which
machine is best is decided by the runner's own :func:`runner.jobs.placement.near`.
"""

from __future__ import annotations

import functools
import hashlib
import pickle
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from runner.engines.engine import Host
from runner.jobs.elsewhere import perform_elsewhere
from runner.jobs.placement import near
from runner.jobs.site import Site
from runner.model import Child, ReceiptKind, Stored, Visit
from runner.provers.guests import DEFAULT_FOLDER, Manifest
from runner.provers.prover import ProverSpec
from runner.store.place import PlaceSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.model import Outcome, ProofJob

__all__ = ["Link", "Machines"]


@dataclass
class Link:
    """The bytes on one machine's link to the store.

    Attributes:
        fetched: the bytes that it has taken from the store.
        kept: the bytes that its jobs needed and its own disk had.
        sent: the bytes that it has given to the store.
    """

    fetched: int = 0
    kept: int = 0
    sent: int = 0


@dataclass
class Machines:
    """Machines with the same number of slots each.

    Attributes:
        count: the number of machines.
        slots: the number of jobs that run side by side on each.
        receipt: the size of a receipt in bytes.
        bandwidth: the bytes a second between a machine and the store.
        links: the link of each machine to the store.
        calls: the bytes of all calls, which the client gives to the scheduler, and this to workers.
        outcomes: the bytes of all outcomes, on the way back.
    """

    count: int
    slots: int
    receipt: int
    bandwidth: float = 125e6
    calls: int = 0
    outcomes: int = 0
    links: list[Link] = field(init=False)

    def __post_init__(self) -> None:
        self.links = [Link() for _ in range(self.count)]
        self._free = [self.slots] * self.count
        # Each machine stands here once for each free slot, and for each that was taken otherwise.
        self._next = deque(host for _ in range(self.slots) for host in range(self.count))
        self._skip = [0] * self.count
        self._made: dict[int, int] = {}  # the machine that has made a receipt, by job
        self._numbers = {_name(host): host for host in range(self.count)}
        guests = Manifest.load(DEFAULT_FOLDER)
        programs = (guests.get("sha256"), guests.get("aggregator"))
        site = Site(
            ProverSpec("risc0", ReceiptKind.SUCCINCT, guests="/srv/guests"),
            tuple((guest.elf_path.name, guest.elf_sha256) for guest in programs),
            programs,
            PlaceSettings("s3://batches/store"),
            caches=True,
        )
        self._task = functools.partial(perform_elsewhere, site)
        self._leaf_call = 0
        self._outcome = 0

    def hosts(self) -> Sequence[Host]:
        """The machines, with one core for each slot."""
        return [Host(_name(host), self.slots, self.slots) for host in range(self.count)]

    def load(self, job: ProofJob, children: Sequence[int]) -> ProofJob:
        """A job with its children, which are in the store."""
        return replace(job, children=tuple(map(self._child, children)))

    def start(self, job: ProofJob) -> tuple[int, float]:
        """Give a job to a machine. Returns it, and the seconds that the job's bytes take."""
        self.calls += self._call_bytes(job)
        best = near(job)
        host = self._numbers[best] if best is not None else -1
        if host >= 0 and self._free[host]:
            self._skip[host] += 1
        else:
            host = self._any()
        self._free[host] -= 1
        link, fetched = self.links[host], 0
        for child in job.children:
            assert child.stored is not None
            if child.stored.host == _name(host):
                link.kept += child.stored.size
            else:
                fetched += child.stored.size
        link.fetched += fetched
        link.sent += self.receipt
        return host, (fetched + self.receipt) / self.bandwidth

    def end(self, host: int, outcome: Outcome) -> Outcome:
        """Take note that a machine has done a job. Returns what it says of it."""
        self._free[host] += 1
        self._next.append(host)
        self._made[outcome.job_id] = host
        stored = Stored(hashlib.sha256().hexdigest(), self.receipt, _name(host))
        visit = Visit(_name(host), self.receipt, self.receipt, self.receipt)
        full = replace(outcome, receipt=None, journal=bytes(32), stored=stored, visit=visit)
        self._outcome = self._outcome or len(pickle.dumps(full))
        self.outcomes += self._outcome
        return full

    def _any(self) -> int:
        while True:
            host = self._next.popleft()
            if not self._skip[host]:
                return host
            self._skip[host] -= 1

    def _child(self, job_id: int) -> Child:
        journal = hashlib.sha256(b"%d" % job_id)
        host = self._made[job_id]
        return Child(
            bytes(32),
            journal.digest(),
            None,
            Stored(journal.hexdigest(), self.receipt, _name(host)),
        )

    def _call_bytes(self, job: ProofJob) -> int:
        """The bytes of a call. All leaves' calls have the form of the first one's."""
        if job.children:
            return len(pickle.dumps((self._task, (job,), {})))
        self._leaf_call = self._leaf_call or len(pickle.dumps((self._task, (job,), {})))
        return self._leaf_call


@functools.cache
def _name(host: int) -> str:
    return f"machine-{host:04}"
