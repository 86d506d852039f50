"""A Hydra callback that leaves a report beside a sweep's runs, however the sweep ended."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback

from runner.cli.session import current
from runner.text import one_line

if TYPE_CHECKING:
    from omegaconf import DictConfig

__all__ = ["SweepReport", "report_sweep"]

log = logging.getLogger(__name__)


class SweepReport(Callback):
    """The callback named in ``conf/config.yaml``; ``~hydra.callbacks.report`` takes it out."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:  # noqa: ANN401  # Hydra's
        """Note that the sweep which starts is to have a report.

        Hydra calls no callback when a sweep ends with an error, so the note is left where
        :func:`runner.cli.command.main` finds it.
        """
        current().report_due = Path(config.hydra.sweep.dir)

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:  # noqa: ANN401, ARG002
        """Report the sweep that has ended well."""
        report_sweep()


def report_sweep() -> None:
    """Write the page and print the table of the sweep that has ended, if one is still due.

    Whatever goes wrong with the report is a warning, because the runs themselves are done.
    """
    session = current()
    folder, session.report_due = session.report_due, None
    if folder is None:
        return
    if not folder.is_dir() or not any(path.is_dir() for path in folder.iterdir()):
        return  # the sweep ended before its first run
    try:
        from runner.report.write import finish_sweep

        finish_sweep(folder, quiet=session.terminal.quiet)
    except Exception as error:  # noqa: BLE001  # no sweep fails for its report
        log.warning("no sweep report: %s", one_line(error))
