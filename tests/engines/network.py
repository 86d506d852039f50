"""Machines with addresses and names of their own: namespaces of Linux, joined by a bridge.

Each machine has a network and a host name of its own, and its own link to the bridge, which a test
may cut, slow down or let lose packets. The bridge is in a namespace too, so that nothing of this
machine's own network changes.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.engines.machines import ROOT, Machines

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

_number = itertools.count()


def why_no_network() -> str:
    """Why there can be no such network here, or an empty text."""
    if shutil.which("ip") is None or shutil.which("unshare") is None:
        return "it needs the commands ip and unshare"
    if os.geteuid() != 0:
        return "only root can make network namespaces"
    name = f"rn{os.getpid()}try"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False)
    if made.returncode:
        return f"no network namespace can be made: {made.stderr.decode().strip()}"
    _ip("netns", "del", name)
    return ""


class Network(Machines):
    """Machines of which each is in a namespace of its own. See :class:`Machines`."""

    def __init__(self, folder: Path, security: tuple[str, ...] = (), scheme: str = "tcp") -> None:
        self._prefix = f"rn{os.getpid()}n{next(_number)}"
        self._addresses: dict[str, str] = {}
        self._links: list[subprocess.Popen[bytes]] = []
        self._bridge = f"{self._prefix}sw"
        _ip("netns", "add", self._bridge)
        self._in(self._bridge, "link", "add", "bridge", "type", "bridge")
        self._in(self._bridge, "link", "set", "bridge", "up")
        super().__init__(folder, security, scheme)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, trace)
        for link in self._links:
            link.kill()
            link.communicate()
        for name in [*map(self._space, self._addresses), self._bridge]:
            _ip("netns", "del", name)

    def ip(self, name: str) -> str:
        if name not in self._addresses:
            self._add(name)
        return self._addresses[name]

    def on(self, name: str) -> list[str]:
        self.ip(name)
        script = 'hostname "$0" && exec "$@"'
        return ["ip", "netns", "exec", self._space(name), "unshare", "-u", "sh", "-c", script, name]

    def cut(self, name: str) -> None:
        """Cut a machine's link. No packet arrives, and nothing tells either side."""
        self._in(self._bridge, "link", "set", self._port_of(name), "down")

    def cut_one_way(self, name: str, other: str) -> None:
        """Let a machine hear another and not answer it, as behind a firewall that has changed."""
        self._in(self._space(name), "route", "add", "blackhole", f"{self.ip(other)}/32")

    def mend(self, name: str) -> None:
        self._in(self._bridge, "link", "set", self._port_of(name), "up")

    def spoil(
        self, name: str, *, delay_s: float = 0.0, jitter_s: float = 0.0, loss: float = 0.0
    ) -> None:
        """Let a machine's link delay and lose packets, both ways.

        Args:
            name: the machine.
            delay_s: the seconds that each packet takes.
            jitter_s: how many seconds more or less it may be.
            loss: the share of the packets that are lost.
        """
        self.ip(name)
        port = self._port_of(name)
        inner, outer = f"i{port}", f"o{port}"
        self._in(self._bridge, "link", "add", inner, "type", "veth", "peer", "name", outer)
        self._in(self._bridge, "link", "set", outer, "master", "bridge", "up")
        self._in(self._bridge, "link", "set", inner, "up")
        self._in(self._bridge, "link", "set", port, "nomaster")
        script = [sys.executable, "-m", "tests.engines.slow_link", port, inner]
        process = subprocess.Popen(
            ["ip", "netns", "exec", self._bridge, *script, *map(str, (delay_s, jitter_s, loss))],
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        self._links.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"

    def round_trip_s(self, name: str, other: str) -> float:
        """The shortest time in seconds in which a machine's connection to another is refused."""
        knock = (
            "import socket, sys, time\n"
            "times = []\n"
            "for _ in range(5):\n"
            "    begun = time.monotonic()\n"
            "    socket.socket().connect_ex((sys.argv[1], 9))\n"
            "    times.append(time.monotonic() - begun)\n"
            "print(min(times))\n"
        )
        command = [*self.on(name), sys.executable, "-c", knock, self.ip(other)]
        done = subprocess.run(command, capture_output=True, check=True, text=True)
        return float(done.stdout)

    def _add(self, name: str) -> None:
        number = len(self._addresses) + 1
        self._addresses[name] = f"10.77.0.{number}"
        space = self._space(name)
        _ip("netns", "add", space)
        peer = ("peer", "name", "eth0", "netns", space)
        self._in(self._bridge, "link", "add", self._port_of(name), "type", "veth", *peer)
        self._in(self._bridge, "link", "set", self._port_of(name), "master", "bridge", "up")
        self._in(space, "address", "add", f"10.77.0.{number}/24", "dev", "eth0")
        self._in(space, "link", "set", "eth0", "up")
        self._in(space, "link", "set", "lo", "up")

    def _space(self, name: str) -> str:
        return f"{self._prefix}{name}"

    def _port_of(self, name: str) -> str:
        return f"p{[*self._addresses].index(name)}"

    def _listens(self) -> bool:
        knock = f"exec 3<>/dev/tcp/{self.ip('scheduler')}/{self._port}"
        command = ["ip", "netns", "exec", self._space("scheduler"), "bash", "-c", knock]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def _in(self, space: str, *arguments: str) -> None:
        _ip("-n", space, *arguments)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
