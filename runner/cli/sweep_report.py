"""A Hydra callback: a sweep that has ended, well or not, leaves a report beside its runs."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback

if TYPE_CHECKING:
    from omegaconf import DictConfig

__all__ = ["SweepReport", "report_sweep"]

log = logging.getLogger(__name__)

_due: list[Path] = []
"""The sweep under way in this process: Hydra does not say when one ended with an error."""


_quiet: list[bool] = []
"""Whether it is to print nothing."""


class SweepReport(Callback):
    """Named in ``conf/config.yaml``; ``~hydra.callbacks.report`` takes it out."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:  # noqa: ANN401  # Hydra's
        """A sweep starts."""
        _due[:] = [Path(config.hydra.sweep.dir)]
        _quiet[:] = [bool(config.quiet)]

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:  # noqa: ANN401, ARG002
        """It has ended."""
        report_sweep()


def report_sweep() -> None:
    """Write the page and print the table of the sweep that has ended, if there was one.

    Whatever goes wrong with the report is a warning: the runs are what they are.
    """
    if not _due:
        return
    folder = _due.pop()
    if not folder.is_dir() or not any(path.is_dir() for path in folder.iterdir()):
        return  # it ended before its first run
    try:
        from runner.report.write import finish_sweep

        finish_sweep(folder, quiet=_quiet.pop())
    except Exception as error:  # noqa: BLE001  # no sweep fails for its report
        log.warning("no sweep report: %s", " ".join(str(error).split()) or type(error).__name__)
