"""The command ``python -m runner.alerts``: write the alert rules for Prometheus, or check them.

:mod:`runner.alerts.table` says what is watched. The files in ``conf/alerts`` give the thresholds,
the durations and the severities. If a file cannot be used, the error names the file, the field, the
value and the remedy, and no rule is written.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from runner import streams
from runner.alerts import generated
from runner.alerts.config import unwatched
from runner.alerts.rules import RULES, render

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = generated.parser(
        "alerts", "Render the alert rules for Prometheus from conf/alerts.", RULES
    )
    parser.add_argument(
        "--conf",
        type=Path,
        metavar="DIR",
        help="thresholds, durations and severities (default: conf/alerts below the working folder; "
        "where it lacks a file, or is not there, those that come with the runner)",
    )

    def make(options: Namespace) -> str:
        return render(options.conf)

    code = generated.command(parser, make, arguments)
    options = parser.parse_args(arguments)
    if code == 0 and not options.check and (words := unwatched(options.conf)):
        sys.stderr.write(f"note: {words}\n")
    return code


if __name__ == "__main__":
    streams.run(main)
