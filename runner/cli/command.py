"""The command ``python -m runner``: composes the config with Hydra, runs, exits."""

from __future__ import annotations

import logging
import math
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from runner.cli import schema
from runner.cli.errors import explain
from runner.cli.sweep_report import report_sweep
from runner.errors import (
    BatchFailedError,
    InputError,
    InterruptedBatchError,
    RunnerError,
    UnexpectedError,
)
from runner.files import SHIPPED

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, ModuleType

    from omegaconf import DictConfig

    from runner.batch.settings import Settings

__all__ = ["main"]

log = logging.getLogger(__name__)

CONF = SHIPPED / "conf"

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
    if sweeps := _sweeps():
        sweeps.finished.clear()
    try:
        command()
    except RunnerError as error:
        return _say(f"error: {error}", error.exit_code)
    except KeyboardInterrupt:
        _say_sweeps()
        return _say("stopped", 130)
    except Exception as error:
        known = explain(error, sys.argv[1:])
        if known is None:
            raise
        return _say(f"error: {known}", known.exit_code)
    finally:
        report_sweep()  # one that ended with an error; a good one's callback has done it
    return _say(f"error: {_failed[0]}", _failed[0].exit_code) if _failed else _say_sweeps()


def _without_flags(arguments: list[str]) -> list[str]:
    """The command line as Hydra knows it."""
    rest = [argument for argument in arguments if argument not in _QUIET]
    if len(rest) == len(arguments):
        return rest
    # Hydra's parser takes overrides only where they stand together.
    at = (i for i, word in enumerate(rest) if "=" in word and not word.startswith("-"))
    first = next(at, len(rest))
    return [*rest[:first], "quiet=true", *rest[first:]]


def _job(conf: DictConfig) -> float:
    """One run; with ``--multirun`` one of many, maybe in a process of its own.

    Returns:
        Its wall seconds, which is what sweepers search by.
    """
    context = HydraConfig.get()
    output = Path(context.runtime.output_dir)
    if context.mode is RunMode.MULTIRUN:
        return _job_of_a_sweep(conf, output)
    try:
        return _run(conf, output)
    except RunnerError as error:
        # Hydra would print a line of its own before the one that helps.
        _failed.append(error)
        return math.nan


def _job_of_a_sweep(conf: DictConfig, output: Path) -> float:
    try:
        return _run(conf, output, name=output.name)
    except InterruptedBatchError:
        raise KeyboardInterrupt from None  # stops the sweep, not just this job
    except RunnerError as error:
        log.error("%s", error)  # noqa: TRY400  # now, and once more when the sweep ends
        raise
    except Exception as error:  # noqa: BLE001  # a bug of one job stops no other
        file = output / "traceback.txt"
        file.write_text(traceback.format_exc(), encoding="utf-8")
        raise UnexpectedError(f"{type(error).__name__}: {error}", str(file)) from None
    finally:
        from runner.monitoring import logs

        # What is said between two jobs belongs into the log of neither.
        logs.between_jobs()


def _run(conf: DictConfig, output: Path, name: str = "") -> float:
    # Not at the top: `--help` and `--cfg` need none of it.
    from runner.cli import config
    from runner.monitoring import logs

    settings = config.settings(conf, output)
    logs.configure(
        level=settings.log_level,
        log_format=settings.log_format,
        quiet=settings.quiet,
        file=output / "run.log",
        job=name,
    )
    if settings.dry_run:
        from runner.batch import dry_run

        dry_run.run(settings)
        return math.nan
    from runner.batch.run import run

    try:
        wall_s = run(settings).wall_s
    except BatchFailedError:
        _report(settings)
        raise
    _report(settings)
    return wall_s


def _report(settings: Settings) -> None:
    """The run's page, if it was asked for; one that cannot be made is a warning."""
    if not settings.report:
        return
    from runner.report.write import write_run

    try:
        write_run(settings.output)
    except InputError as error:
        log.warning("no report of this run: %s", error)


def _say(text: str, exit_code: int) -> int:
    """The last word on standard error; also where the settings could not be read."""
    from runner.monitoring import logs

    if logs.formats_json() or "log_format=json" in sys.argv:
        text = logs.last_line(text, __name__, exit_code)
    sys.stderr.write(f"{text}\n")
    return exit_code


def _sweeps() -> ModuleType | None:
    """The record of sweeps, if there was one: nothing else loads it."""
    return sys.modules.get("runner.cli.sweep_jobs")


def _say_sweeps() -> int:
    """What became of a sweep's jobs; the exit code."""
    sweeps = _sweeps()
    if sweeps is None:
        return 0
    for sweep in sweeps.finished:
        if sweep.exit_code or "quiet=true" not in sys.argv:
            sys.stderr.writelines(f"{line}\n" for line in sweep.lines())
    return max((sweep.exit_code for sweep in sweeps.finished), default=0)


def _interrupt(_signal: int, _frame: FrameType | None) -> Any:  # noqa: ANN401  # a signal handler
    """``systemctl stop`` and a CI that cancels end like Ctrl-C."""
    raise KeyboardInterrupt
