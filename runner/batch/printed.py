"""What guests print: a file for each leaf, and a few lines of it in the log.

Guests may be anybody's, so what they print is bounded, and control characters in it are escaped
wherever it is written.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from runner.errors import ProverError, visible
from runner.files import atomic_write
from runner.folder import PRINTED

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Printed", "printed_by"]

log = logging.getLogger(__name__)

_MOST = 64 << 10
_LAST_LINES = 20
"""The lines that the log shows, which are the last ones."""


class Printed:
    """Keeps what the guests of a run print.

    Args:
        folder: the output folder of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / PRINTED

    def keep(self, file: str, name: str, text: str, *, failed: bool = False) -> None:
        """Write what a guest printed to a file, and show its last lines in the log.

        A disk that takes no such file fails no job.

        Args:
            file: the name of the file, without its suffix.
            name: the name of the job.
            text: what its guest printed; nothing is written where that is nothing.
            failed: whether the guest failed, so that everybody wants to see it.
        """
        if not text:
            return
        lines = [visible(line) for line in text[:_MOST].split("\n")]
        path = self._folder / f"{file}.txt"
        try:
            self._folder.mkdir(exist_ok=True)
            atomic_write(path, "\n".join(lines).encode())
        except OSError as error:
            log.warning("what %s printed cannot be kept: %s", name, error.strerror)
        level = logging.ERROR if failed else logging.DEBUG
        if log.isEnabledFor(level):
            shown = [line if len(line) <= 200 else f"{line[:197]}..." for line in lines if line]
            log.log(level, "%s printed (%s): %s", name, path, " | ".join(shown[-_LAST_LINES:]))


def printed_by(error: BaseException | None) -> str:
    """What a guest had printed when it failed with an error."""
    return error.printed if isinstance(error, ProverError) else ""
