"""A local node for as long as it is needed: anvil, on loopback, with a pinned fork.

Its chain begins anew with each node, and ends with it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from runner.errors import InputError, L1Error
from runner.evm.faults import Fault
from runner.files import user_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["CHAIN_ID", "FORK", "LocalNode", "find_anvil"]

CHAIN_ID = 31337
"""The chain id of local chains, by which every client knows them."""

FORK = "osaka"
"""The rules of local chains. The price of a call changes with them."""

_KEEPER = 'anvil="$1"; shift; "$anvil" "$@" & pid=$!; cat; kill "$pid"; wait "$pid"'
"""A shell that ends the node when this process ends, whatever ends it: its input ends then."""


def find_anvil(env: Mapping[str, str]) -> Path:
    """The node's program: in the cache folder, where the set-up installs it, or on PATH.

    Raises:
        InputError: there is none.
    """
    installed = user_path(env, "RUNNER_CACHE", "cache", ".") / "tools" / "bin" / "anvil"
    if installed.exists():
        return installed
    if found := shutil.which("anvil", path=env.get("PATH")):
        return Path(found)
    remedy = "python scripts/ethereum_tools.py installs it, or put anvil on PATH"
    raise InputError("l1", "local", "anvil is not installed", remedy)


class LocalNode:
    """A context in which a node runs.

    Args:
        folder: an existing folder for the node's log.
        env: the environment variables, in which the program is looked for.
        options: more options of the node.
    """

    listening = re.compile(r"Listening on 127\.0\.0\.1:(\d+)")
    """What the node says when it can be asked, with its port."""
    start_s = 20.0
    """The seconds after which a node that says nothing of the kind is given up."""

    def __init__(self, folder: Path, env: Mapping[str, str], options: Sequence[str] = ()) -> None:
        self._program = self.program(env)
        self._log = folder / "node.log"
        self._options = tuple(options)
        self._shell: subprocess.Popen[bytes] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        command = ["sh", "-c", _KEEPER, "sh", str(self._program), *self.arguments(), *self._options]
        with self._log.open("wb") as out:
            self._shell = subprocess.Popen(  # noqa: S603  # our own program
                command, stdin=subprocess.PIPE, stdout=out, stderr=out, start_new_session=True
            )
        end = time.monotonic() + self.start_s
        while not (found := self.listening.search(self._said())):
            if self._shell.poll() is not None or time.monotonic() > end:
                self.stop()
                said = " ".join(self._said().split())[-300:]
                raise L1Error(Fault.UNREACHABLE.value, f"{self._program} did not start: {said}")
            time.sleep(0.01)
        self.url = f"http://127.0.0.1:{found.group(1)}"
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @staticmethod
    def program(env: Mapping[str, str]) -> Path:
        """The node's program.

        Raises:
            InputError: there is none.
        """
        return find_anvil(env)

    def arguments(self) -> list[str]:
        """What the program is told, so that it listens on loopback at a free port."""
        where = ["--host", "127.0.0.1", "--port", "0"]
        return [*where, "--chain-id", str(CHAIN_ID), "--hardfork", FORK]

    def stop(self) -> None:
        """End the node, and wait until it has ended."""
        if self._shell is not None and self._shell.stdin is not None:
            self._shell.stdin.close()
            self._shell.wait()
            self._shell = None

    def _said(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")
