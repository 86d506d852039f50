"""``python -m runner.report FOLDER...``: a page for people from what runs have left.

One run's folder gives that run's report, anything else a report over all runs found there.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from runner import results
from runner.errors import InputError, RunnerError
from runner.files import atomic_write
from runner.report_export import write_csv, write_parquet
from runner.report_figures import compare
from runner.report_find import find, read_lost
from runner.report_read import read
from runner.report_table import table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.report_figures import Runs

__all__ = ["finish_sweep", "load", "main", "show", "write_run", "write_sweep"]

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m runner.report",
        description="Make a page from what runs have left: one run's own, or all side by side.",
        epilog="With --csv or --parquet the page is written only where --output names it.",
    )
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="of runs or sweeps")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help=f"the page (default: {results.REPORT})"
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="one row a run, as CSV")
    parser.add_argument("--parquet", type=Path, metavar="FILE", help="the same as Parquet")
    options = parser.parse_args(arguments)
    try:
        runs = load(options.folders)
        if options.csv:
            write_csv(runs, options.csv)
        if options.parquet:
            write_parquet(runs, options.parquet)
        written = [file for file in (options.csv, options.parquet) if file]
        if options.output or not written:
            written.append(_write_page(runs, options.folders, options.output))
        show(runs, written)
    except RunnerError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


def load(folders: Sequence[Path]) -> Runs:
    """All runs at or below ``folders``.

    Raises:
        InputError: a folder has none, or a ``result.json`` is not this runner's.
    """
    found, lost = find(folders)
    return compare([read(folder) for folder in found], [read_lost(folder) for folder in lost])


def write_run(folder: Path, to: Path | None = None) -> Path:
    """Write one run's page, into its folder unless told otherwise; returns where it is.

    Raises:
        InputError: the result is not this runner's, a library is missing, or no file can be made.
    """
    place = to or folder / results.REPORT
    _check_libraries(place)
    from runner.report_page import run_page

    return _write(place, run_page(read(folder), place))


def write_sweep(runs: Runs, to: Path) -> Path:
    """Write the page of runs side by side; returns where it is.

    Raises:
        InputError: a library is missing, or no file can be made.
    """
    _check_libraries(to)
    from runner.report_page import sweep_page

    return _write(to, sweep_page(runs, to))


def finish_sweep(folder: Path, *, quiet: bool = False) -> None:
    """Write the page of a sweep that has ended and, unless ``quiet``, print its table.

    A record that cannot be read is left out with a warning.

    Raises:
        InputError: no run has left anything, or the page cannot be made.
    """
    found, lost = find([folder])
    records = []
    for place in found:
        try:
            records.append(read(place))
        except InputError as error:
            log.warning("left out of the sweep report: %s", error)
    runs = compare(records, [read_lost(place) for place in lost])
    if quiet:
        write_sweep(runs, folder / results.REPORT)
        return
    show(runs)
    console = Console(soft_wrap=True)
    console.print(
        f"report: {write_sweep(runs, folder / results.REPORT)}", markup=False, highlight=False
    )


def show(runs: Runs, written: Sequence[Path] = ()) -> None:
    """Print the runs as a table, and what was written."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)  # a log has no edge
    for part in table(runs):
        console.print(part)
    for file in written:
        console.print(f"report: {file}", markup=False, highlight=False, soft_wrap=True)


def _write_page(runs: Runs, folders: Sequence[Path], to: Path | None) -> Path:
    folder = folders[0]
    if len(folders) == 1 and (folder / results.RESULT).is_file():
        return write_run(folder, to)
    return write_sweep(
        runs, to or (folder / results.REPORT if len(folders) == 1 else Path(results.REPORT))
    )


def _check_libraries(to: Path) -> None:
    try:
        import jinja2  # noqa: F401
        import matplotlib as mpl  # noqa: F401
    except ImportError as error:
        raise InputError(
            "report",
            str(to),
            f"needs {error.name}, which is not installed",
            "pip install 'zk-batch-runner[report]'",
        ) from None


def _write(to: Path, page: bytes) -> Path:
    try:
        atomic_write(to, page)
    except OSError as error:
        raise InputError(
            "--output", str(to), f"cannot be written ({error.strerror})", "choose another file"
        ) from None
    return to


if __name__ == "__main__":
    sys.exit(main())
