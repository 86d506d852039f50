"""What an engine is: a ``concurrent.futures.Executor`` that says what it can do.

``conf/executor`` names an engine by ``_target_``. The class is called with ``workers`` (None for
``auto``) and ``timeout_s`` (None for no limit), and with whatever else its YAML file sets. Calling
it checks these settings and starts nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Engine", "Host", "jobs_at_once", "threads_for"]


@dataclass(frozen=True, slots=True)
class Host:
    """A machine on which workers of an engine run.

    Attributes:
        name: The machine's name, for people.
        cores: The number of CPU cores that its workers share.
        workers: The number of jobs that it runs side by side.
    """

    name: str
    cores: int
    workers: int


class Engine(Executor, ABC):
    """Runs jobs. ``submit`` is given a picklable call and may start workers when it is first used.

    A future fails with the exception that its call raised. When the engine itself is at fault (a
    worker died, a machine went away) it fails with one of :attr:`transient`.

    Attributes:
        ends_jobs: Whether a job that runs can be ended. Without it the engine takes no
            ``executor.timeout_s``, and a run that is stopped waits for no job but cannot end one.
        transient: Exceptions that say nothing about the job, which may succeed when it is tried
            again.
    """

    ends_jobs: ClassVar[bool] = False
    transient: tuple[type[BaseException], ...] = ()

    @abstractmethod
    def hosts(self) -> Sequence[Host]:
        """The machines that the workers run on, at least one of them.

        It is called once, before the first job. An engine that has to ask a cluster connects here;
        one that runs on this machine starts nothing.

        Raises:
            InputError: The workers cannot be reached.
        """

    def kill(self) -> None:
        """End as soon as possible: drop what waits and, where that is possible, end what runs."""
        self.shutdown(wait=False, cancel_futures=True)


def jobs_at_once(hosts: Sequence[Host]) -> int:
    """The number of jobs that run side by side on all hosts together."""
    return sum(host.workers for host in hosts)


def threads_for(hosts: Sequence[Host], jobs: int) -> int:
    """CPU threads for one of so many jobs that run side by side, whatever host it comes to.

    The jobs on a host share its cores, and a job that runs alone has them all. Which host an engine
    picks is not known, so the host that gives least decides.
    """
    return max(1, min(host.cores // max(1, min(host.workers, jobs)) for host in hosts))
