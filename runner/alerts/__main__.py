"""Alert rules for Prometheus from ``conf/alerts``: ``python -m runner.alerts``.

What is watched is in :mod:`runner.alerts.table`; the files say from which number on, for how long,
and how bad it is. A file that cannot be used is refused with file, field, value and remedy, and no
rule is written.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from runner.alerts import generated
from runner.alerts.config import CONF
from runner.alerts.rules import RULES, render

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

__all__ = [
    "main",
]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = generated.parser(
        "alerts", "Render the alert rules for Prometheus from conf/alerts.", RULES
    )
    parser.add_argument(
        "--conf",
        type=Path,
        default=CONF,
        metavar="DIR",
        help="thresholds, durations and severities (default: conf/alerts)",
    )

    def make(options: Namespace) -> str:
        return render(options.conf)

    return generated.command(parser, make, arguments)


# -- YAML ------------------------------------------------------------------------------------------


if __name__ == "__main__":
    sys.exit(main())
