"""Write the pages of runs and sweeps, and print runs as a table."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from runner.consoles import make_console
from runner.destination import is_stdout
from runner.errors import InputError
from runner.folder import REPORT
from runner.report.export import write_file
from runner.report.figures import compare
from runner.report.find import find, read_lost
from runner.report.read import read
from runner.report.table import table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from runner.report.figures import Runs

__all__ = ["finish_sweep", "load", "show", "write_run", "write_sweep"]

log = logging.getLogger(__name__)


def load(folders: Sequence[Path]) -> Runs:
    """All runs at or below the given folders.

    Args:
        folders: the folders of runs or sweeps.

    Raises:
        InputError: there is no run in a folder, or a ``result.json`` is not this runner's.
    """
    found, lost = find(folders)
    return compare([read(folder) for folder in found], [read_lost(folder) for folder in lost])


def write_run(folder: Path, to: Path | None = None) -> Path:
    """Write one run's page and return its path.

    Args:
        folder: the run's folder.
        to: the file to write; None means ``report.html`` in the run's folder.

    Raises:
        InputError: the result is not this runner's, a library is missing, or the file cannot be
            written.
    """
    place = to or folder / REPORT
    _check_libraries(place)
    from runner.report.page import run_page

    return _write(place, run_page(read(folder), place), named=to is not None)


def write_sweep(runs: Runs, to: Path, *, named: bool = False) -> Path:
    """Write the page of runs side by side and return its path.

    Args:
        runs: the runs that the page shows.
        to: the file to write.
        named: whether the user named the file; see :func:`runner.report.export.write_file`.

    Raises:
        InputError: a library is missing, or the file cannot be written.
    """
    _check_libraries(to)
    from runner.report.page import sweep_page

    return _write(to, sweep_page(runs, to), named=named)


def finish_sweep(folder: Path, *, quiet: bool = False) -> None:
    """Write the page of a sweep that has ended and print its runs as a table.

    A record that cannot be read is left out, with a warning.

    Args:
        folder: the sweep's folder.
        quiet: whether nothing is printed.

    Raises:
        InputError: no run has left anything, or the page cannot be written.
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
        write_sweep(runs, folder / REPORT)
        return
    show(runs)
    console = make_console(soft_wrap=True)
    console.print(f"report: {write_sweep(runs, folder / REPORT)}", markup=False, highlight=False)


def show(runs: Runs, written: Sequence[Path] = ()) -> None:
    """Print runs as a table, and the files that were written.

    Where one of these is standard output, nothing else may go there.

    Args:
        runs: the runs that the table shows.
        written: the paths of the files that were written.
    """
    other = any(map(is_stdout, written))
    console = make_console(stderr=other)
    if not console.is_terminal:
        # A log has no edge at which lines would have to break.
        console = make_console(stderr=other, width=200)
    for part in table(runs):
        console.print(part)
    for file in written:
        console.print(f"report: {file}", markup=False, highlight=False, soft_wrap=True)


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


def _write(to: Path, page: bytes, *, named: bool) -> Path:
    write_file("--output", to, page, named=named)
    return to
