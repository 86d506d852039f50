"""The command ``zk-batch-runner`` of an installed package, which ``python -m runner`` is as well.

``zk-batch-runner verify FOLDER`` is ``python -m runner.verify FOLDER``, and so for each of the
:data:`COMMANDS`. Anything else is a run's settings.
"""

from __future__ import annotations

import runpy
import sys

from runner import streams
from runner.cli.command import main as run

__all__ = ["COMMANDS", "main", "script"]

COMMANDS = (
    *("alerts", "audit", "compile", "dashboard", "doctor", "inclusion", "init"),
    *("l1", "reference", "report", "server", "sign", "verify"),
)
"""The modules that are commands of their own. No setting is given without ``=``, so that the first
word of a command line tells them from settings."""


def main() -> int:
    """Run the command line in ``sys.argv``; returns the process's exit code."""
    if len(sys.argv) > 1 and sys.argv[1] in COMMANDS:
        name = f"runner.{sys.argv.pop(1)}"
        runpy.run_module(name, run_name="__main__")  # it exits by itself
    return run()


def script() -> None:
    """Run the command line as this process, and exit."""
    streams.run(main)
