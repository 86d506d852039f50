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
from rich.console import Console
from rich.logging import RichHandler

from runner import app, config, schema, sweep_jobs
from runner.cli_errors import explain
from runner.errors import InputError, InterruptedBatchError, RunnerError, UnexpectedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from omegaconf import DictConfig

__all__ = ["main"]

log = logging.getLogger(__name__)

CONF = Path(__file__).resolve().parent.parent / "conf"

_failed: list[RunnerError] = []
"""The error of a single run, on its way round Hydra to :func:`main`."""

schema.register()


def main() -> int:
    """Run the command line in ``sys.argv``; returns the process's exit code."""
    # Hydra then raises what it would otherwise print in several lines and end with code 1.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    signal.signal(signal.SIGTERM, _interrupt)
    command: Callable[[], None] = hydra.main(
        version_base="1.3", config_path=str(CONF), config_name="config"
    )(_job)
    _failed.clear()
    sweep_jobs.finished.clear()
    try:
        command()
    except RunnerError as error:
        return _say(error)
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        _say_sweeps()
        return 130
    except Exception as error:
        known = explain(error, sys.argv[1:])
        if known is None:
            raise
        return _say(known)
    return _say(_failed[0]) if _failed else _say_sweeps()


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
        # What is said between two jobs belongs into the log of neither.
        logging.basicConfig(handlers=[logging.NullHandler()], force=True)


def _run(conf: DictConfig, output: Path, name: str = "") -> float:
    settings = config.settings(conf, output)
    prefix = f"job {name}: ".replace("%", "%%") if name else ""
    _log_to(settings.log_level, output / "run.log", prefix)
    return app.run(settings).wall_s


def _log_to(level: str, file: Path, prefix: str) -> None:
    console = Console(stderr=True)
    handlers: list[logging.Handler] = []
    if console.is_terminal:
        rich = RichHandler(console=console, show_path=False, omit_repeated_times=False)
        rich.setFormatter(logging.Formatter(f"{prefix}%(message)s"))
        handlers.append(rich)
    else:
        plain = logging.StreamHandler()
        plain.setFormatter(logging.Formatter(f"%(asctime)s %(levelname)s {prefix}%(message)s"))
        handlers.append(plain)
    try:
        kept = logging.FileHandler(file, encoding="utf-8")
    except OSError as error:
        raise InputError(
            "output",
            str(file.parent),
            f"cannot be written ({error.strerror})",
            "choose a folder that this user can write",
        ) from None
    kept.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    handlers.append(kept)
    # force: with --multirun every run has its own file.
    logging.basicConfig(level=level.upper(), handlers=handlers, force=True)


def _say(error: RunnerError) -> int:
    sys.stderr.write(f"error: {error}\n")
    return error.exit_code


def _say_sweeps() -> int:
    """What became of a sweep's jobs; the exit code."""
    for sweep in sweep_jobs.finished:
        sys.stderr.writelines(f"{line}\n" for line in sweep.lines())
    return max((sweep.exit_code for sweep in sweep_jobs.finished), default=0)


def _interrupt(_signal: int, _frame: FrameType | None) -> Any:  # noqa: ANN401  # a signal handler
    """``systemctl stop`` and a CI that cancels end like Ctrl-C."""
    raise KeyboardInterrupt
