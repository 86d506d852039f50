"""The command ``python -m runner``: composes the config with Hydra, runs, exits."""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from runner import schema
from runner.cli_errors import explain
from runner.errors import InputError, RunnerError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from omegaconf import DictConfig

__all__ = ["main"]

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
    try:
        command()
    except RunnerError as error:
        return _say(error)
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        return 130
    except Exception as error:
        known = explain(error, sys.argv[1:])
        if known is None:
            raise
        return _say(known)
    return _say(_failed[0]) if _failed else 0


def _job(conf: DictConfig) -> None:
    """One run; with ``--multirun`` one of many, maybe in a process of its own."""
    context = HydraConfig.get()
    output = Path(context.runtime.output_dir)
    # Not at the top: `--help` and `--cfg` need neither.
    from runner import app, config

    try:
        settings = config.settings(conf, output)
        _log_to(settings.log_level, output / "run.log")
        app.run(settings)
    except RunnerError as error:
        if context.mode is RunMode.MULTIRUN:
            raise  # Hydra runs the rest, says which run failed, and hands the error to main()
        # Hydra would print a line of its own before the one that helps.
        _failed.append(error)


def _log_to(level: str, file: Path) -> None:
    from rich.console import Console

    console = Console(stderr=True)
    handlers: list[logging.Handler] = []
    if console.is_terminal:
        from rich.logging import RichHandler

        rich = RichHandler(console=console, show_path=False, omit_repeated_times=False)
        rich.setFormatter(logging.Formatter("%(message)s"))
        handlers.append(rich)
    else:
        plain = logging.StreamHandler()
        plain.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
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


def _interrupt(_signal: int, _frame: FrameType | None) -> Any:  # noqa: ANN401  # a signal handler
    """``systemctl stop`` and a CI that cancels end like Ctrl-C."""
    raise KeyboardInterrupt
