"""Hydra's errors as the runner's own, each one line with the field, the value and the remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf.errors import OmegaConfBaseException

from runner.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["explain"]


def explain(error: Exception, arguments: Sequence[str]) -> InputError | None:
    """Turn an error of Hydra's into one that says what the user can do about it.

    Args:
        error: the error that Hydra raised.
        arguments: the command line, from which the value at fault is quoted.

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
        return _raised_by_resolver(error) or _composition(error, arguments)
    if isinstance(error, OSError):
        return InputError(
            "output",
            str(error.filename or ""),
            f"cannot be written ({error.strerror})",
            "choose a folder that this user can write",
        )
    if isinstance(error, HydraException):
        return InputError("command line", " ".join(arguments), _first(error), "see --help")
    return None


def _raised_by_resolver(error: BaseException) -> InputError | None:
    """The runner's own error, where a resolver of its own has refused a value."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, InputError):
        cause = cause.__cause__ or cause.__context__
    return cause


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
