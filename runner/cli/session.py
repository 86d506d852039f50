"""What one call of the command learns on its way through Hydra.

Hydra makes callbacks and sweepers itself, calls the job itself, and hands nothing back to whoever
started it. What these have to tell :func:`runner.cli.command.main` they leave in one object, the
:class:`Session`, which :func:`start` makes for each call and :func:`current` finds.
"""

from __future__ import annotations

import contextlib
import sys
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from runner.cli.paths import expand
from runner.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omegaconf import DictConfig

    from runner.cli.sweep import SweepRecord
    from runner.errors import RunnerError

__all__ = ["Session", "SessionCallback", "TerminalSettings", "current", "start"]


@dataclass  # OmegaConf would make a read-only config of a frozen one
class TerminalSettings:
    """The settings that decide what the command prints at its end; see ``conf/config.yaml``."""

    quiet: bool = False
    log_format: str = "text"

    @classmethod
    def from_config(cls, config: DictConfig) -> TerminalSettings:
        """Take the settings from a composed config."""
        return cls(bool(config.quiet), str(config.log_format))

    @classmethod
    def from_command_line(cls, arguments: Sequence[str]) -> TerminalSettings:
        """Read the settings from a command line, as far as Hydra can read it.

        This is for a config that could not be composed. An override that cannot be read, or whose
        value has the wrong type, is passed over: the error that is about to be printed says so.
        """
        # Hydra has loaded its parser by now, except for a command that ends before it composes.
        from hydra.core.override_parser.overrides_parser import OverridesParser

        settings, parser = cls(), OverridesParser.create()
        for argument in arguments:
            if argument.startswith("-"):
                continue
            with contextlib.suppress(HydraException, OmegaConfBaseException):
                (override,) = parser.parse_overrides([argument])
                if override.key_or_group in ("quiet", "log_format"):
                    # OmegaConf converts the value by the type of the field, e.g. "yes" to True.
                    changed = OmegaConf.structured(settings)
                    changed[override.key_or_group] = override.value()
                    settings = cls.from_config(changed)
        return settings


@dataclass(slots=True)
class Session:
    """What has become known during one call of the command.

    Attributes:
        composed: the terminal's settings in the composed config; None until there is one.
        output: the folder of the run or sweep; None until it is known.
        error: the error that ended a single run.
        sweep: the record of the sweep that was started.
        report_due: the folder of a sweep that was started and has no report yet.
    """

    composed: TerminalSettings | None = None
    output: Path | None = None
    error: RunnerError | None = None
    sweep: SweepRecord | None = None
    report_due: Path | None = None

    @property
    def terminal(self) -> TerminalSettings:
        """The settings in the composed config, or those on the command line if there is none."""
        return self.composed or TerminalSettings.from_command_line(sys.argv[1:])


_session: ContextVar[Session] = ContextVar("session")


def start() -> Session:
    """Make the session of a call of the command, which :func:`current` finds from now on."""
    session = Session()
    _session.set(session)
    return session


def current() -> Session:
    """The session of the call under way.

    A process of a launcher's runs jobs for a call in another process, and has no session. It gets
    an empty one, which nobody reads.
    """
    return _session.get(None) or Session()


class SessionCallback(Callback):
    """Keeps what the composed config says of the terminal, before anything can fail with it.

    The sweep's own config decides for a sweep, and not those of its jobs, which may differ.
    """

    def on_run_start(self, config: DictConfig, **_: Any) -> None:  # noqa: ANN401  # Hydra's
        """Keep the settings of a single run."""
        _expand(config, "run")
        _keep(config, "run")

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:  # noqa: ANN401  # Hydra's
        """Keep the settings of a sweep."""
        _expand(config, "sweep")
        _keep(config, "sweep")


def _expand(config: DictConfig, kind: str) -> None:
    """Apply the rule for paths to Hydra's own setting, before Hydra makes a folder of it.

    What cannot be expanded is left to :func:`runner.cli.paths.check_hydra`, because Hydra turns an
    error of a callback into a warning.
    """
    field, hydra = f"hydra.{kind}.dir", config.hydra
    try:
        text = str(hydra[kind].dir)
        folder = expand(field, text)
    except (InputError, OmegaConfBaseException):
        return
    if folder == text:
        return
    with read_write(hydra), open_dict(hydra):
        hydra[kind].dir = folder
        # The config of each job of a sweep is composed anew, from these overrides.
        quoted = QuotedString(folder, Quote.single).with_quotes()
        hydra.overrides.hydra.append(f"{field}={quoted}")


def _keep(config: DictConfig, kind: str) -> None:
    session = current()
    # A value that is an interpolation may have no value. Whoever reads the config next says so.
    with contextlib.suppress(OmegaConfBaseException):
        session.composed = TerminalSettings.from_config(config)
    with contextlib.suppress(OmegaConfBaseException):
        session.output = Path(str(config.hydra[kind].dir))
