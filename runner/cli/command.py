"""The command ``python -m runner``: it composes the config with Hydra, runs it, and exits."""

from __future__ import annotations

import contextlib
import functools
import logging
import math
import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

import runner
from runner import lifeline, stopping, streams
from runner.cli import flags, paths, project, schema
from runner.cli.errors import explain
from runner.cli.session import Session, current, start
from runner.cli.sweep_report import report_sweep
from runner.errors import (
    BatchFailedError,
    InputError,
    InterruptedBatchError,
    RunnerError,
    UnexpectedError,
)
from runner.files import atomic_write
from runner.locks import RUN_LOCK, owned
from runner.text import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from omegaconf import DictConfig

    from runner.batch.settings import Settings
    from runner.l1.settings import L1Settings

__all__ = ["main"]

log = logging.getLogger(__name__)


schema.register()
paths.register()


def main() -> int:
    """Run the command line in ``sys.argv``; returns the process's exit code."""
    if flags.asks_for_version(sys.argv[1:]):
        sys.stdout.write(f"zk-batch-runner {runner.__version__}\n")
        return 0
    return _composed()


def _composed() -> int:
    """Let Hydra compose the config and run it; returns the process's exit code."""
    sys.argv[1:] = flags.without_flags(sys.argv[1:])
    # With this set, Hydra raises its errors instead of printing several lines and exiting with 1.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    stopping.install()
    command: Callable[[], None] = hydra.main(
        version_base="1.3", config_path=str(project.CONF), config_name="config"
    )(_job)
    session = start()
    try:
        _require_folder()
        project.add_to_search_path()
        command()
    except RunnerError as error:
        return _print_end(session, f"error: {error}", error.exit_code)
    except KeyboardInterrupt:
        with stopping.closing():
            _print_sweep(session)
            return _print_end(session, "stopped", 130)
    except Exception as error:
        known = explain(error, sys.argv[1:], session.output)
        if known is None:
            raise
        return _print_end(session, f"error: {known}", known.exit_code)
    finally:
        # The callback has reported a sweep that ended well. This is for one that did not.
        with stopping.closing():
            report_sweep()
    if session.error is not None:
        return _print_end(session, f"error: {session.error}", session.error.exit_code)
    _print_sweep(session)
    if session.composed is None:
        # Nothing was run: what was to be done was to print, as with --cfg.
        try:
            streams.check_stdout()
        except OSError as error:
            lost = InputError(
                "standard output",
                "",
                f"cannot be written ({error.strerror})",
                "send it to where it can be written",
            )
            return _print_end(session, f"error: {lost}", lost.exit_code)
    return 0 if session.sweep is None else session.sweep.exit_code


def _require_folder() -> None:
    """Make sure that there is a working directory, which Hydra and relative paths start from.

    It may be one that this user cannot enter. Then relative paths fail with a message of their own.
    """
    try:
        Path.cwd()
    except OSError as error:
        raise InputError(
            "working directory",
            "",
            f"not there ({error.strerror})",
            "go to one that exists, with cd",
        ) from None


def _job(conf: DictConfig) -> float:
    """Do one run. With ``--multirun`` it is one of many, maybe in a process of its own.

    Returns:
        The wall seconds of the run, which is what sweepers search by.
    """
    context = HydraConfig.get()
    output = Path(context.runtime.output_dir)
    if context.mode is RunMode.MULTIRUN:
        return _job_of_a_sweep(conf, output)
    try:
        return _run(conf, output)
    # If these were raised, Hydra would print a line of its own before the one that helps.
    except RunnerError as error:
        current().error = error
    except OSError as error:
        current().error = explain(error, sys.argv[1:], output)
    return math.nan


def _job_of_a_sweep(conf: DictConfig, output: Path) -> float:
    try:
        with _process_of_its_own():
            wall_s = _run(conf, output, name=output.name)
            stopping.check()
    except InterruptedBatchError:
        raise KeyboardInterrupt from None  # stops the sweep, not just this job
    except RunnerError as error:
        log.error("%s", error)  # noqa: TRY400  # now; the sweep's end repeats it
        raise
    except Exception as error:  # noqa: BLE001  # a bug in one job must stop no other
        file = output / "traceback.txt"
        text = visible(traceback.format_exc())
        try:
            atomic_write(file, text.encode())
        except OSError:
            log.error("%s", text)  # noqa: TRY400  # with the traceback in place of the file
        raise UnexpectedError(f"{type(error).__name__}: {error}", str(file)) from None
    finally:
        from runner.monitoring import logs

        # What is logged between two jobs belongs in the log of neither.
        logs.between_jobs()
    return wall_s


@contextlib.contextmanager
def _process_of_its_own() -> Iterator[None]:
    """Make the process what a job needs, where it is the launcher's and not the command's."""
    lifeline.follow()
    streams.guard()
    if not lifeline.follows():
        yield
        return
    with stopping.installed(), lifeline.at_work():
        yield


def _run(conf: DictConfig, output: Path, name: str = "") -> float:
    # These are not imported at the top, because `--help` and `--cfg` need none of them.
    from runner.cli import config, unknown
    from runner.monitoring import logs

    unknown.refuse_unknown(conf, HydraConfig.get())
    paths.check_hydra(HydraConfig.get())
    settings, l1 = config.settings(conf, output), config.l1_settings(conf)
    logs.configure(
        level=settings.log_level,
        log_format=settings.log_format,
        quiet=settings.quiet,
        file=output / "run.log",
        job=name,
    )
    if l1 is not None:
        from runner.l1.run import check

        check(l1, settings.prover.kind)
    if settings.dry_run:
        _dry_run(settings, l1)
        return math.nan
    from runner.batch.run import run

    try:
        wall_s = run(settings).wall_s
    except BatchFailedError:
        with stopping.closing():
            _report(settings)
        raise
    try:
        if l1 is not None:
            _settle(settings, l1)
    finally:
        with stopping.closing():
            _report(settings)
    return wall_s


def _dry_run(settings: Settings, l1: L1Settings | None) -> None:
    from runner.batch import dry_run

    foreseen = None
    if l1 is not None:
        from runner.l1.foresee import foresee

        foreseen = functools.partial(foresee, l1, settings.prover.kind)
    dry_run.run(settings, foreseen)


def _settle(settings: Settings, l1: L1Settings) -> None:
    """Submit the root of the run's batch, which is verified and written by now."""
    from runner.l1.run import settle

    with owned(settings.output, RUN_LOCK, "output"):
        settle(
            l1,
            settings.output,
            adapter=settings.prover.adapter,
            guests=settings.guests,
            metrics=settings.metrics,
            audit=settings.audit,
            quiet=settings.quiet,
            machine=settings.log_format == "json",
        )


def _report(settings: Settings) -> None:
    """Write the run's page if the settings ask for it. One that cannot be made is a warning."""
    if not settings.report:
        return
    from runner.report.write import write_run

    try:
        with owned(settings.output, RUN_LOCK, "output"):
            write_run(settings.output)
    except InputError as error:
        log.warning("no report of this run: %s", error)


def _print_end(session: Session, text: str, exit_code: int) -> int:
    """Print how the command ended as the last line on standard error; returns the exit code."""
    if session.terminal.log_format == "json":
        from runner.monitoring import logs

        text = logs.last_line(text, __name__, exit_code)
    sys.stderr.write(f"{text}\n")
    return exit_code


def _print_sweep(session: Session) -> None:
    """Print what became of a sweep's jobs, if there was a sweep."""
    if session.sweep is None:
        return
    if session.sweep.exit_code or not session.terminal.quiet:  # failures are printed in any case
        sys.stderr.writelines(f"{line}\n" for line in session.sweep.lines())
