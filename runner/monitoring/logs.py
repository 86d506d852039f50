"""The destinations of log records: standard error, as text or JSON lines, and ``run.log``."""

from __future__ import annotations

import functools
import logging
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from runner.consoles import make_console
from runner.errors import InputError
from runner.untrusted import append_regular

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import TextIOWrapper

    from rich.console import Console

__all__ = [
    "RateLimit",
    "between_jobs",
    "configure",
    "formats_json",
    "json_formatter",
    "last_line",
    "name_run",
    "terminal",
]

SHORT = "%(message)s%(held)s"
TEXT = f"%(asctime)s %(levelname)s {SHORT}"
FILE = "%(asctime)s %(levelname)s %(name)s %(message)s"

_run: dict[str, str] = {}
"""Fields that every JSON line of the run under way gets. A process has one run at a time."""


@functools.cache
def terminal() -> Console:
    """Return the console on standard error.

    Log lines and progress bars must share it, because only a console that knows of both keeps them
    from overwriting each other.
    """
    return make_console(stderr=True)


def configure(*, level: str, log_format: str, quiet: bool, file: Path, job: str = "") -> None:
    """Send the log of one run to standard error and to a file, instead of where it went before.

    Args:
        level: the name of the lowest level that is logged, in upper or lower case.
        log_format: the format on standard error, ``text`` or ``json``. The file is always text.
        quiet: whether only errors go to standard error.
        file: the file that gets every record. None is held back from it.
        job: the name of a sweep's job, which is put before every record on standard error.

    Raises:
        InputError: the file cannot be written.
    """
    _run.clear()
    if job:
        _run["job_of_sweep"] = job
    prefix = f"job {job}: ".replace("%", "%%") if job else ""
    shown = _json_handler() if log_format == "json" else _text_handler(prefix)
    if quiet:
        shown.setLevel(logging.ERROR)
    try:
        kept = _FileHandler(file)
    except OSError as error:
        raise InputError(
            "output",
            str(file.parent),
            f"{file.name} cannot be written ({error.strerror})",
            "choose a folder that this user can write",
        ) from None
    kept.setFormatter(logging.Formatter(FILE))
    # The handlers of an earlier run are replaced: with --multirun every run has its own file.
    logging.basicConfig(level=level.upper(), handlers=[shown, kept], force=True)


def between_jobs() -> None:
    """Send only warnings and errors to standard error, and nothing to a file.

    This is for the time between two jobs of a sweep, when no run is under way.
    """
    _run.clear()
    shown = _json_handler() if formats_json() else logging.StreamHandler(sys.stderr)
    if not isinstance(shown, _JsonHandler):
        shown.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[shown], force=True)


def name_run(run_id: str) -> None:
    """Give all JSON lines from now on the id of this run."""
    _run["run_id"] = run_id


def formats_json() -> bool:
    """Tell whether standard error gets JSON lines."""
    return any(isinstance(handler, _JsonHandler) for handler in logging.getLogger().handlers)


def last_line(text: str, logger: str, exit_code: int) -> str:
    """Return the JSON line with which a process ends. No log needs to be set up for it.

    Args:
        text: the message.
        logger: the name of the logger that the line gives.
        exit_code: the exit code of the process.
    """
    record = logging.LogRecord(logger, logging.ERROR, "", 0, text, None, None)
    record.event, record.exit_code = "stopped" if exit_code == 130 else "error", exit_code
    return json_formatter().format(record)


def json_formatter() -> logging.Formatter:
    """Return a formatter that makes one JSON object of each record.

    The object has the fields ``ts``, ``level``, ``logger``, ``message`` and ``run_id``, and the
    record's own.
    """
    from pythonjsonlogger.json import JsonFormatter

    class Formatter(JsonFormatter):
        def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: ARG002, N802
            at = datetime.fromtimestamp(record.created, UTC)
            return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")

        def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
            return super().process_log_record({**log_data, **_run})

    return Formatter(
        "%(asctime)s %(levelname)s %(name)s %(message)s",
        rename_fields={"asctime": "ts", "levelname": "level", "name": "logger"},
    )


class RateLimit(logging.Filter):
    """Limits how many warnings and errors of a kind are shown, so that they do not hide all others.

    Records are of the same kind if they have the same logger and the same message before its
    arguments are filled in. The next record of a kind that is shown says how many were held back.

    Args:
        burst: how many records of a kind are shown in ``per_s`` seconds.
        per_s: the length of that time in seconds.
        clock: a function that returns monotonic seconds.
    """

    def __init__(
        self,
        burst: int = 10,
        per_s: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._burst = burst
        self._per_s = per_s
        self._clock = clock
        self._kinds: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether to show a record, and set ``record.held`` if others were held back."""
        if record.levelno < logging.WARNING:
            return True
        kind, now = (record.name, str(record.msg)), self._clock()
        since, count = self._kinds.get(kind, (now, 0))
        if now - since < self._per_s:
            self._kinds[kind] = (since, count + 1)
            return count < self._burst
        self._kinds[kind] = (now, 1)
        held = count - self._burst
        if held > 0:
            record.held = f" (and {held:,} like it before, all in run.log)"
        return True


class _FileHandler(logging.FileHandler):
    """A handler that appends to a file which may be anybody's, in a folder that was given."""

    def _open(self) -> TextIOWrapper:
        return append_regular(Path(self.baseFilename))


class _TerminalHandler(logging.Handler):
    """A handler that leaves it to the terminal to break lines.

    What is copied from the terminal, such as a hash or a path, then is in one piece.
    """

    def emit(self, record: logging.LogRecord) -> None:
        level = record.levelname
        try:
            line = Text.assemble(
                (time.strftime("[%H:%M:%S] ", time.localtime(record.created)), "log.time"),
                (f"{level:<8} ", f"logging.level.{level.lower()}"),
                self.format(record),
            )
            terminal().print(line, soft_wrap=True)
        except Exception:  # noqa: BLE001  # logging says how a handler reports its own failures
            self.handleError(record)


class _JsonHandler(logging.StreamHandler[Any]):
    """A handler for JSON lines. Its type tells it from other handlers."""


def _json_handler() -> logging.Handler:
    handler = _JsonHandler()
    handler.setFormatter(json_formatter())
    return handler


def _text_handler(prefix: str) -> logging.Handler:
    handler: logging.Handler
    if terminal().is_terminal:
        handler = _TerminalHandler()
        handler.setFormatter(logging.Formatter(prefix + SHORT, defaults={"held": ""}))
    else:
        handler = logging.StreamHandler(sys.stderr)
        text = TEXT.replace(SHORT, prefix + SHORT)
        handler.setFormatter(logging.Formatter(text, defaults={"held": ""}))
    handler.addFilter(RateLimit())
    return handler
