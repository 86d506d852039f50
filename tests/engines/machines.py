"""A Dask cluster of real processes on loopback, as operators start them, and what befalls it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

from tests.engines.cases import PATIENCE_S, until

if TYPE_CHECKING:
    from types import TracebackType

ROOT = Path(__file__).resolve().parents[2]


class Machines:
    """A scheduler and workers, each a process group of its own.

    Args:
        folder: Where the processes run and leave their logs.
        security: Further arguments of both commands, such as those of TLS.
        scheme: ``tcp`` or ``tls``.
    """

    def __init__(self, folder: Path, security: tuple[str, ...] = (), scheme: str = "tcp") -> None:
        self._folder = folder
        self._security = security
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.address = f"{scheme}://{self.ip('scheduler')}:{self._port}"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._logs: list[IO[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for name in [*self._processes]:
            self.kill(name)
        for log in self._logs:
            log.close()

    def start_scheduler(self) -> None:
        own = self.ip("scheduler")
        arguments = ["--host", own, "--port", str(self._port), "--no-dashboard"]
        self._start("scheduler", ["scheduler", *arguments], {})
        until(self._listens)

    def start_worker(self, name: str, *arguments: str, **env: str) -> None:
        """Start a worker with one thread, unless the arguments say otherwise."""
        given = ["--name", name, "--no-dashboard", "--host", self.ip(name), *arguments]
        if "--nthreads" not in given:
            given += ["--nthreads", "1"]
        self._start(name, ["worker", self.address, *given], env)

    def kill(self, name: str) -> None:
        """Kill a process with all that it has started, as a machine that loses its power."""
        process = self._processes.pop(name)
        self._signal(process, signal.SIGKILL)
        process.wait(PATIENCE_S)

    def freeze(self, name: str) -> None:
        self._signal(self._processes[name], signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        self._signal(self._processes[name], signal.SIGCONT)

    def name_of(self, pid: int) -> str:
        """The machine on which a process runs."""
        session = os.getsid(pid)
        return next(name for name, own in self._processes.items() if own.pid == session)

    def log(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def ip(self, name: str) -> str:
        """The address of a machine."""
        return "127.0.0.1"

    def on(self, name: str) -> list[str]:
        """What stands before a command so that it runs on a machine."""
        return []

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0

    def _start(self, name: str, arguments: list[str], env: dict[str, str]) -> None:
        log = (self._folder / f"{name}.log").open("ab")
        self._logs.append(log)
        self._processes[name] = subprocess.Popen(
            [*self.on(name), sys.executable, "-m", "dask", *arguments, *self._security],
            cwd=self._folder,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
                "RUNNER_ARTIFACTS": str(self._folder / f"disk of {name}"),
                **env,
            },
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    def _signal(self, process: subprocess.Popen[bytes], number: signal.Signals) -> None:
        """Signal the process and all its descendants, which are in its session."""
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[3]) == process.pid:
                try:
                    os.kill(int(folder.name), number)
                except ProcessLookupError:
                    continue
