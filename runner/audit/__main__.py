"""The command ``python -m runner.audit FILE|FOLDER``: check an audit log, alone or with a batch.

A file is checked by itself: every line against its own hash, and against the line before it. This
cannot show that lines are missing at the end. In a batch's folder, ``result.json`` says which line
was the run's last, so everything up to that line must be there, and the files must be those that
the log says were handed over. ``docs/audit.md`` says what this shows and what it does not.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from runner import streams
from runner.audit.check import LOG_NAME, check_log, read_recorded_end
from runner.errors import AuditBrokenError, RunnerError
from runner.folder import RESULT

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m runner.audit",
        description="Check an audit log: 0 it holds, 1 it does not, 2 there is none.",
    )
    parser.add_argument("target", type=Path, help="the log, or the output folder of a batch")
    parser.add_argument(
        "--head",
        action="append",
        default=[],
        metavar="HASH",
        help="a line's hash that was kept elsewhere: the line must be in the log (again for more)",
    )
    options = parser.parse_args(arguments)
    try:
        if options.target.is_dir():
            end = read_recorded_end(options.target)
            path = end.log if end else options.target / LOG_NAME
        else:
            end, path = None, options.target
        checked = check_log(path, end, options.head)
    except AuditBrokenError as error:
        sys.stderr.write(f"DOES NOT HOLD: {path}: {error}\n")
        return 1
    except RunnerError as error:
        sys.stderr.write(f"{'error: ' if error.exit_code == 2 else ''}{error}\n")
        return error.exit_code
    if end is not None:
        proof = f"sealed by {end.folder / RESULT}"
    else:
        proof = "as kept elsewhere" if options.head else "no seal looked at"
    sys.stdout.write(f"HOLDS: {path}: {checked.words()} ({proof})\n")
    return 0


if __name__ == "__main__":
    streams.run(main)
