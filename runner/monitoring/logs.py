"""Where log records go: standard error, as text or as JSON lines, and the run's ``run.log``."""

from __future__ import annotations

import functools
import logging
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.logging import RichHandler

from runner.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = [
    "Limit",
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
"""Fields of every record of the run under way; a process has one at a time."""


@functools.cache
def terminal() -> Console:
    """Standard error, for whoever draws on it: lines and bars know of each other only there."""
    return Console(stderr=True)


def configure(*, level: str, log_format: str, quiet: bool, file: Path, job: str = "") -> None:
    """Send the log of one run to standard error and to a file; replaces what was set up before.

    Args:
        level: of both, a name in any case.
        log_format: ``text`` or ``json``, on standard error; the file is text.
        quiet: errors only on standard error.
        file: gets everything, never shortened.
        job: the name of a sweep's job; said with every record on standard error.

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
        kept = logging.FileHandler(file, encoding="utf-8")
    except OSError as error:
        raise InputError(
            "output",
            str(file.parent),
            f"cannot be written ({error.strerror})",
            "choose a folder that this user can write",
        ) from None
    kept.setFormatter(logging.Formatter(FILE))
    # force: with --multirun every run has its own file.
    logging.basicConfig(level=level.upper(), handlers=[shown, kept], force=True)


def between_jobs() -> None:
    """Send warnings to standard error, and nothing to any file: no run is under way."""
    _run.clear()
    shown = _json_handler() if formats_json() else logging.StreamHandler(sys.stderr)
    if not isinstance(shown, _JsonHandler):
        shown.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[shown], force=True)


def name_run(run_id: str) -> None:
    """All JSON lines from now on are this run's."""
    _run["run_id"] = run_id


def formats_json() -> bool:
    """Whether standard error gets JSON lines."""
    return any(isinstance(handler, _JsonHandler) for handler in logging.getLogger().handlers)


def last_line(text: str, logger: str, exit_code: int) -> str:
    """How a process ends, as a JSON line; needs no log to be set up."""
    record = logging.LogRecord(logger, logging.ERROR, "", 0, text, None, None)
    record.event, record.exit_code = "stopped" if exit_code == 130 else "error", exit_code
    return json_formatter().format(record)


def json_formatter() -> logging.Formatter:
    """One JSON object a line: ts, level, logger, message, run_id, and the record's own fields."""
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
        json_ensure_ascii=False,
    )


class Limit(logging.Filter):
    """Lets few records of a kind through: a storm of retries must not hide everything else.

    A kind is what the code says, whatever it says it of. How many were held back is said with the
    next one of the kind.

    Args:
        burst: so many of a kind ...
        per_s: ... in so many seconds.
        clock: monotonic seconds.
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
        """Pass, hold back, or pass with a word about those held back in ``record.held``."""
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


class _JsonHandler(logging.StreamHandler[Any]):
    """Tells JSON lines from other handlers."""


def _json_handler() -> logging.Handler:
    handler = _JsonHandler()
    handler.setFormatter(json_formatter())
    return handler


def _text_handler(prefix: str) -> logging.Handler:
    handler: logging.Handler
    if terminal().is_terminal:
        handler = RichHandler(
            console=terminal(),
            show_path=False,
            omit_repeated_times=False,
            log_time_format="%H:%M:%S",
        )
        handler.setFormatter(logging.Formatter(prefix + SHORT, defaults={"held": ""}))
    else:
        handler = logging.StreamHandler(sys.stderr)
        text = TEXT.replace(SHORT, prefix + SHORT)
        handler.setFormatter(logging.Formatter(text, defaults={"held": ""}))
    handler.addFilter(Limit())
    return handler
