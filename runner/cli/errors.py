"""Hydra's errors as the runner's own, each one line with the field, the value and the remedy."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf.errors import OmegaConfBaseException

from runner.errors import InputError, OperatingSystemError, RunnerError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["explain"]


def explain(
    error: Exception, arguments: Sequence[str], output: Path | None = None
) -> RunnerError | None:
    """Turn an error of Hydra's or of the system's into one that says what it is about.

    Args:
        error: the error that was raised.
        arguments: the command line, from which the value at fault is quoted.
        output: the folder of the run or sweep, as far as it is known.

    Returns:
        The runner's error, or None if the fault is not the user's.
    """
    if isinstance(error, MissingConfigException):
        return _missing(error)
    if isinstance(error, OverrideParseException):
        return InputError(
            "command line",
            error.override,
            "cannot be read",
            "write NAME=VALUE, with quotes around spaces and special characters",
        )
    if isinstance(error, ConfigCompositionException | OmegaConfBaseException):
        return _composition(error, arguments)
    if isinstance(error, OSError):
        return _of_the_system(error, output)
    if isinstance(error, HydraException):
        return InputError("command line", " ".join(arguments), _first(error), "see --help")
    return None


def _of_the_system(error: OSError, output: Path | None) -> RunnerError:
    name = error.filename if isinstance(error.filename, str | bytes) else ""
    path = os.fsdecode(name)
    reason = error.strerror or _first(error)
    # Where the folder cannot be made, the error may name the folder above that takes no other.
    about = Path(path).absolute()
    folder = None if output is None else output.absolute()
    if path and folder and (about.is_relative_to(folder) or folder.is_relative_to(about)):
        remedy = "choose a folder that this user can write"
        return InputError("output", path, f"cannot be written ({reason})", remedy)
    return OperatingSystemError(path, reason)


def _missing(error: MissingConfigException) -> InputError:
    group, _, choice = (error.missing_cfg_file or "").rpartition("/")
    options = ", ".join(error.options or []) or "see --help"
    return InputError(group or "config", choice, "unknown", f"choose one of: {options}")


def _composition(error: Exception, arguments: Sequence[str]) -> InputError:
    cause = error if isinstance(error, OmegaConfBaseException) else error.__cause__
    field = getattr(cause, "full_key", None)
    text = _first(cause if isinstance(cause, Exception) else error)
    if not field:
        field = next((name for name in map(_name, arguments) if name and name in text), "")
    value = next((_value(a) for a in arguments if field and _name(a) == field), "")
    if any(part in text for part in ("is not in struct", "not in '", "Could not override")):
        return InputError(
            field or "command line", value, "no such setting", "see --cfg job for all settings"
        )
    return InputError(field or "command line", value, text, "see --help")


def _first(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _name(argument: str) -> str:
    return argument.partition("=")[0].lstrip("+~")


def _value(argument: str) -> str:
    return argument.partition("=")[2]
