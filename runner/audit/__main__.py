"""``python -m runner.audit FILE|FOLDER``: check an audit log, or a batch's folder against its log.

A file is checked by itself: every line against its own hash and against the line before. That shows
no line gone from the end. For a folder, ``result.json`` says which line was the run's last, so
everything up to it must be there; its files must be those that the log says were handed over. See
``docs/audit.md`` for what this does and does not show.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from runner.audit.check import _NAME, check_log, read_seal
from runner.errors import AuditBrokenError, RunnerError
from runner.folder import RESULT

if TYPE_CHECKING:
    from collections.abc import Sequence


__all__ = [
    "main",
]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
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
            seal = read_seal(options.target)
            path = seal.log if seal else options.target / _NAME
        else:
            seal, path = None, options.target
        report = check_log(path, seal, options.head)
    except AuditBrokenError as error:
        sys.stderr.write(f"DOES NOT HOLD: {path}: {error}\n")
        return 1
    except RunnerError as error:
        sys.stderr.write(f"{'error: ' if error.exit_code == 2 else ''}{error}\n")
        return error.exit_code
    if seal is not None:
        end = f"sealed by {seal.folder / RESULT}"
    else:
        end = "as kept elsewhere" if options.head else "no seal looked at"
    sys.stdout.write(f"HOLDS: {path}: {report.words()} ({end})\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
