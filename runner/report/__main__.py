"""The command ``python -m runner.report FOLDER...``: a page from what runs have left.

The folder of one run gives that run's page. Any other folder, and several folders, give a page with
all runs that are found there side by side.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from runner import streams
from runner.errors import InputError, RunnerError
from runner.folder import REPORT, RESULT
from runner.report.export import write_csv, write_parquet
from runner.report.leaves import write_leaves
from runner.report.write import load, show, write_run, write_sweep

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.report.figures import Runs

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m runner.report",
        description="Make a page from what runs have left: one run's own, or all side by side.",
        epilog="With --csv, --parquet or --leaves, only --output makes a page too.",
    )
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="of runs or sweeps")
    parser.add_argument("--output", type=Path, metavar="FILE", help=f"the page (default: {REPORT})")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="one row a run, as CSV")
    parser.add_argument("--parquet", type=Path, metavar="FILE", help="the same as Parquet")
    parser.add_argument(
        "--leaves", type=Path, metavar="FILE", help="one row a leaf of one run, as CSV"
    )
    options = parser.parse_args(arguments)
    try:
        runs = load(options.folders)
        if options.csv:
            write_csv(runs, options.csv)
        if options.parquet:
            write_parquet(runs, options.parquet)
        if options.leaves:
            if len(options.folders) != 1:
                remedy = "give one folder"
                raise InputError("--leaves", str(options.leaves), "is of one run", remedy)
            write_leaves(options.folders[0], options.leaves)
        written = [file for file in (options.csv, options.parquet, options.leaves) if file]
        if options.output or not written:
            written.append(_write_page(runs, options.folders, options.output))
        show(runs, written)
    except RunnerError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


def _write_page(runs: Runs, folders: Sequence[Path], to: Path | None) -> Path:
    folder = folders[0]
    if len(folders) == 1 and (folder / RESULT).is_file():
        return write_run(folder, to)
    if to is not None:
        return write_sweep(runs, to, named=True)
    return write_sweep(runs, folder / REPORT if len(folders) == 1 else Path(REPORT))


if __name__ == "__main__":
    streams.run(main)
