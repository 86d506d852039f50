"""The base class of all engines: a ``concurrent.futures.Executor`` that says what it can do.

``conf/executor`` names an engine by ``_target_``. Its class is called with ``workers`` (None for
``auto``), ``timeout_s`` (None for no limit) and all other settings of ``engine`` in the YAML file.
The constructor checks these settings and starts nothing.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

__all__ = ["Engine", "Host", "Requirements", "jobs_at_once", "threads_for"]


@dataclass(frozen=True, slots=True)
class Host:
    """A machine that runs workers of an engine.

    Attributes:
        name: The machine's name, for people.
        cores: The number of CPU cores that the workers on the machine share.
        workers: The number of jobs that run side by side on the machine.
    """

    name: str
    cores: int
    workers: int


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a worker on another machine must have before it is given a job.

    Attributes:
        facts: A picklable function that is called once on each worker, in a process as a job has
            it. It returns facts about the worker by name, or raises what makes it unusable.
        expected: The facts that a worker must have in common with this process, by name.
        files: The files that a worker must have in its :class:`runner.store.keep.Keep`, by their
            SHA-256 in hex. The engine takes them there. It is empty where a store does.
        near: A function that is given the argument of a call and names the machine that the call
            had best run on, or None if it is all the same.
    """

    facts: Callable[[], Mapping[str, str]]
    expected: Mapping[str, str]
    files: Mapping[str, Path]
    near: Callable[[Any], str | None] = lambda _: None


class Engine(Executor, ABC):
    """Runs jobs. ``submit`` is given a picklable call, and may start workers on its first use.

    A future fails with the exception that its call raised. If the engine itself is at fault, e.g.
    because a worker died, the future fails with one of the exceptions in :attr:`transient`.

    Attributes:
        ends_jobs: Whether the engine can end a running job. If it cannot, the runner refuses
            ``executor.timeout_s``, and jobs that run when a run is stopped go on to their end.
        transient: Exceptions that say nothing about the job, so that another attempt may succeed.
        elsewhere: Whether workers may be on machines that share no file with this one.
    """

    ends_jobs: ClassVar[bool] = False
    elsewhere: ClassVar[bool] = False
    transient: tuple[type[BaseException], ...] = ()

    @abstractmethod
    def hosts(self) -> Sequence[Host]:
        """The machines that the workers run on, at least one.

        It is called once, before the first job. An engine for a cluster connects to it here. An
        engine for this machine starts nothing yet.

        Raises:
            InputError: The workers cannot be reached.
        """

    def require(self, requirements: Requirements) -> None:  # workers here are what this process is
        """Take note of what workers elsewhere must have. It is called before :meth:`hosts`.

        A worker that lacks something is given no job, and is named with the reason in the log.
        """

    def changed(self) -> Sequence[Host] | None:
        """The machines as they are now, if they have changed since this or :meth:`hosts` said them.

        Machines may join and leave a cluster while a batch runs. The executor asks often, so the
        answer must come at once.
        """
        return None

    def suggest_workers(self, workers: int) -> None:  # an engine may have its own mind
        """Take this number of workers if the settings leave the number to the engine.

        It is called before :meth:`hosts`, for a prover whose best number is not that of the cores.
        """

    def run_fewer(self, workers: int) -> None:  # an engine may have nothing to give back
        """Keep no more than so many workers, because memory was short.

        No more jobs run side by side from now on. A worker that waits for one may hold memory.
        """

    def kill(self) -> None:
        """Drop the jobs that wait and, if the engine can, end those that run. Do not wait."""
        self.shutdown(wait=False, cancel_futures=True)


def jobs_at_once(hosts: Sequence[Host]) -> int:
    """The number of jobs that run side by side on all hosts together."""
    return sum(host.workers for host in hosts)


def threads_for(hosts: Sequence[Host], jobs: int) -> int:
    """The number of CPU threads for each of ``jobs`` jobs that run side by side.

    The jobs on a host share its cores, and a job that runs alone has all of them. Where all workers
    have a job, shares are rounded down, so that cores which the user keeps from workers stay free.
    Where fewer jobs are left, shares are rounded up, so that no core idles: a few threads too many
    cost a proof nothing (docs/performance.md). It is not known which host the engine picks for a
    job. So the host that would give it the fewest cores decides.
    """
    return max(1, min(_share(host, jobs) for host in hosts))


def _share(host: Host, jobs: int) -> int:
    if jobs >= host.workers:
        return host.cores // max(1, host.workers)
    return math.ceil(host.cores / max(1, jobs))
