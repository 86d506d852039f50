"""The command ``python -m runner``: composes the config with Hydra, runs, exits."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from runner import app, config, dry_run, logs, schema
from runner.cli_errors import explain
from runner.errors import RunnerError
from runner.sweep_report import report_sweep

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from omegaconf import DictConfig

__all__ = ["main"]

CONF = Path(__file__).resolve().parent.parent / "conf"

_failed: list[RunnerError] = []
"""The error of a single run, on its way round Hydra to :func:`main`."""

_QUIET = {"--quiet", "-q"}
"""Hydra has no such flag; it stands for the setting ``quiet=true``."""

schema.register()


def main() -> int:
    """Run the command line in ``sys.argv``; returns the process's exit code."""
    sys.argv[1:] = _without_flags(sys.argv[1:])
    # Hydra then raises what it would otherwise print in several lines and end with code 1.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    signal.signal(signal.SIGTERM, _interrupt)
    command: Callable[[], None] = hydra.main(
        version_base="1.3", config_path=str(CONF), config_name="config"
    )(_job)
    _failed.clear()
    try:
        command()
    except RunnerError as error:
        return _say(f"error: {error}", error.exit_code)
    except KeyboardInterrupt:
        return _say("stopped", 130)
    except Exception as error:
        known = explain(error, sys.argv[1:])
        if known is None:
            raise
        return _say(f"error: {known}", known.exit_code)
    finally:
        report_sweep()  # one that ended with an error; a good one's callback has done it
    return _say(f"error: {_failed[0]}", _failed[0].exit_code) if _failed else 0


def _without_flags(arguments: list[str]) -> list[str]:
    """The command line as Hydra knows it."""
    rest = [argument for argument in arguments if argument not in _QUIET]
    if len(rest) == len(arguments):
        return rest
    # Hydra's parser takes overrides only where they stand together.
    at = (i for i, word in enumerate(rest) if "=" in word and not word.startswith("-"))
    first = next(at, len(rest))
    return [*rest[:first], "quiet=true", *rest[first:]]


def _job(conf: DictConfig) -> None:
    """One run; with ``--multirun`` one of many, maybe in a process of its own."""
    context = HydraConfig.get()
    output = Path(context.runtime.output_dir)
    try:
        settings = config.settings(conf, output)
        logs.configure(
            level=settings.log_level,
            log_format=settings.log_format,
            quiet=settings.quiet,
            file=output / "run.log",
        )
        (dry_run if settings.dry_run else app).run(settings)
    except RunnerError as error:
        if context.mode is RunMode.MULTIRUN:
            raise  # Hydra runs the rest, says which run failed, and hands the error to main()
        # Hydra would print a line of its own before the one that helps.
        _failed.append(error)


def _say(text: str, exit_code: int) -> int:
    """The last word on standard error; also where the settings could not be read."""
    if logs.formats_json() or "log_format=json" in sys.argv:
        text = logs.last_line(text, __name__, exit_code)
    sys.stderr.write(f"{text}\n")
    return exit_code


def _interrupt(_signal: int, _frame: FrameType | None) -> Any:  # noqa: ANN401  # a signal handler
    """``systemctl stop`` and a CI that cancels end like Ctrl-C."""
    raise KeyboardInterrupt
