"""The command ``python -m runner.dashboard``: write the Grafana dashboard, or check it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner import streams
from runner.alerts import generated
from runner.alerts.dashboard import DASHBOARD, render

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = generated.parser("dashboard", "Make the Grafana dashboard.", DASHBOARD)
    return generated.command(parser, lambda _: render(), arguments)


if __name__ == "__main__":
    streams.run(main)
