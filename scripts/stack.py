"""Starts node_exporter, Prometheus, Alertmanager, a Pushgateway and the runner's own page.

    make stack                              on the usual ports of loopback; Ctrl-C ends everything
    python scripts/stack.py --free-ports    on any free ports

The configuration is that of deploy/. Everything is written to a scratch folder that is removed at
the end. Only the standard library is used. Tools that are missing are installed as Debian packages
where that is allowed.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from monitoring_tools import BROWSER, SIGNING, TOOLS, find, install
from stack_config import PORTS, Options, substitute, write_configuration
from steps import SetupError, say

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "BROWSER",
    "SIGNING",
    "TOOLS",
    "Options",
    "Stack",
    "find",
    "install",
    "run_command",
    "substitute",
]

ROOT = Path(__file__).resolve().parent.parent


def free_port() -> int:
    """A port that nobody uses at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Whether a port can be listened on."""
    try:
        with socket.create_server(("127.0.0.1", port)):
            return True
    except OSError:
        return False


class Stack:
    """A context in which the tools run. They all end when it is left.

    Args:
        folder: the folder for configuration, data and logs.
        options: how the stack differs from the shipped configuration.

    Attributes:
        ports: the ports by tool.
    """

    def __init__(self, folder: Path, options: Options) -> None:
        self.folder = folder
        self.options = options
        self.ports = {name: options.ports.get(name) or free_port() for name in PORTS}
        self.node_ports = [
            self.ports["node_exporter"],
            *(free_port() for _ in options.textfiles[1:]),
        ]
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def url(self, tool: str, path: str = "") -> str:
        """The address of a page of a tool."""
        return f"http://127.0.0.1:{self.ports[tool]}{path}"

    def __enter__(self) -> Self:
        try:
            write_configuration(self.folder, self.options, self.ports, self.node_ports)
            self._start_all()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running.values():
            with suppress(OSError):
                process.terminate()
        for process in self._running.values():
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def dead(self) -> list[str]:
        """The tools that have ended."""
        return [name for name, process in self._running.items() if process.poll() is not None]

    def log(self, name: str) -> str:
        """What a tool wrote."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def _start_all(self) -> None:
        listen = "--web.listen-address=127.0.0.1:{}".format
        for at, (port, textfiles) in enumerate(
            zip(self.node_ports, self.options.textfiles, strict=True)
        ):
            self._start(
                f"node_exporter{at or ''}",
                self._tool("node_exporter"),
                "--collector.disable-defaults",
                "--collector.textfile",
                f"--collector.textfile.directory={textfiles}",
                listen(port),
            )
        self._start(
            "alertmanager",
            self._tool("alertmanager"),
            f"--config.file={self.folder / 'alertmanager.yml'}",
            f"--storage.path={self.folder / 'alertmanager-data'}",
            "--cluster.listen-address=",
            listen(self.ports["alertmanager"]),
        )
        self._start(
            "pushgateway",
            self._tool("pushgateway"),
            "--persistence.file=",  # Debian's default would keep the groups for the next start.
            listen(self.ports["pushgateway"]),
        )
        if self.options.runner is not None:
            self._start(
                "server",
                *(sys.executable, "-m", "runner.server", "--textfile", self.options.runner),
                *("--port", self.ports["server"]),
            )
        self._start(
            "prometheus",
            self._tool("prometheus"),
            f"--config.file={self.folder / 'prometheus' / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.folder / 'prometheus-data'}",
            "--log.level=warn",
            listen(self.ports["prometheus"]),
        )
        for name, path in (("alertmanager", "/-/ready"), ("pushgateway", "/-/ready")):
            self._wait(name, self.url(name, path))
        for at, port in enumerate(self.node_ports):
            self._wait(f"node_exporter{at or ''}", f"http://127.0.0.1:{port}/metrics")
        if self.options.runner is not None:
            self._wait("server", self.url("server", "/metrics"))
        self._wait("prometheus", self.url("prometheus", "/-/ready"))

    def _tool(self, name: str) -> str:
        path = find(name)
        if path is None:
            raise SetupError(f"{name} is not installed; run `apt-get install {TOOLS[name][0]}`")
        return path

    def _start(self, name: str, *command: object) -> None:
        with (self.folder / f"{name}.log").open("wb") as log:
            self._running[name] = subprocess.Popen(
                [str(word) for word in command],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches only this script, which ends the tools.
            )

    def _wait(self, name: str, url: str, seconds: float = 30.0) -> None:
        until = time.monotonic() + seconds
        while True:
            try:
                with urllib.request.urlopen(url, timeout=2):
                    return
            except (OSError, urllib.error.URLError):
                pass
            if self._running[name].poll() is not None or time.monotonic() > until:
                last = self.log(name).strip().splitlines()[-1:] or ["it says nothing"]
                raise SetupError(f"{name} did not come up: {last[0]}")
            time.sleep(0.05)


def main(arguments: Sequence[str] | None = None) -> int:
    """The entry point. The exit code is 0 after Ctrl-C or SIGTERM, 2 when something is missing."""
    parser = argparse.ArgumentParser(description="The local monitoring stack, on loopback.")
    parser.add_argument("--free-ports", action="store_true", help="not the usual ones")
    parser.add_argument(
        "--tools",
        action="store_true",
        help="only install what the tests of all this need and miss, where that is allowed",
    )
    options = parser.parse_args(arguments)
    try:
        left = install(os.environ, TOOLS | SIGNING | BROWSER if options.tools else TOOLS)
        if options.tools:
            if left:
                say(f"without {', '.join(left)}: tests that need them are skipped")
            return 0
        if left:
            raise SetupError(f"not installed: run `apt-get install {' '.join(left)}`")
        with tempfile.TemporaryDirectory(prefix="zk-batch-stack-") as name:
            return _serve(Path(name), free=options.free_ports)
    except SetupError as error:
        say(f"failed: {error}")
        return 2


def run_command(textfile: Path) -> str:
    """The command that runs a batch for the stack, to be pasted into a shell."""
    args = ["prover=execute", "guest.count=90", f"metrics.textfile={textfile}"]
    return f"make run ARGS={shlex.quote(shlex.join(args))}"


def _serve(folder: Path, *, free: bool) -> int:
    ports = {} if free else {name: port for name, port in PORTS.items() if is_free(port)}
    textfiles = folder / "textfile"
    textfiles.mkdir(mode=0o755)
    textfile = textfiles / "runner.prom"

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    try:
        with Stack(folder, Options([textfiles], textfile, ports=ports)) as stack:
            print(
                f"Prometheus     {stack.url('prometheus')}   (alerts: /alerts, targets: /targets)"
            )
            print(f"Alertmanager   {stack.url('alertmanager')}")
            print(f"Pushgateway    {stack.url('pushgateway')}")
            print(f"node_exporter  {stack.url('node_exporter', '/metrics')}")
            print(f"the runner     {stack.url('server')}")
            print(f"logs           {folder}/*.log")
            print("\nNow run batches, in another terminal:\n")
            print(f"  {run_command(textfile)}")
            print("\nCtrl-C ends everything and removes the folder.", flush=True)
            while not stack.dead():
                time.sleep(1)
            name = stack.dead()[0]
            last = stack.log(name).strip().splitlines()[-1:]
            raise SetupError(f"{name} has ended: {last[0] if last else 'it says nothing'}")
    except KeyboardInterrupt:
        print("\nstopped", flush=True)
        return 0


if __name__ == "__main__":
    sys.exit(main())
