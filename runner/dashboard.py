"""``python -m runner.dashboard``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from runner.alerts import generated
from runner.alerts.dashboard import DASHBOARD, render

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = generated.parser("dashboard", "Make the Grafana dashboard.", DASHBOARD)
    return generated.command(parser, lambda _: render(), arguments)


if __name__ == "__main__":
    sys.exit(main())
