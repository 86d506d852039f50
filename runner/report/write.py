"""Writes pages from what runs have left, and prints their table."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from rich.console import Console

from runner.errors import InputError
from runner.files import atomic_write
from runner.folder import REPORT
from runner.report.figures import compare
from runner.report.find import find, read_lost
from runner.report.read import read
from runner.report.table import table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from runner.report.figures import Runs

__all__ = ["finish_sweep", "load", "log", "show", "write_run", "write_sweep"]


log = logging.getLogger(__name__)


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
    place = to or folder / REPORT
    _check_libraries(place)
    from runner.report.page import run_page

    return _write(place, run_page(read(folder), place))


def write_sweep(runs: Runs, to: Path) -> Path:
    """Write the page of runs side by side; returns where it is.

    Raises:
        InputError: a library is missing, or no file can be made.
    """
    _check_libraries(to)
    from runner.report.page import sweep_page

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
        write_sweep(runs, folder / REPORT)
        return
    show(runs)
    console = Console(soft_wrap=True)
    console.print(f"report: {write_sweep(runs, folder / REPORT)}", markup=False, highlight=False)


def show(runs: Runs, written: Sequence[Path] = ()) -> None:
    """Print the runs as a table, and what was written."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)  # a log has no edge
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


def _write(to: Path, page: bytes) -> Path:
    try:
        atomic_write(to, page)
    except OSError as error:
        raise InputError(
            "--output", str(to), f"cannot be written ({error.strerror})", "choose another file"
        ) from None
    return to
