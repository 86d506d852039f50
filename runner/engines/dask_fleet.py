"""The workers of a Dask cluster as one run sees them: who has joined, who may work, who is lost.

Dask decides which worker runs which job. Here it is decided who may be given any: a worker that has
been looked at and found right gets a *badge*, which is a resource of Dask's, and every job asks for
one. Dask therefore also gives jobs to workers that join later, once they have theirs.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runner import threads
from runner.engines import station
from runner.engines.engine import Host
from runner.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runner.engines.engine import Requirements

__all__ = ["Fleet", "Member", "differences", "give_badge"]

_log = logging.getLogger(__name__)
_AT_ONCE = 32
"""The number of workers that are looked at side by side."""
_PATIENCE_S = 120.0
"""The seconds in which a worker must have been looked at. Loading a prover takes some of them."""


@dataclass
class Member:
    """A worker of the cluster.

    Attributes:
        address: Its address in the cluster.
        host: The machine that it runs on, as Dask names it.
        slots: The number of jobs that it may run side by side.
        cores: The number of cores that its jobs share with those of the machine's other workers.
        facts: What it said of itself.
        refused: Why it is given no job; empty if it is given some, or is still looked at.
        admitted: Whether it is given jobs.
        seen: When its last sign of life changed, by this machine's clock.
        sign: The last sign of life, by the scheduler's clock.
    """

    address: str
    host: str
    slots: int
    cores: int = 1
    facts: Mapping[str, str] = field(default_factory=dict)
    refused: str = ""
    admitted: bool = False
    seen: float = 0.0
    sign: object = None


class Fleet:
    """Looks at workers, gives them their badges, and drops those that show no sign of life.

    Args:
        run: The id of the run.
        badge: The name of the resource that a worker gets.
        requirements: What a worker must have, or None to take every worker.
        timeout_s: The time limit of one job in seconds, or None.
        resources: The other resources that each job asks for, by name.
        lost_s: The seconds without a sign of life after which a worker counts as lost.
        clock: A function that returns a monotonic time in seconds.
    """

    def __init__(  # noqa: PLR0913  # the wiring of one engine, all by keyword
        self,
        *,
        run: str,
        badge: str,
        requirements: Requirements | None,
        timeout_s: float | None,
        resources: Mapping[str, float],
        lost_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run, self._badge = run, badge
        self._requirements = requirements
        self._timeout_s = timeout_s
        self._resources = dict(resources)
        self._lost_s = lost_s
        self._clock = clock
        self._lock = threading.Lock()
        self._gate = threading.Semaphore(_AT_ONCE)
        self._members: dict[str, Member] = {}
        self._changed = False

    # -- what is known -------------------------------------------------------------------------

    def hosts(self) -> list[Host]:
        """The machines whose workers are given jobs."""
        slots: dict[str, int] = defaultdict(int)
        most: dict[str, int] = defaultdict(int)
        with self._lock:
            members = [member for member in self._members.values() if member.admitted]
        for member in members:
            slots[member.host] += member.slots
            most[member.host] = max(most[member.host], member.cores)
        return [Host(name, most[name], slots[name]) for name in sorted(slots)]

    def changed(self) -> bool:
        """Whether workers have come or gone since this was last asked."""
        with self._lock:
            changed, self._changed = self._changed, False
        return changed

    def refusals(self) -> list[str]:
        """Why workers are given no jobs, one line each."""
        with self._lock:
            return [f"{m.address} {m.refused}" for m in self._members.values() if m.refused]

    def pending(self) -> bool:
        """Whether workers are still being looked at."""
        with self._lock:
            return any(not (m.admitted or m.refused) for m in self._members.values())

    def on(self, host: str) -> dict[str, int]:
        """The slots of the workers on a machine that are given jobs, by address.

        Args:
            host: The machine's own name.
        """
        with self._lock:
            return {
                member.address: member.slots
                for member in self._members.values()
                if member.admitted and member.facts.get("host") == host
            }

    def work(self, addresses: frozenset[str]) -> bool:
        """Whether one of these workers is given jobs."""
        with self._lock:
            members = (self._members.get(address) for address in addresses)
            return any(member is not None and member.admitted for member in members)

    # -- what happens --------------------------------------------------------------------------

    def look(self, client: Any) -> None:  # noqa: ANN401  # distributed has no type stubs
        """Take in who is in the cluster now. New workers are looked at in threads of their own.

        Raises:
            OSError: The scheduler cannot be asked.
        """
        # `client.scheduler_info()` would return what the client keeps, and Dask's own look, every
        # two seconds, replaces that by an answer without workers.
        workers = client.sync(client.scheduler.identity, n_workers=-1)["workers"]
        now = self._clock()
        new, lost = [], []
        with self._lock:
            for address in [address for address in self._members if address not in workers]:
                gone = self._members.pop(address)
                self._changed |= gone.admitted
                _log.info("worker %s has left the cluster", gone.address)
            for address, worker in workers.items():
                member = self._members.get(address)
                if member is None:
                    slots = _slots(worker, self._resources)
                    member = Member(address, worker["host"], slots)
                    self._members[address] = member
                    new.append(member)
                if worker.get("last_seen") != member.sign:
                    member.sign, member.seen = worker.get("last_seen"), now
                elif now - member.seen > self._lost_s:
                    lost.append(member)
        for member in new:
            threads.start("admit", self._admit, client, member)
        for member in lost:
            self._drop(client, member)

    def forget(self) -> None:
        """Forget all workers, because the scheduler that knew them is gone."""
        with self._lock:
            self._members.clear()
            self._changed = True

    def end(self, client: Any) -> None:  # noqa: ANN401
        """End the run's child processes on all workers, without waiting for those that hang."""
        with self._lock:
            addresses = [m.address for m in self._members.values() if not m.refused]
        if addresses:
            _if_possible(
                lambda: client.run(station.end, self._run, workers=addresses, on_error="ignore"),
                5.0,
            )

    def _drop(self, client: Any, member: Member) -> None:  # noqa: ANN401
        _log.warning(
            "worker %s has shown no sign of life for %.0f s and is dropped; its jobs go to others",
            member.address,
            self._lost_s,
        )
        _if_possible(
            lambda: client.sync(
                client.scheduler.unregister,
                address=member.address,
                stimulus_id=f"{self._run}-lost-{time.time()}",
            ),
            self._lost_s,
        )

    def _admit(self, client: Any, member: Member) -> None:  # noqa: ANN401
        """Look at a worker, and give it its badge if nothing is wrong with it."""
        with self._gate:
            try:
                refused = self._examine(client, member)
            except Exception as error:  # noqa: BLE001  # whatever it was, the others go on
                refused = one_line(error) if str(error) else type(error).__name__
                if isinstance(error, ModuleNotFoundError):
                    refused += "; install the runner there"
        with self._lock:
            if self._members.get(member.address) is not member:
                return  # it has left meanwhile
            member.refused, member.admitted = refused, not refused
            self._changed = True
            beside = [m for m in self._members.values() if m.host == member.host and m.admitted]
        if refused:
            _log.warning("worker %s is given no jobs: %s", member.address, refused)
            return
        _log.info("worker %s has joined with %d slots", member.address, member.slots)
        _if_possible(
            lambda: client.run(
                station.share,
                self._run,
                sum(m.slots for m in beside),
                workers=[m.address for m in beside],
                on_error="ignore",
            ),
            _PATIENCE_S,
        )

    def _examine(self, client: Any, member: Member) -> str:  # noqa: ANN401
        """Why a worker may not work, or an empty text. Its badge is given here."""
        import pickle

        def ask(fn: Callable[..., Any], *args: object) -> Any:  # noqa: ANN401
            found = threads.within(
                _PATIENCE_S,
                "fleet",
                lambda: client.run(fn, *args, workers=[member.address], on_error="return"),
            )
            answer = found[member.address]
            if isinstance(answer, Exception):
                raise answer
            return answer

        if member.slots < 1:
            wanted = ", ".join(f"{name}={amount:g}" for name, amount in self._resources.items())
            return f"it has not the resources that each job asks for ({wanted})"
        required = self._requirements
        if required is not None:
            for digest in ask(station.lacks, tuple(required.files)):
                ask(station.keep, (required.files[digest].read_bytes(),))
        facts = _machine if required is None else required.facts
        call = pickle.dumps((facts, (), {}))
        member.facts = ask(station.examine, self._run, member.slots, self._timeout_s, call)
        member.cores = int(member.facts["cores"])
        different = differences({} if required is None else required.expected, member.facts)
        if not different:
            ask(give_badge, self._badge, member.slots)
        return different


def differences(expected: Mapping[str, str], found: Mapping[str, str]) -> str:
    """What a worker has that differs from what the runner has, or an empty text."""
    return "; ".join(
        f"its {name} is {found.get(name, 'unknown')}, the runner's is {value}"
        for name, value in expected.items()
        if found.get(name) != value
    )


async def give_badge(badge: str, slots: int, dask_worker: Any = None) -> None:  # noqa: ANN401
    """Give the worker that this runs on a resource of Dask's, one for each of its slots.

    Dask's scheduler asks what a worker could do when one joins or goes on after a pause, and not
    when one gets a resource. So the worker pauses for a moment, for jobs that have waited for it.
    """
    from distributed.core import Status

    if dask_worker.state.total_resources.get(badge) != slots:
        await dask_worker.set_resources(**{badge: slots})
    if dask_worker.status == Status.running:
        dask_worker.status = Status.paused
        dask_worker.status = Status.running


def _machine() -> dict[str, str]:
    from runner.engines.machine import machine

    return {name: str(value) for name, value in machine().items()}


def _slots(worker: Mapping[str, Any], resources: Mapping[str, float]) -> int:
    """How many jobs a worker may run side by side: one on each thread, as far as resources go."""
    has = worker.get("resources") or {}
    return int(
        min([worker["nthreads"], *(has.get(name, 0) // need for name, need in resources.items())])
    )


def _if_possible(work: Callable[[], Any], seconds: float) -> None:
    """Do what a worker or a scheduler that is gone must not keep anybody from."""
    try:
        threads.within(seconds, "fleet", work)
    except Exception as error:  # noqa: BLE001  # whatever it was, the batch goes on without it
        _log.debug("a worker or the scheduler did not answer: %s", error)
